// The Paint tab: paint a label map, and several images follow it.

import { $, acceptDrops, attempt, chooseFile, el, randomSeed, seedOf, show, toBase64, toBytes, toast, upload } from "./dom.js";
import { buildBoard } from "./board.js";
import { Gallery } from "./gallery.js";
import { Newest } from "./link.js";

export function buildPaint(section, link, info) {
  const { board, keys } = buildBoard(section, "paint", info, false);
  const [height, width] = info.size;
  const seed = $("#paint-seed");
  const count = $("#paint-count");
  const level = $("#paint-level");
  const all = $("#paint-all");
  const keep = $("#paint-keep");
  const undoStyle = $("[data-act=undo-style]", section);
  const reference = { canvas: $("#paint-reference"), labels: null };
  const gallery = new Gallery($("#paint-gallery"), (i) => `/export/paint/${i}.png`, resample, hover);

  level.append(el("option", { value: "", textContent: "all" }));
  for (let i = 0; i < info.levels; i++) {
    const words = i === 0 ? " (texture)" : i === info.levels - 1 ? " (colour)" : "";
    level.append(el("option", { value: i, textContent: `${i}${words}` }));
  }
  const chosenLevel = () => (level.value === "" ? null : Number(level.value));

  const drawing = new Newest(() =>
    attempt(async () => pictures(await link.request("paint.draw", { mask: toBase64(board.labels) }))),
  );
  board.addEventListener("painting", () => drawing.put(1));
  board.addEventListener("change", (event) => event.detail && drawing.put(1));

  async function pictures({ header, images }) {
    undoStyle.disabled = !header.can_undo;
    if (header.mask && !same(toBytes(header.mask), board.labels)) board.load(toBytes(header.mask));
    if (header.reference_mask) {
      reference.labels = toBytes(header.reference_mask);
      await show(reference.canvas, images.at(-1));
      images = images.slice(0, -1);
      $("#paint-reference-empty").hidden = true;
      $("[data-act=take-style]", section).disabled = false;
    }
    await gallery.fill(images, header.recipes.map(caption));
  }

  function ask(type, fields = {}) {
    gallery.root.classList.add("is-busy");
    return attempt(async () => {
      try {
        await pictures(await link.request(type, fields));
      } finally {
        gallery.root.classList.remove("is-busy");
      }
    });
  }

  // Class at coordinates in 0..1 of an image.
  const labelAt = (labels, x, y) => labels[Math.min(height - 1, Math.floor(y * height)) * width + Math.min(width - 1, Math.floor(x * width))];

  function resample(sample, x, y) {
    const label = info.class_wise ? labelAt(board.labels, x, y) : null;
    return ask("paint.resample", {
      seed: randomSeed(),
      sample: all.checked ? null : sample,
      label,
      level: chosenLevel(),
      keep: keep.checked && label !== null,
    });
  }

  function hover(shot, x, y) {
    const label = x < 0 || x >= 1 || y >= 1 ? -1 : labelAt(board.labels, x, y);
    mark(shot.over, label);
    $("#paint-hint").textContent = label < 0 ? "Click an object in an image to restyle it." : `Click for a new ${info.classes[label].name}${all.checked ? " in all images" : ""}.`;
  }

  // Highlights one class.
  function mark(canvas, label) {
    [canvas.width, canvas.height] = [width, height];
    if (label < 0) return;
    const image = new ImageData(width, height);
    board.labels.forEach((other, i) => image.data.set(other === label ? [255, 255, 255, 55] : [0, 0, 0, 45], 4 * i));
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  const caption = (recipe) => {
    const changes = recipe.changes ?? [];
    const words = changes.length ? ` + ${changes.length} ${changes.length === 1 ? "change" : "changes"}` : "";
    return { text: `seed ${recipe.seed}${words}`, copy: changes.length ? JSON.stringify(recipe) : String(recipe.seed) };
  };

  function sample(value = randomSeed()) {
    seed.value = value;
    return ask("paint.sample", { seed: seedOf(seed), count: Number(count.value) });
  }

  async function load(purpose, file) {
    file ??= await chooseFile();
    if (!file) return;
    await attempt(async () => {
      const number = await upload(purpose, file);
      await pictures(await link.request(purpose, { upload: number }));
      toast(purpose === "paint.photo" ? "The segmenter has labelled your photo." : "Loaded.");
    });
  }

  function style(event) {
    if (!reference.labels) return undefined;
    const box = reference.canvas.getBoundingClientRect();
    const label = labelAt(reference.labels, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    toast(`Applied the style of the reference's ${info.classes[label].name}.`);
    return ask("paint.style", { label: info.class_wise ? label : null, level: chosenLevel() });
  }

  const actions = {
    example: () => ask("paint.example", { seed: randomSeed() }),
    "load-mask": () => load("paint.mask"),
    "load-photo": () => load("paint.photo"),
    "load-reference": () => load("paint.reference"),
    "example-reference": () => ask("paint.example_reference", { seed: randomSeed() }),
    "take-style": () => ask("paint.style", { level: chosenLevel() }),
    sample: () => sample(),
    "resample-level": () => ask("paint.resample", { seed: randomSeed(), level: chosenLevel() }),
    "undo-style": () => ask("paint.undo"),
  };
  section.addEventListener("click", (event) => actions[event.target.closest("[data-act]")?.dataset.act]?.());
  reference.canvas.onclick = style;
  seed.onchange = () => sample(seed.value);
  count.onchange = () => sample(seed.value);
  acceptDrops($("#paint .stage"), (file) => load(info.labels_photos && file.type === "image/jpeg" ? "paint.photo" : "paint.mask", file));
  acceptDrops($("#paint .reference"), (file) => load("paint.reference", file));
  $("[data-act=example]", section).hidden = !info.examples;
  $("[data-act=example-reference]", section).hidden = !info.examples;
  $("[data-act=load-photo]", section).hidden = !info.labels_photos;
  if (!info.labels_photos) {
    $("#paint-reference-hint").textContent = "There is no segmenter for these classes, so a reference is read under your painted label map.";
  }
  level.closest("label").hidden = info.levels < 2;
  $("[data-act=resample-level]", section).hidden = info.levels < 2;

  return {
    keys: { ...keys, n: () => sample(), u: () => undoStyle.disabled || ask("paint.undo"), undo: () => board.undo(), redo: () => board.redo() },
    redraw: () => board.draw(),
    shown: () => board.draw(),
    restore(state, images) {
      board.load(toBytes(state.mask));
      seed.value = state.recipes[0]?.seed ?? 0;
      count.value = state.recipes.length;
      pictures({ header: state, images });
    },
  };
}

const same = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);
