// A hand-painted label map: exact labels, no antialiasing.

const OVER_IMAGE = 0.85;

export class LabelCanvas extends EventTarget {
  // `unknown`: label 0 means nothing and is drawn transparent.
  constructor(canvas, classes, [height, width], unknown) {
    super();
    Object.assign(this, { canvas, classes, height, width, unknown });
    this.colours = classes.map(({ colour }) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)));
    this.labels = new Uint8Array(width * height);
    this.base = new Uint8Array(width * height);
    this.tool = "brush";
    this.label = unknown ? 1 : 0;
    this.radius = 2;
    this.cursor = null;
    this.underlay = null;
    this.pixels = new OffscreenCanvas(width, height);
    this.#listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  // Takes a whole map; erasing restores `base`, unless labels may be unknown.
  load(labels, base = labels) {
    this.labels = labels.slice();
    this.base = this.unknown ? new Uint8Array(labels.length) : base;
    this.draw();
  }

  clear() {
    this.labels = this.base.slice();
    this.#changed();
  }

  // The picture under the marks.
  async setUnderlay(bytes) {
    this.underlay = bytes && (await createImageBitmap(new Blob([bytes])));
    this.draw();
  }

  draw() {
    const { canvas, width, height } = this;
    const ratio = devicePixelRatio || 1;
    const side = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.max(1, Math.round(n * ratio)));
    if (canvas.width !== side[0] || canvas.height !== side[1]) [canvas.width, canvas.height] = side;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, ...side);
    context.imageSmoothingEnabled = !document.body.classList.contains("pixelated");
    if (this.underlay) context.drawImage(this.underlay, 0, 0, ...side);
    const image = new ImageData(width, height);
    for (let i = 0; i < this.labels.length; i++) {
      const label = this.labels[i];
      const alpha = this.unknown && label === 0 ? 0 : 255 * (this.underlay ? OVER_IMAGE : 1);
      image.data.set([...(this.colours[label] ?? [0, 0, 0]), alpha], 4 * i);
    }
    this.pixels.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.pixels, 0, 0, ...side);
    this.#drawCursor(context, side[0] / width);
  }

  #drawCursor(context, scale) {
    if (!this.cursor) return;
    const [x, y] = this.cursor;
    const radius = this.tool === "fill" ? 0.5 : this.#reach() + 0.5;
    context.lineWidth = 1.5 * (devicePixelRatio || 1);
    for (const [colour, grow] of [["rgba(0,0,0,.75)", 1], ["rgba(255,255,255,.95)", 0]]) {
      context.strokeStyle = colour;
      context.beginPath();
      context.arc((x + 0.5) * scale, (y + 0.5) * scale, radius * scale + grow * context.lineWidth, 0, 7);
      context.stroke();
    }
  }

  #reach() {
    return this.tool === "stamp" ? Math.max(0.5, this.width / 64) : (this.radius - 1) / 2;
  }

  #listen() {
    const { canvas } = this;
    let last = null;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [
        Math.floor(((event.clientX - box.left) / box.width) * this.width),
        Math.floor(((event.clientY - box.top) / box.height) * this.height),
      ];
    };
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary) return;
      const place = at(event);
      if (event.button === 2) {
        this.#pick(place);
        return;
      }
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      last = place;
      this.#apply(place, place);
    });
    canvas.addEventListener("pointermove", (event) => {
      this.cursor = at(event);
      if (last && this.tool !== "fill" && this.tool !== "stamp") {
        for (const part of event.getCoalescedEvents?.() ?? [event]) {
          const place = at(part);
          this.#apply(last, place);
          last = place;
        }
      } else this.draw();
    });
    const end = () => {
      if (!last) return;
      last = null;
      this.#changed();
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("pointerleave", () => {
      if (!last) this.cursor = null;
      this.draw();
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => { this.cursor = null; this.draw(); });
  }

  #key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    this.cursor ??= [this.width >> 1, this.height >> 1];
    if (step) {
      const far = event.shiftKey ? 8 : 1;
      this.cursor = [
        Math.min(this.width - 1, Math.max(0, this.cursor[0] + far * step[0])),
        Math.min(this.height - 1, Math.max(0, this.cursor[1] + far * step[1])),
      ];
      this.draw();
    } else {
      this.#apply(this.cursor, this.cursor);
      this.#changed();
    }
  }

  #pick([x, y]) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return;
    this.dispatchEvent(new CustomEvent("pick", { detail: this.labels[y * this.width + x] }));
  }

  #apply(from, to) {
    if (this.tool === "fill") this.#fill(to);
    else this.#line(from, to);
    this.dispatchEvent(new Event("painting"));
    this.draw();
  }

  #line([x0, y0], [x1, y1]) {
    const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
    for (let i = 0; i <= steps; i++) this.#dab(x0 + ((x1 - x0) * i) / steps, y0 + ((y1 - y0) * i) / steps);
  }

  #dab(x, y) {
    const reach = this.#reach();
    for (let row = Math.max(0, Math.ceil(y - reach - 0.01)); row <= Math.min(this.height - 1, y + reach + 0.01); row++) {
      for (let column = Math.max(0, Math.ceil(x - reach - 0.01)); column <= Math.min(this.width - 1, x + reach + 0.01); column++) {
        if ((column - x) ** 2 + (row - y) ** 2 > (reach + 0.25) ** 2) continue;
        const i = row * this.width + column;
        this.labels[i] = this.tool === "erase" ? this.base[i] : this.label;
      }
    }
  }

  #fill([x, y]) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return;
    const { labels, width, height } = this;
    const old = labels[y * width + x];
    if (old === this.label) return;
    const todo = [y * width + x];
    while (todo.length) {
      const i = todo.pop();
      if (labels[i] !== old) continue;
      labels[i] = this.label;
      const column = i % width;
      if (column > 0) todo.push(i - 1);
      if (column < width - 1) todo.push(i + 1);
      if (i >= width) todo.push(i - width);
      if (i < width * (height - 1)) todo.push(i + width);
    }
  }

  #changed() {
    this.draw();
    this.dispatchEvent(new Event("change"));
  }
}
