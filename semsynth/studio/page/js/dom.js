// Small helpers for the page.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element && key !== "style") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${new URL("../icons.svg", import.meta.url).pathname}#${name}`);
  svg.append(use);
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

export function iconButton(name, label, onclick) {
  const button = el("button", { className: "icon", title: label, onclick, type: "button" });
  button.append(icon(name), el("span", { className: "sr", textContent: label }));
  return button;
}

export function toast(text, isError = false) {
  const note = el("div", { className: isError ? "toast error" : "toast", textContent: text });
  $("#toasts").append(note);
  setTimeout(() => note.remove(), isError ? 6000 : 2600);
}

// Runs an action and reports a failure.
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (!error.quiet) toast(error.message, true);
    return undefined;
  }
}

// Runs actions one after another, so that each begins where the one before ended.
export function inTurn() {
  let last = Promise.resolve();
  return (action) => (last = last.then(() => attempt(action)));
}

export function press(buttons, chosen) {
  for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
}

// Where to upload for a model; `crop` is "left,top,width,height" in fractions.
export function placeOf(purpose, model, crop = "") {
  return `${purpose}?${new URLSearchParams({ model, crop })}`;
}

// Uploads a body to such a place; resolves to its key.
export async function upload(place, body) {
  const response = await fetch(`/upload/${place}`, { method: "POST", body });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer.upload;
  const error = new Error(answer.detail || "The file could not be uploaded.");
  const { status } = response;
  throw Object.assign(error, { status, quiet: status === 409 }); // a newer one replaced it
}

export async function show(canvas, bytes) {
  const bitmap = await createImageBitmap(new Blob([bytes]));
  paintBitmap(canvas, bitmap);
}

export function paintBitmap(canvas, bitmap) {
  if (canvas.width !== bitmap.width) canvas.width = bitmap.width;
  if (canvas.height !== bitmap.height) canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
}

export function toBytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

export function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(text);
}

export function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % 1000000;
}

export function seedOf(input) {
  const value = Math.floor(Number(input.value));
  const seed = Number.isFinite(value) ? Math.min(Math.max(value, 0), 4294967295 - 8) : 0;
  input.value = seed;
  return seed;
}
