// The part of an image that may move, painted with a brush.

import { segment } from "./raster.js";

export class Region {
  constructor(size) {
    Object.assign(this, { size, width: Math.max(3, Math.round(size / 6)), erases: false, mask: null, last: null });
    this.veil = new OffscreenCanvas(size, size);
  }

  get isWhole() {
    return this.mask === null;
  }

  has(x, y) {
    return this.isWhole || this.mask[Math.round(y) * this.size + Math.round(x)] === 1;
  }

  // Takes a mask, or null for the whole image.
  load(mask) {
    this.mask = mask && mask.slice();
    this.last = null;
  }

  begin(place, erases) {
    this.mask ??= new Uint8Array(this.size ** 2);
    this.value = erases || this.erases ? 0 : 1;
    this.last = place;
    this.extend(place);
  }

  extend(place) {
    segment(this.last, place, (this.width - 1) / 2, (x, y) => {
      if (x >= 0 && y >= 0 && x < this.size && y < this.size) this.mask[y * this.size + x] = this.value;
    });
    this.last = place;
  }

  end() {
    this.last = null;
    if (!this.mask.includes(1)) this.mask = null;
  }

  // Darkens what stays.
  draw(context, side) {
    if (this.isWhole) return;
    const image = new ImageData(this.size, this.size);
    const words = new Uint32Array(image.data.buffer);
    this.mask.forEach((inside, i) => (words[i] = inside ? 0 : 0x8c120e0c));
    this.veil.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.veil, 0, 0, side, side);
  }
}
