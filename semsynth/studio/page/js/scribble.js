// The Scribble tab: images from rough marks, and an encoder trained on one sample.

import { $, $$, acceptDrops, attempt, chooseFile, press, randomSeed, seedOf, show, toBase64, toBytes, toast, upload } from "./dom.js";
import { buildBoard } from "./board.js";
import { Gallery } from "./gallery.js";
import { Newest } from "./link.js";

export function buildScribble(section, link, info) {
  const unknown = info.sparse;
  const { board, keys, refresh, useTool } = buildBoard(section, "scribble", info, unknown);
  const seed = $("#scribble-seed");
  const count = $("#scribble-count");
  const job = $("#scribble-job");
  const refine = $("[data-act=refine]", section);
  const encoders = $$("[data-encoder]", section);
  const gallery = new Gallery($("#scribble-gallery"), (i) => `/export/scribble/${i}.png`);
  const maps = { draw: new Uint8Array(info.size[0] * info.size[1]), annotate: null };
  let mode = "draw";
  let sampleSeed = 0;
  let sampleImage = null;

  const invite = "Choose a class and draw a stroke: hair here, a mouth there. The model fills in the rest.";
  const hasMarks = () => !unknown || board.labels.some((label) => label > 0);
  const drawing = new Newest(async () => {
    const fields = { mask: toBase64(board.labels), seed: seedOf(seed), count: Number(count.value) };
    const asked = link.request("scribble.draw", fields);
    if (hasMarks()) await attempt(async () => pictures(await asked));
    else await asked.catch(() => {}); // the error says that there is no mark, as the page does
  });
  const keeping = new Newest(() => attempt(() => link.request("annotate.notes", { mask: toBase64(board.labels) })));

  function draw() {
    if (mode !== "draw") return;
    if (!hasMarks()) nothing();
    drawing.put(1);
  }

  function nothing() {
    refine.disabled = true;
    gallery.empty(invite);
  }

  board.addEventListener("painting", draw);
  board.addEventListener("change", (event) => {
    maps[mode] = board.labels;
    if (!event.detail) return;
    if (mode === "draw") draw();
    else keeping.put(1);
  });

  async function pictures({ header, images }) {
    seed.value = header.seed;
    encoders[1].disabled = !header.has_own;
    press(encoders, encoders[header.uses_own ? 1 : 0]);
    refine.disabled = !images.length || !(info.refines || header.uses_own);
    $("#scribble-hint").textContent = header.refined ? "Refined: closer to your marks. The next stroke starts over." : "Every stroke changes the images.";
    if (!images.length) return nothing();
    return gallery.fill(images, images.map((_, i) => ({ text: `style ${header.seed + i}`, copy: String(header.seed + i) })));
  }

  // The whole state: marks, images, and the sample to label, which comes last.
  async function whole({ header, images }) {
    sampleSeed = header.sample_seed;
    sampleImage = images.at(-1);
    maps.draw = toBytes(header.mask);
    maps.annotate = toBytes(header.notes);
    setMode(mode);
    await pictures({ header, images: images.slice(0, -1) });
  }

  function setMode(next) {
    mode = next;
    press($$("[data-mode]", section), $(`[data-mode=${mode}]`, section));
    for (const row of $$("[data-for]", section)) row.hidden = row.dataset.for !== mode;
    board.load(maps[mode] ?? new Uint8Array(board.labels.length));
    refresh();
    board.setUnderlay(mode === "annotate" ? sampleImage : null);
  }

  const ask = (type, fields = {}, take = pictures) => attempt(async () => take(await link.request(type, fields)));

  // A job that takes seconds: shows progress and can be stopped.
  async function long(type, fields, take, withCurve) {
    const losses = [];
    const curve = $(".curve", job);
    const view = $(".job-view", job);
    $("polyline", curve).setAttribute("points", "");
    for (const part of [curve, view]) part.toggleAttribute("hidden", !withCurve);
    job.hidden = false;
    $(".job-words", job).textContent = "Queued";
    $("progress", job).value = 0;
    const buttons = [refine, $("[data-act=train]", section)];
    for (const button of buttons) button.disabled = true;
    const watch = (header, images) => {
      $("progress", job).value = header.progress;
      $(".job-words", job).textContent = header.words + (header.loss === null ? "" : ` · loss ${header.loss.toFixed(3)}`);
      if (header.loss !== null) losses.push([header.progress, header.loss]);
      plot($("polyline", curve), losses);
      if (images.length) show(view, images[0]);
    };
    const done = await attempt(async () => {
      await take(await link.request(type, fields, watch));
      return true;
    });
    job.hidden = true;
    for (const button of buttons) button.disabled = false;
    return done;
  }

  async function train() {
    if (!hasMarks()) return toast("Label the sample first: one stroke for each class.", true);
    const fields = { mask: toBase64(board.labels), steps: Number($("#train-steps").value) };
    if (await long("annotate.train", fields, whole, true)) {
      setMode("draw");
      toast("Your encoder is ready and in use.");
    }
    return undefined;
  }

  async function load(file) {
    file ??= await chooseFile();
    if (!file) return;
    await attempt(async () => whole(await link.request("scribble.mask", { upload: await upload("scribble.mask", file) })));
  }

  const actions = {
    "load-mask": () => load(),
    "other-sample": () => ask("annotate.sample", { seed: (sampleSeed + 1) % 100000 }, whole),
    train,
    styles: () => { seed.value = randomSeed(); draw(); },
    refine: () => long("scribble.refine", {}, pictures, false),
    stop: () => link.request("stop"),
  };
  section.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { act, mode: next, example, encoder } = button.dataset;
    if (act) actions[act]?.();
    if (next) setMode(next);
    if (encoder) ask(`scribble.use_${encoder}`, {}, whole);
    if (example) ask("scribble.example", { seed: randomSeed(), kind: example }, whole);
  });
  seed.onchange = draw;
  count.onchange = draw;
  acceptDrops($("#scribble .stage"), load);
  for (const button of $$("[data-example]", section)) button.hidden = !info.examples;
  $("[data-tool=stamp]", section).hidden = !unknown;

  return {
    keys: { ...keys, n: actions.styles, r: () => refine.disabled || actions.refine(), undo: () => board.undo(), redo: () => board.redo() },
    redraw: () => board.draw(),
    shown: () => board.draw(),
    restore(state, images) {
      count.value = state.images > 1 ? state.images - 1 : 4;
      whole({ header: state, images });
      useTool("brush");
    },
  };
}

function plot(line, losses) {
  const values = losses.map(([, loss]) => loss);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const points = losses.map(([part, loss]) => `${200 * part},${36 - (32 * (loss - low)) / (high - low || 1)}`);
  line.setAttribute("points", points.join(" "));
}
