// The Scribble tab: images from rough marks, and an encoder trained on one sample.

import { $, $$, attempt, placeOf, press, randomSeed, seedOf, show, toBase64, toBytes, toast } from "./dom.js";
import { buildBoard } from "./board.js";
import { acceptDrops, bring, chooseFile } from "./files.js";
import { Gallery } from "./gallery.js";
import { History, undoable } from "./history.js";
import { Job } from "./jobs.js";
import { Newest } from "./link.js";

// A state has mask, seed and count of the images; encoder, the key of the visitor's own if in use;
// at, the key of refined latents; own, the encoder that was trained and how; notes, the labels of
// the generator's sample of a seed; and mode.
export async function buildScribble(section, link, info, store) {
  const unknown = info.sparse;
  const seed = $("#scribble-seed");
  const count = $("#scribble-count");
  const blank = () => new Uint8Array(info.size[0] * info.size[1]);
  const history = await History.load(store, `scribble:${info.model}`, async () => {
    const example = info.examples && (await link.request("scribble.example", { seed: 1, kind: "scribbles" }));
    const mask = example ? toBytes(example.header.mask) : blank();
    return { mask, seed: 0, count: Number(count.value), encoder: null, at: null, own: null, sample: 0, notes: blank(), mode: "draw" };
  });
  const { board, keys } = buildBoard(section, "scribble", info, unknown);
  const refine = $("[data-act=refine]", section);
  const encoders = $$("[data-encoder]", section);
  const gallery = new Gallery($("#scribble-gallery"), (i) => `/export/scribble/${i}.png`);
  const steps = undoable(section, history, restore);
  const job = new Job(section, link, history, finish, watch);
  const losses = [];
  const sample = { seed: null, image: null };
  let mode = "draw";
  let started = false;
  let asked = 0;
  let drawn = 0; // number of the newest images on the screen

  const invite = "Choose a class and draw a stroke: hair here, a mouth there. The model fills in the rest.";
  // What is on the board counts, also in the middle of a stroke.
  const marks = () => (mode === "draw" ? board.labels : history.now.mask);
  const hasMarks = () => !unknown || marks().some((label) => label > 0);
  const push = (fields) => history.push({ ...history.now, ...fields, mode });

  const drawing = new Newest(() => attempt(async () => {
    const { encoder, at, own, ...now } = history.now;
    const mask = marks();
    const painted = mask.some((label, i) => label !== now.mask[i]);
    const number = ++asked;
    try {
      const fields = { mask: toBase64(mask), seed: now.seed, count: now.count, encoder, at: painted ? null : at };
      const { images } = await link.request("scribble.draw", fields);
      if (number < drawn) return; // newer ones came first
      drawn = number;
      if (hasMarks()) await gallery.fill(images, images.map((_, i) => ({ text: `style ${now.seed + i}`, copy: String(now.seed + i) })));
    } catch (error) {
      if (!encoder || error.missing !== encoder) throw error;
      if (!job.record) job.start("annotate.train", own.fields, true); // the server was started again
    }
  }));

  // Shows the present state; its images follow.
  function draw() {
    const { encoder, at, own } = history.now;
    const marked = hasMarks();
    press(encoders, encoders[encoder ? 1 : 0]);
    encoders[1].disabled = !own;
    refine.disabled = !marked || !(info.refines || encoder);
    $("#scribble-hint").textContent = at ? "Refined: closer to your marks. The next stroke starts over." : "Every stroke changes the images. Refine fits them closer to the marks; with few strokes it may add stripes.";
    if (marked) drawing.put(1);
    else gallery.empty(invite);
  }

  board.addEventListener("painting", () => mode === "draw" && draw());
  board.addEventListener("change", () => {
    if (mode === "annotate") push({ notes: board.labels.slice() });
    else push({ mask: board.labels.slice(), at: null });
    if (mode === "draw") draw();
  });

  function restore(state, left = state) {
    seed.value = state.seed;
    count.value = state.count;
    attempt(() => setMode(left.mode));
    draw();
  }

  function change(fields) {
    push({ at: null, ...fields });
    restore(history.now);
  }

  async function setMode(next) {
    mode = next;
    press($$("[data-mode]", section), $(`[data-mode=${mode}]`, section));
    for (const row of $$("[data-for]", section)) row.hidden = row.dataset.for !== mode;
    const now = history.now;
    board.load(mode === "draw" ? now.mask : now.notes);
    if (mode === "annotate" && sample.seed !== now.sample) {
      const { images } = await link.request("annotate.sample", { seed: now.sample });
      Object.assign(sample, { seed: now.sample, image: images[0] });
    }
    board.setUnderlay(mode === "annotate" ? sample.image : null);
  }

  // Jobs

  const curve = $(".curve", job.root);
  const view = $(".job-view", job.root);
  function watch(header, images) {
    const training = header.loss !== null;
    for (const part of [curve, view]) part.toggleAttribute("hidden", !training);
    if (!training) return;
    if (losses.length && header.progress < losses.at(-1)[0]) losses.length = 0;
    losses.push([header.progress, header.loss]);
    $(".job-words", job.root).textContent += ` · loss ${header.loss.toFixed(3)}`;
    plot($("polyline", curve), losses);
    if (images.length) show(view, images[0]);
  }

  async function finish({ header, images }, { type, fields, again }) {
    if (again) return draw();
    if (type === "annotate.train") {
      mode = "draw";
      change({ encoder: header.encoder, own: { key: header.encoder, fields } });
      return toast("Your encoder is ready and in use.");
    }
    await store.keep(header.at, placeOf("scribble.latents", info.model), images.at(-1));
    mode = "draw";
    const { seed: first, count: n, encoder } = fields;
    return change({ mask: toBytes(fields.mask), seed: first, count: n, encoder, at: header.at });
  }

  function train() {
    if (!history.now.notes.some((label) => label > 0)) return toast("Label the sample first: one stroke for each class.", true);
    const { notes, sample: from } = history.now;
    return job.start("annotate.train", { mask: toBase64(notes), seed: from, steps: Number($("#train-steps").value) });
  }

  function startRefining() {
    const { mask, seed: first, count: n, encoder } = history.now;
    return job.start("scribble.refine", { mask: toBase64(mask), seed: first, count: n, encoder });
  }

  // Buttons

  const restyle = () => change({ seed: seedOf(seed), count: Number(count.value) });
  async function take(type, fields) {
    const { header } = await link.request(type, fields);
    mode = "draw";
    change({ mask: toBytes(header.mask) });
  }
  async function load(file) {
    file ??= await chooseFile();
    if (!file) return;
    await attempt(async () => {
      const { purpose, key } = await bring(file, info.model, info.size, "scribble.mask");
      await take(purpose, { upload: key });
    });
  }

  const actions = {
    "load-mask": () => load(),
    "other-sample": () => change({ sample: (history.now.sample + 1) % 100000, notes: blank(), at: history.now.at }),
    train,
    styles: () => { seed.value = randomSeed(); restyle(); },
    refine: startRefining,
  };
  section.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { act, mode: next, example, encoder } = button.dataset;
    if (act) actions[act]?.();
    if (next) attempt(() => setMode(next));
    if (encoder) change({ encoder: encoder === "own" ? history.now.own.key : null });
    if (example) attempt(() => take("scribble.example", { seed: randomSeed(), kind: example }));
  });
  seed.onchange = restyle;
  count.onchange = restyle;
  acceptDrops($("#scribble .stage"), load);
  for (const button of $$("[data-example]", section)) button.hidden = !info.examples;
  $("[data-tool=stamp]", section).hidden = !unknown;

  return {
    keys: { ...keys, n: actions.styles, r: () => refine.disabled || actions.refine(), ...steps },
    take: load,
    redraw: () => board.draw(),
    shown() {
      if (started) return board.draw();
      started = true;
      return restore(history.now);
    },
    busy: () => Boolean(job.record),
    resume(again) {
      job.resume();
      if (again && started) draw();
    },
    described: () => ({ type: "scribble.draw", model: info.model, mask: toBase64(history.now.mask), seed: history.now.seed, count: history.now.count, encoder: history.now.encoder, at: history.now.at }),
  };
}

function plot(line, losses) {
  const values = losses.map(([, loss]) => loss);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const points = losses.map(([part, loss]) => `${200 * part},${36 - (32 * (loss - low)) / (high - low || 1)}`);
  line.setAttribute("points", points.join(" "));
}
