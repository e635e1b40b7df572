// Files that are chosen, dropped or pasted, made into what the server reads.

import { $, el, placeOf, upload } from "./dom.js";
import { chooseCrop } from "./crop.js";

const MOST_BYTES = 12 * 2 ** 20;
const MOST_PIXELS = 25e6;
const SIDE = 2048; // to which larger images are shrunk
const OPAQUE = 0xff000000;
const KINDS = { "\x89PNG": "PNG", "\xff\xd8\xff": "JPEG", RIFF: "WebP", BM: "BMP", "II*\0": "TIFF", "MM\0*": "TIFF" };

export function chooseFile() {
  const input = $("#file");
  input.value = "";
  return new Promise((resolve) => {
    input.onchange = () => resolve(input.files[0]);
    input.click();
  });
}

// Lets files be dropped onto an element.
export function acceptDrops(element, take) {
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("dropping");
  });
  element.addEventListener("dragleave", () => element.classList.remove("dropping"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("dropping");
    const file = event.dataTransfer.files[0];
    if (file) take(file);
  });
}

// Takes what is pasted, or dropped beside the places for it; `take()` gives who wants it.
export function acceptEverywhere(take) {
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (file) take()?.(file);
  });
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    const taken = event.defaultPrevented;
    event.preventDefault(); // else the browser would leave the page
    const file = event.dataTransfer.files[0];
    if (file && !taken) take()?.(file);
  });
}

// Uploads an image for the first of the purposes that accepts it, after a choice of its crop to
// [height, width]. Resolves to that purpose, the key, and what to upload where for it again.
export async function bring(file, model, size, ...purposes) {
  const exact = purposes[0].endsWith(".mask");
  const { body, picture } = await readable(file, exact);
  const crop = picture ? await chooseCrop(picture, size, exact) : "";
  for (const purpose of purposes) {
    const place = placeOf(purpose, model, crop);
    try {
      return { purpose, key: await upload(place, body), place, body };
    } catch (error) {
      if (error.status !== 415 || purpose === purposes.at(-1)) throw error;
    }
  }
  return undefined;
}

// The file, or a smaller one, or one of another kind; and its picture if the browser can show it.
async function readable(file, exact) {
  const head = String.fromCharCode(...new Uint8Array(await file.slice(0, 32).arrayBuffer()));
  const kind = Object.entries(KINDS).find(([start]) => head.startsWith(start))?.[1];
  const picture = await createImageBitmap(file, { colorSpaceConversion: exact ? "none" : "default" }).catch(() => null);
  const small = file.size <= MOST_BYTES && (!picture || picture.width * picture.height <= MOST_PIXELS);
  if (small && (kind || !picture)) {
    if (!kind && head.slice(4, 8) === "ftyp") throw new Error("This browser cannot open HEIC or AVIF photos; save it as JPEG.");
    return { body: file, picture };
  }
  if (!picture) throw new Error("The file is larger than 12 MB, and this browser cannot open it to shrink it; save it as PNG or JPEG.");
  const [depth, hasPalette] = [head.charCodeAt(24), head.charCodeAt(25) === 3];
  if (exact && kind === "PNG" && !hasPalette && depth !== 8) throw new Error("A label map of this size must have eight bits per value; resize it without smoothing.");
  const colours = exact && kind === "PNG" && hasPalette ? await paletteOf(file) : null;
  return { body: await drawn(picture, exact, colours), picture };
}

// Shrinks a picture; a label map without smoothing, and with its values instead of their colours.
async function drawn(picture, exact, colours) {
  const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((n) => Math.max(1, Math.round(n * scale)));
  const canvas = el("canvas", { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = !exact;
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  if (colours) {
    const image = context.getImageData(0, 0, width, height);
    const words = new Uint32Array(image.data.buffer);
    words.forEach((word, i) => (words[i] = OPAQUE | ((colours.get(word & 0xffffff) ?? 0) * 0x010101)));
    context.putImageData(image, 0, 0);
  }
  return new Promise((resolve) => canvas.toBlob(resolve, exact ? "image/png" : "image/jpeg", 0.95));
}

// Value of each colour, with red in the lowest byte, in the palette of a PNG.
async function paletteOf(file) {
  const bytes = new Uint8Array(await file.slice(0, 65536).arrayBuffer());
  const view = new DataView(bytes.buffer);
  for (let at = 8; at + 8 < bytes.length; at += 12 + view.getUint32(at)) {
    if (String.fromCharCode(...bytes.subarray(at + 4, at + 8)) !== "PLTE") continue;
    const count = view.getUint32(at) / 3;
    const colours = Array.from({ length: count }, (_, i) => bytes[at + 8 + 3 * i] | (bytes[at + 9 + 3 * i] << 8) | (bytes[at + 10 + 3 * i] << 16));
    return new Map(colours.map((colour, i) => [colour, i]).reverse()); // the first of equal ones stays
  }
  return null;
}
