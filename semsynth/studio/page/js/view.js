// What of a map is visible in its canvas: zoom and pan.

const MOST = 16;
const STEP = 1.25;

export class View extends EventTarget {
  constructor(canvas, width, height) {
    super();
    Object.assign(this, { canvas, width, height, zoom: 1, left: 0, top: 0 });
  }

  // Pixel of the map at a place in the window; it may be outside.
  at({ clientX, clientY }) {
    const [x, y] = this.#exactly(clientX, clientY);
    return [Math.floor(x), Math.floor(y)];
  }

  // Position in the canvas, in its own pixels, of a point of the map.
  on(x, y) {
    const scale = this.scale;
    return [(x - this.left) * scale, (y - this.top) * scale];
  }

  get scale() {
    return (this.canvas.width / this.width) * this.zoom;
  }

  // Draws a picture of the whole map.
  draw(context, picture) {
    const [x, y] = this.on(0, 0);
    context.drawImage(picture, x, y, this.width * this.scale, this.height * this.scale);
  }

  // Zooms by a factor; the place in the window, by default the middle, stays.
  by(factor, place = this.#middle()) {
    const [x, y] = this.#exactly(...place);
    const zoom = Math.min(Math.max(this.zoom * factor, 1), Math.max(1, Math.min(MOST, this.width / 8)));
    this.left = x - ((x - this.left) * this.zoom) / zoom;
    this.top = y - ((y - this.top) * this.zoom) / zoom;
    this.zoom = zoom;
    this.#settle();
  }

  in() { this.by(STEP ** 2); }
  out() { this.by(STEP ** -2); }

  fit() {
    this.zoom = 1;
    this.#settle();
  }

  wheel(event) {
    event.preventDefault();
    this.by(STEP ** -Math.sign(event.deltaY), [event.clientX, event.clientY]);
  }

  // Moves by pixels of the window.
  move(dx, dy) {
    const box = this.canvas.getBoundingClientRect();
    this.left -= (dx / box.width) * (this.width / this.zoom);
    this.top -= (dy / box.height) * (this.height / this.zoom);
    this.#settle();
  }

  // Keeps a pixel visible.
  show([x, y]) {
    const [across, down] = [this.width / this.zoom, this.height / this.zoom];
    this.left = Math.min(Math.max(this.left, x + 1 - across), x);
    this.top = Math.min(Math.max(this.top, y + 1 - down), y);
    this.#settle();
  }

  #middle() {
    const box = this.canvas.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  }

  #exactly(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    return [
      this.left + ((clientX - box.left) / box.width) * (this.width / this.zoom),
      this.top + ((clientY - box.top) / box.height) * (this.height / this.zoom),
    ];
  }

  #settle() {
    this.left = Math.min(Math.max(this.left, 0), this.width * (1 - 1 / this.zoom));
    this.top = Math.min(Math.max(this.top, 0), this.height * (1 - 1 / this.zoom));
    this.dispatchEvent(new Event("change"));
  }
}
