// A label map on the screen, painted with pointer, fingers or keys. Its history is kept by others.

import { Painting } from "./painting.js";
import { View } from "./view.js";

const OVER_IMAGE = 0.85;
const CLOSE = 9; // screen pixels from the first corner that close a polygon
const SIZED = ["brush", "erase", "line", "stamp"]; // tools with a width
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class LabelCanvas extends Painting {
  // `unknown`: label 0 means nothing and is drawn transparent.
  constructor(canvas, classes, size, unknown) {
    super(classes, size, unknown);
    this.canvas = canvas;
    this.cursor = null;
    this.panned = null; // the last event while the map is being moved
    this.underlay = null;
    this.touches = new Map();
    this.pixels = new OffscreenCanvas(this.width, this.height);
    this.view = new View(canvas, this.width, this.height);
    this.view.addEventListener("change", () => this.draw());
    for (const event of ["loaded", "painting", "change"]) this.addEventListener(event, () => this.draw());
    this.#listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  use(tool) {
    this.cancel();
    this.tool = tool;
    this.draw();
  }

  // The picture under the marks.
  async setUnderlay(bytes) {
    this.underlay = bytes && (await createImageBitmap(new Blob([bytes])));
    this.draw();
  }

  // Drawing

  draw() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const side = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.max(1, Math.round(n * ratio)));
    if (canvas.width !== side[0] || canvas.height !== side[1]) [canvas.width, canvas.height] = side;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, ...side);
    context.imageSmoothingEnabled = !document.body.classList.contains("pixelated");
    if (this.underlay) this.view.draw(context, this.underlay);
    this.pixels.getContext("2d").putImageData(this.#coloured(), 0, 0);
    context.imageSmoothingEnabled = false;
    this.view.draw(context, this.pixels);
    this.#drawCorners(context);
    this.#drawCursor(context);
  }

  #coloured() {
    const alpha = Math.round(255 * (this.underlay ? OVER_IMAGE : 1)) << 24;
    const colours = this.classes.map(({ colour }) => parseInt(colour.slice(5) + colour.slice(3, 5) + colour.slice(1, 3), 16) | alpha);
    if (this.unknown) colours[0] = 0;
    const image = new ImageData(this.width, this.height);
    const words = new Uint32Array(image.data.buffer);
    this.labels.forEach((label, i) => (words[i] = colours[label]));
    return image;
  }

  #outline(context, path) {
    const width = 1.5 * (devicePixelRatio || 1);
    for (const [colour, extra] of [["rgba(0,0,0,.75)", 2 * width], ["rgba(255,255,255,.95)", 0]]) {
      context.strokeStyle = colour;
      context.lineWidth = width + extra;
      context.beginPath();
      path();
      context.stroke();
    }
  }

  #drawCorners(context) {
    if (!this.corners.length) return;
    const places = [...this.corners, ...(this.cursor ? [this.cursor] : [])].map(([x, y]) => this.view.on(x + 0.5, y + 0.5));
    this.#outline(context, () => places.forEach((place) => context.lineTo(...place)));
    this.#outline(context, () => context.arc(...places[0], CLOSE * 0.6 * (devicePixelRatio || 1), 0, 7));
  }

  #drawCursor(context) {
    if (!this.cursor || this.tool === "hand") return;
    const [x, y] = this.cursor;
    const radius = (SIZED.includes(this.tool) ? this.reach + 0.5 : 0.5) * this.view.scale;
    const columns = this.mirrored ? [x, this.width - 1 - x] : [x];
    for (const column of columns) this.#outline(context, () => context.arc(...this.view.on(column + 0.5, y + 0.5), radius, 0, 7));
  }

  // Pointers

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.view.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", (event) => this.#release(event));
    canvas.addEventListener("pointerleave", () => {
      if (!this.before) this.cursor = null;
      this.draw();
    });
    canvas.addEventListener("dblclick", () => this.close());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => { this.cursor = null; this.draw(); });
  }

  #press(event) {
    if (event.pointerType === "touch") {
      this.touches.set(event.pointerId, event);
      if (this.touches.size > 1) {
        this.cancel(); // two fingers move the map
        return;
      }
    } else if (!event.isPrimary) return;
    this.canvas.setPointerCapture(event.pointerId);
    const place = this.view.at(event);
    if (event.button === 1 || (event.button === 0 && this.tool === "hand")) {
      event.preventDefault();
      this.panned = event;
    } else if (event.button === 2 || event.altKey || this.tool === "pick") this.#pick(place);
    else if (event.button === 0) this.#begin(place);
  }

  #move(event) {
    if (this.touches.has(event.pointerId) && this.touches.size > 1) {
      this.#pinch(event);
      return;
    }
    this.cursor = this.view.at(event);
    if (this.panned) {
      this.view.move(event.clientX - this.panned.clientX, event.clientY - this.panned.clientY);
      this.panned = event;
    } else if (this.before) {
      for (const part of event.getCoalescedEvents?.() ?? [event]) this.extend(this.view.at(part));
      this.painted();
    } else this.draw();
  }

  #release(event) {
    const pinching = this.touches.size > 1;
    this.touches.delete(event.pointerId);
    this.panned = null;
    if (event.pointerType === "touch" && event.type === "pointerup") this.cursor = null;
    if (event.type === "pointercancel") this.cancel();
    else if (!pinching) this.finish();
    this.draw();
  }

  // Two fingers: their middle moves the map, their distance zooms it.
  #pinch(event) {
    const spread = () => {
      const [a, b] = [...this.touches.values()];
      return [(a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)];
    };
    const [x0, y0, before] = spread();
    this.touches.set(event.pointerId, event);
    const [x, y, after] = spread();
    this.view.move(x - x0, y - y0);
    this.view.by(after / Math.max(before, 1), [x, y]);
  }

  #begin(place) {
    if (this.tool !== "polygon") {
      this.begin(place);
      return;
    }
    const [first] = this.corners.map(([x, y]) => this.view.on(x, y));
    const [x, y] = this.view.on(...place);
    const near = first && Math.hypot(first[0] - x, first[1] - y) < CLOSE * (devicePixelRatio || 1);
    if (!near) this.addCorner(place);
    else if (this.corners.length > 1) this.close();
    this.draw();
  }

  #pick(place) {
    if (this.inside(place)) this.dispatchEvent(new CustomEvent("pick", { detail: this.at(place) }));
  }

  // Keys: arrows move the cursor, Space is the pointer's button.

  #key(event) {
    const step = STEPS[event.key];
    if (step) this.#walk(step, event.shiftKey ? 8 : 1);
    else if (event.key === " ") this.#knock();
    else if (event.key === "Enter") { if (!this.close()) return; }
    else if (event.key === "Escape") { if (!this.cancel()) return; }
    else if (event.key === "Backspace" && this.corners.length) this.corners = this.corners.slice(0, -1);
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.draw();
  }

  #walk([dx, dy], far) {
    const [x, y] = this.cursor ?? [this.width >> 1, this.height >> 1];
    this.cursor = [Math.min(this.width - 1, Math.max(0, x + far * dx)), Math.min(this.height - 1, Math.max(0, y + far * dy))];
    this.view.show(this.cursor);
    if (!this.before) return;
    this.extend(this.cursor);
    this.painted();
  }

  #knock() {
    this.cursor ??= [this.width >> 1, this.height >> 1];
    if (this.before) this.finish();
    else if (this.tool === "pick") this.#pick(this.cursor);
    else if (this.tool !== "hand") {
      this.#begin(this.cursor);
      if (!["line", "rectangle"].includes(this.tool)) this.finish(); // those end with the next Space
    }
  }
}
