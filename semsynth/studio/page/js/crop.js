// The choice of a crop, where the proportions of an image are not the model's.

import { $ } from "./dom.js";

const NEARLY = 0.01; // proportions that count as equal
const LEAST = 0.2; // of the largest crop
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const chosen = new Map(); // by size of the image, so that mask and photo of a pair are cropped alike

// Resolves to "left,top,width,height" in fractions of the picture.
export async function chooseCrop(picture, [height, width], exact) {
  const ratio = (width * picture.height) / (height * picture.width);
  if (Math.abs(Math.log(ratio)) < NEARLY) return "";
  const pair = `${picture.width}x${picture.height}`;
  const [across, down] = [Math.min(1, ratio), Math.min(1, 1 / ratio)];
  const crop = { share: 1, x: 0.5, y: 0.5, ...chosen.get(pair) };
  $("#crop-note").hidden = !chosen.has(pair);
  const frame = buildFrame(picture, exact, crop, across, down);
  const used = await frame.ask();
  if (!used) throw Object.assign(new Error("Nothing was loaded."), { quiet: true });
  chosen.set(pair, { ...crop });
  const [w, h] = [across * crop.share, down * crop.share];
  return [crop.x * (1 - w), crop.y * (1 - h), w, h].map((part) => part.toFixed(6)).join(",");
}

// x and y in 0..1 are the position within what is free.
function buildFrame(picture, exact, crop, across, down) {
  const dialog = $("#crop");
  const canvas = $("#crop-view");
  const size = $("#crop-size");
  const scale = Math.min(1, 1024 / Math.max(picture.width, picture.height));
  [canvas.width, canvas.height] = [picture.width, picture.height].map((n) => Math.max(1, Math.round(n * scale)));
  size.min = 100 * LEAST;
  size.value = 100 * crop.share;
  const clamp = (value) => Math.min(1, Math.max(0, value));

  function draw() {
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    const [w, h] = [across * crop.share * width, down * crop.share * height];
    const [x, y] = [crop.x * (width - w), crop.y * (height - h)];
    context.imageSmoothingEnabled = !exact;
    context.drawImage(picture, 0, 0, width, height);
    context.fillStyle = "rgb(0 0 0 / 60%)";
    context.beginPath();
    context.rect(0, 0, width, height);
    context.rect(x, y, w, h);
    context.fill("evenodd");
    context.strokeStyle = "#fff";
    context.lineWidth = Math.max(2, width / 250);
    context.strokeRect(x, y, w, h);
  }

  // Moves by fractions of the picture.
  function move(dx, dy) {
    const [free, below] = [1 - across * crop.share, 1 - down * crop.share];
    if (free > 1e-6) crop.x = clamp(crop.x + dx / free);
    if (below > 1e-6) crop.y = clamp(crop.y + dy / below);
    draw();
  }

  function resize(percent) {
    size.value = percent;
    crop.share = Number(size.value) / 100;
    draw();
  }

  size.oninput = () => resize(size.value);
  canvas.onwheel = (event) => {
    event.preventDefault();
    resize(Number(size.value) - 4 * Math.sign(event.deltaY));
  };
  canvas.onpointerdown = (event) => canvas.setPointerCapture(event.pointerId);
  canvas.onpointermove = (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    const box = canvas.getBoundingClientRect();
    move(event.movementX / box.width, event.movementY / box.height);
  };
  canvas.onkeydown = (event) => {
    const step = STEPS[event.key];
    if (step) move(0.02 * step[0], 0.02 * step[1]);
    else if (event.key === "+" || event.key === "-") resize(Number(size.value) + (event.key === "+" ? 4 : -4));
    else return;
    event.preventDefault();
  };
  draw();
  const ask = () => {
    dialog.returnValue = "";
    dialog.showModal();
    $("#crop-use").focus();
    return new Promise((resolve) => (dialog.onclose = () => resolve(dialog.returnValue === "use")));
  };
  return { ask };
}
