// The Paint tab: paint a label map, and several images follow it.

import { $, attempt, el, placeOf, randomSeed, seedOf, show, toBase64, toBytes, toast } from "./dom.js";
import { buildBoard } from "./board.js";
import { chooseByKeys } from "./class_keys.js";
import { acceptDrops, bring, chooseFile } from "./files.js";
import { Gallery } from "./gallery.js";
import { History, undoable } from "./history.js";
import { Newest } from "./link.js";

const MOST_CHANGES = 256; // of one image, as the server allows

// A state has mask, base (the map that erasing restores), recipes of the images, and reference.
export async function buildPaint(section, link, info, store) {
  const [height, width] = info.size;
  const seed = $("#paint-seed");
  const count = $("#paint-count");
  const example = async (value) => toBytes((await link.request("paint.example", { seed: value })).header.mask);
  const history = await History.load(store, `paint:${info.model}`, async () => {
    const mask = info.examples ? await example(0) : new Uint8Array(width * height);
    return { mask, base: mask, recipes: fresh(0, Number(count.value)), reference: null };
  });
  const { board, keys } = buildBoard(section, "paint", info, false);
  const level = $("#paint-level");
  const all = $("#paint-all");
  const keep = $("#paint-keep");
  const reference = $("#paint-reference");
  const over = $("#paint-reference-over");
  const gallery = new Gallery($("#paint-gallery"), (i) => `/export/paint/${i}.png`, resample, hover, keyed);
  const steps = undoable(section, history, restore);
  let started = false;
  let asked = 0;
  let drawn = 0; // number of the newest images on the screen

  level.append(el("option", { value: "", textContent: "all" }));
  for (let i = 0; i < info.levels; i++) {
    const words = i === 0 ? " (texture)" : i === info.levels - 1 ? " (colour)" : "";
    level.append(el("option", { value: i, textContent: `${i}${words}` }));
  }
  const chosenLevel = () => (level.value === "" ? null : Number(level.value));

  async function draw(mask, recipes) {
    const number = ++asked;
    const { images } = await link.request("paint.draw", { mask: toBase64(mask), recipes });
    if (number < drawn) return; // newer ones came first
    drawn = number;
    await gallery.fill(images, recipes.map(caption));
  }

  const drawing = new Newest(async () => {
    const { mask, recipes } = history.now;
    const painted = board.labels.some((label, i) => label !== mask[i]);
    await attempt(() => draw(board.labels, painted ? loosened(recipes) : recipes));
    gallery.root.classList.remove("is-busy");
  });
  board.addEventListener("painting", () => drawing.put(1));
  board.addEventListener("change", () => {
    history.push({ ...history.now, mask: board.labels.slice(), recipes: loosened(history.now.recipes) });
    drawing.put(1);
  });

  function restore(state) {
    board.load(state.mask, state.base);
    seed.value = state.recipes[0].seed;
    count.value = state.recipes.length;
    showReference(state.reference);
    drawing.put(1);
  }

  // Changes the recipes; the images follow.
  function change(edit) {
    const recipes = edit(history.now.recipes);
    if (recipes.some(({ changes }) => changes.length > MOST_CHANGES)) {
      toast(`An image takes ${MOST_CHANGES} changes of style; go on with New styles.`, true);
      return;
    }
    history.push({ ...history.now, recipes });
    gallery.root.classList.add("is-busy");
    drawing.put(1);
  }

  function takeMask(mask) {
    history.push({ ...history.now, mask, base: mask, recipes: loosened(history.now.recipes) });
    restore(history.now);
  }

  // Adds a change to the recipe of one image, or of all.
  const add = (sample, what) => change((recipes) => recipes.map((recipe, i) => (sample === null || sample === i ? { ...recipe, changes: [...recipe.changes, what(i)] } : recipe)));

  function resampled(sample, fields) {
    const first = randomSeed();
    return add(sample, (i) => ({ seed: first + i, level: chosenLevel(), ...fields }));
  }

  // Class at coordinates in 0..1 of an image.
  const labelAt = (labels, x, y) => labels[Math.min(height - 1, Math.floor(y * height)) * width + Math.min(width - 1, Math.floor(x * width))];

  function resample(sample, x, y) {
    return restyle(sample, labelAt(board.labels, x, y));
  }

  function restyle(sample, there) {
    const label = info.class_wise ? there : null;
    return resampled(all.checked ? null : sample, { label, keep: keep.checked && label !== null });
  }

  function hover(shot, x, y) {
    aim(shot, x < 0 || x >= 1 || y >= 1 ? -1 : labelAt(board.labels, x, y), "Click");
  }

  function keyed(frame, shot, i) {
    chooseByKeys(frame, () => board.labels, (label) => aim(shot, label, "Enter"), (label) => restyle(i, label));
  }

  function aim(shot, label, how) {
    mark(shot.over, board.labels, label);
    $("#paint-hint").textContent = label < 0 ? "Click an object in an image to restyle it." : `${how} for a new ${info.classes[label].name}${all.checked ? " in all images" : ""}.`;
  }

  // Highlights one class.
  function mark(canvas, labels, label) {
    [canvas.width, canvas.height] = [width, height];
    if (label < 0) return;
    const image = new ImageData(width, height);
    labels.forEach((other, i) => image.data.set(other === label ? [255, 255, 255, 55] : [0, 0, 0, 45], 4 * i));
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  const caption = (recipe) => {
    const { changes } = recipe;
    const words = changes.length ? ` + ${changes.length} ${changes.length === 1 ? "change" : "changes"}` : "";
    return { text: `seed ${recipe.seed}${words}`, copy: changes.length ? JSON.stringify(recipe) : String(recipe.seed) };
  };

  function sample(value = randomSeed()) {
    seed.value = value;
    return change(() => fresh(seedOf(seed), Number(count.value)));
  }

  function recount() {
    const n = Number(count.value);
    return change((recipes) => [...recipes.slice(0, n), ...fresh(recipes[0].seed, n).slice(recipes.length)]);
  }

  async function load(purposes, file) {
    file ??= await chooseFile();
    if (!file) return;
    await attempt(async () => {
      const { purpose, key } = await bring(file, info.model, info.size, ...purposes);
      if (purpose === "paint.reference") await takeReference(await link.request(purpose, { upload: key, mask: toBase64(board.labels) }));
      else takeMask(toBytes((await link.request(purpose, { upload: key })).header.mask));
      toast(purpose === "paint.photo" ? "The segmenter has labelled your photo." : "Loaded.");
    });
  }

  // A label map if it can be read as one, else a photo to label.
  function loadAny(file) {
    const photo = /jpeg|heic|heif|avif/.test(file.type);
    if (!info.labels_photos) return load(["paint.mask"], file);
    return load(photo ? ["paint.photo"] : ["paint.mask", "paint.photo"], file);
  }

  // The reference

  async function takeReference({ header, images }) {
    const mask = toBytes(header.mask);
    await store.keep(header.reference, placeOf("paint.reference", info.model), new Blob([images[0]]));
    await store.keep(header.labels, placeOf("paint.labels", info.model), mask);
    history.push({ ...history.now, reference: { image: header.reference, labels: header.labels, mask } });
    await showReference(history.now.reference);
  }

  async function showReference(taken) {
    $("#paint-reference-empty").hidden = Boolean(taken);
    $("[data-act=take-style]", section).disabled = !taken;
    const content = taken && (await store.get("content", taken.image));
    if (content) await show(reference, content.body);
  }

  function takeStyle(there) {
    const label = info.class_wise ? there : null;
    toast(label === null ? "Applied the style of the reference." : `Applied the style of the reference's ${info.classes[label].name}.`);
    const { image, labels } = history.now.reference;
    return add(null, () => ({ label, level: chosenLevel(), reference: image, labels }));
  }

  function style(event) {
    if (!history.now.reference) return undefined;
    const box = reference.getBoundingClientRect();
    return takeStyle(labelAt(history.now.reference.mask, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height));
  }

  const actions = {
    example: () => attempt(async () => takeMask(await example(randomSeed()))),
    "load-mask": () => load(["paint.mask"]),
    "load-photo": () => load(["paint.photo"]),
    "load-reference": () => load(["paint.reference"]),
    "example-reference": () => attempt(async () => takeReference(await link.request("paint.example_reference", { seed: randomSeed() }))),
    "take-style": () => takeStyle(null),
    sample: () => sample(),
    "resample-level": () => resampled(null, {}),
  };
  section.addEventListener("click", (event) => actions[event.target.closest("[data-act]")?.dataset.act]?.());
  reference.onclick = style;
  seed.onchange = () => sample(seed.value);
  count.onchange = recount;
  chooseByKeys(reference, () => history.now.reference?.mask, (label) => history.now.reference && mark(over, history.now.reference.mask, label), takeStyle);
  acceptDrops($("#paint .stage"), loadAny);
  acceptDrops($("#paint .reference"), (file) => load(["paint.reference"], file));
  $("[data-act=example]", section).hidden = !info.examples;
  $("[data-act=example-reference]", section).hidden = !info.examples;
  $("[data-act=load-photo]", section).hidden = !info.labels_photos;
  if (!info.labels_photos) {
    $("#paint-reference-hint").textContent = "There is no segmenter for these classes, so a reference is read under your painted label map.";
  }
  level.closest("label").hidden = info.levels < 2;
  $("[data-act=resample-level]", section).hidden = info.levels < 2;

  return {
    keys: { ...keys, n: () => sample(), ...steps },
    take: loadAny,
    redraw: () => board.draw(),
    shown() {
      if (started) return board.draw();
      started = true;
      return restore(history.now);
    },
    resume: (again) => again && started && drawing.put(1),
    described: () => ({ type: "paint.draw", model: info.model, mask: toBase64(board.labels), recipes: history.now.recipes }),
  };
}

// Recipes of new images.
const fresh = (seed, count) => Array.from({ length: count }, (_, i) => ({ seed: seed + i, changes: [] }));

// Recipes for another map: pixels outside a class are kept as long as the map is.
const loosened = (recipes) => recipes.map(({ changes, ...rest }) => ({ ...rest, changes: changes.map((change) => ({ ...change, keep: false })) }));
