// Images side by side, each with its seed and a download.

import { el, icon, iconButton, show, toast } from "./dom.js";

const WORDS = { 1: "one", 2: "two", 4: "four" };

export class Gallery {
  // `download(i)` is the address of image i; `picked(i, x, y)` is called with coordinates in 0..1;
  // `keyed(frame, shot, i)` may listen to the keys of an image.
  constructor(root, download, picked = null, hovered = null, keyed = null) {
    Object.assign(this, { root, download, picked, hovered, keyed });
    this.shots = [];
  }

  async fill(images, captions) {
    if (images.length !== this.shots.length) this.#build(images.length);
    this.root.classList.remove("is-busy");
    captions.forEach(({ text, copy }, i) => {
      this.shots[i].words.textContent = text;
      this.shots[i].words.title = text;
      this.shots[i].copy = copy;
    });
    await Promise.all(images.map((bytes, i) => show(this.shots[i].canvas, bytes)));
  }

  empty(words) {
    this.shots = [];
    this.root.className = "gallery";
    this.root.replaceChildren(el("div", { className: "empty" }, icon("scribble"), el("p", { textContent: words })));
  }

  #build(count) {
    this.root.className = `gallery ${WORDS[count] ?? ""}`;
    this.shots = Array.from({ length: count }, (_, i) => this.#shot(i));
    this.root.replaceChildren(...this.shots.map(({ figure }) => figure));
  }

  #shot(i) {
    const label = `Image ${i + 1}`;
    const canvas = el("canvas", { width: 64, height: 64 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    const over = el("canvas", { className: "over", width: 1, height: 1 });
    const frame = el("div", { className: "frame" }, canvas, over);
    const words = el("span", { className: "grow" });
    const shot = { canvas, over, words, copy: "" };
    const place = (event) => {
      const box = frame.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    if (this.picked) {
      frame.classList.add("pick");
      frame.onclick = (event) => this.picked(i, ...place(event));
      frame.onpointermove = (event) => this.hovered?.(shot, ...place(event));
      frame.onpointerleave = () => this.hovered?.(shot, -1, -1);
      frame.tabIndex = 0;
      frame.setAttribute("role", "button");
      frame.setAttribute("aria-label", `${label}: arrow keys choose a class, Enter restyles it`);
      this.keyed?.(frame, shot, i);
    }
    const keep = el("a", { className: "icon", href: this.download(i), download: "", title: `Download image ${i + 1}` });
    keep.append(icon("download"), el("span", { className: "sr", textContent: `Download image ${i + 1}` }));
    const copy = iconButton("copy", `Copy the seed of image ${i + 1}`, () => copyText(shot.copy));
    shot.figure = el("figure", { className: "shot" }, frame, el("figcaption", {}, words, copy, keep));
    return shot;
  }
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`Copied: ${text}`);
  } catch {
    toast(`The seed: ${text}`);
  }
}
