// A label map and the tools that change it: exact labels, no antialiasing.

import { dab, flood, polygon, rectangle, segment } from "./raster.js";

export class Painting extends EventTarget {
  constructor(classes, [height, width], unknown) {
    super();
    Object.assign(this, { classes, height, width, unknown });
    this.labels = new Uint8Array(width * height);
    this.base = new Uint8Array(width * height);
    this.tool = "brush";
    this.label = unknown ? 1 : 0;
    this.size = 2; // diameter of the brush
    this.mirrored = false;
    this.corners = []; // of the polygon that is being made
    this.before = null; // the labels before the stroke in progress
    this.start = null;
    this.last = null;
  }

  // Radius of the brush in pixels.
  get reach() {
    return this.tool === "stamp" ? Math.max(0.5, this.width / 64) : (this.size - 1) / 2;
  }

  // Takes a whole map; erasing restores `base`, unless labels may be unknown.
  load(labels, base = labels) {
    this.before = this.start = null;
    this.corners = [];
    this.labels = labels.slice();
    this.base = this.unknown ? new Uint8Array(labels.length) : base.slice();
    this.#tell("loaded");
  }

  clear() {
    this.labels = this.base.slice();
    this.#tell("change");
  }

  begin(place) {
    this.before = this.labels.slice();
    this.start = this.last = place;
    this.extend(place, true);
    this.painted();
  }

  extend(place, first = false) {
    const { tool, last } = this;
    this.last = place;
    if (tool === "line" || tool === "rectangle") {
      this.labels = this.before.slice();
      if (tool === "line") segment(this.start, place, this.reach, this.#put);
      else rectangle(this.start, place, this.#put);
    } else if (tool === "fill") {
      if (first) this.#fill(place);
    } else if (tool !== "stamp") segment(last, place, this.reach, this.#put);
    else if (first) dab(...place, this.reach, this.#put);
  }

  // Says that strokes have gone on.
  painted() {
    this.#tell("painting");
  }

  finish() {
    const { before } = this;
    this.before = this.start = this.last = null;
    if (before?.some((label, i) => label !== this.labels[i])) this.#tell("change");
  }

  addCorner(place) {
    this.corners = [...this.corners, place];
  }

  // Fills the polygon; whether there was one.
  close() {
    if (this.tool !== "polygon" || !this.corners.length) return false;
    polygon(this.corners, this.#put);
    this.corners = [];
    this.#tell("painting");
    this.#tell("change");
    return true;
  }

  // Drops the stroke or polygon in progress; whether there was one.
  cancel() {
    const begun = this.before !== null || this.corners.length > 0;
    if (this.before) this.labels = this.before;
    this.before = this.start = this.last = null;
    this.corners = [];
    if (begun) this.#tell("painting");
    return begun;
  }

  inside([x, y]) {
    return x >= 0 && y >= 0 && x < this.width && y < this.height;
  }

  at([x, y]) {
    return this.labels[y * this.width + x];
  }

  #fill(place) {
    for (const [x, y] of this.mirrored ? [place, [this.width - 1 - place[0], place[1]]] : [place]) {
      if (!this.inside([x, y])) return;
      const label = x === place[0] ? this.label : this.#twin();
      flood(this.labels.slice(), this.width, this.height, [x, y], (column, row) => (this.labels[row * this.width + column] = label));
    }
  }

  // The class of the other side, as of the right eye for the left one.
  #twin() {
    return this.classes[this.label].mirror;
  }

  #put = (x, y) => {
    this.#set(x, y, this.label);
    if (this.mirrored) this.#set(this.width - 1 - x, y, this.#twin());
  };

  #set(x, y, label) {
    if (!this.inside([x, y])) return;
    const i = y * this.width + x;
    this.labels[i] = this.tool === "erase" ? this.base[i] : label;
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}
