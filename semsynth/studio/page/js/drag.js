// The Drag tab: points are dragged, and the image follows.

import { $, $$, attempt, el, inTurn, paintBitmap, placeOf, press, randomSeed, seedOf, show, toast, upload } from "./dom.js";
import { acceptDrops, bring, chooseFile } from "./files.js";
import { History, undoable } from "./history.js";
import { Job } from "./jobs.js";
import { anchoredWords, markRow } from "./mark_list.js";
import { drawMarks } from "./marks.js";
import { Newest } from "./link.js";
import { Region } from "./region.js";

const NEAR = 9; // screen pixels within which a handle is picked
const MAX_ZOOM = Math.log(4);
const SETTLE = 350; // milliseconds after the last wheel event
const HINTS = {
  drag: "Drag a point; anchored points stay.",
  anchor: "Click to anchor; click again to remove.",
  zoom: "Drag up to zoom in, down to zoom out.",
  region: "Paint what may move; the rest stays. Right click erases.",
};

// A state has the steps since the first image, each with the key of its latents; marks; done; and
// region, what may move, with its key.
export async function buildDrag(section, link, info, store) {
  // The step that an answer makes; its latents are kept, so that the server may forget them.
  async function stepOf(kind, { header, images }, details = header.details) {
    await store.keep(header.at, placeOf("drag.latents", info.model), images.at(-1));
    return { kind, at: header.at, details };
  }

  const history = await History.load(store, `drag:${info.model}`, async () => {
    const start = await stepOf("sample", await link.request("drag.sample", { seed: info.first_seed }));
    return { steps: [start], marks: [], done: [], region: null };
  });
  const size = info.canvas;
  const overlay = $("#drag-overlay");
  const picture = $("#drag-image");
  const before = $("#drag-before");
  const divider = $("#drag-divider");
  const several = $("#drag-several");
  const loop = $("#drag-loop");
  const region = new Region(size);
  const latency = { chip: $("#drag-latency"), all: [] };
  let marks = []; // pending drags, zooms and anchors
  let done = []; // the last applied marks, with their reports
  let tool = "drag";
  let held = null;
  let cursor = null;
  let shownFrame = 0; // number of the newest frame on the screen
  let frame = 0;
  let settling = 0;
  let first = null; // key of the first image's latents
  let started = false;
  const act = inTurn();
  const steps = undoable(section, history, (state) => act(() => restore(state)));
  const job = new Job(section, link, history, (answer, record) => finish(answer, record));
  window.studio = { latency: latency.all, frames: [] };

  // Frames

  const previews = new Newest(async ({ time, number }) => {
    const sent = active();
    if (!sent.length) return;
    await attempt(async () => {
      const of = [...marks];
      const { header, images } = await link.request("drag.preview", { at: history.now.steps.at(-1).at, marks: sent, region: regionKey(), closed_loop: loop.checked });
      const bitmap = await createImageBitmap(new Blob([images[0]]));
      if (number <= shownFrame) return; // a newer one came first
      shownFrame = number;
      window.studio.frames.push(number);
      paintBitmap(picture, bitmap);
      of.forEach((mark, i) => (mark.report = header.reports[i]));
      readOut();
      requestAnimationFrame(() => setTimeout(() => measured(performance.now() - time)));
    });
  });

  function measured(milliseconds) {
    latency.all.push(milliseconds);
    if (latency.all.length > 2000) latency.all.shift();
    const recent = latency.all.slice(-15).sort((a, b) => a - b);
    latency.chip.textContent = `${Math.round(recent[recent.length >> 1])} ms`;
  }

  const active = () => marks.map(({ x, y, dx, dy, log_expansion }) => ({ x, y, dx, dy, log_expansion }));
  const regionKey = () => history.now.region?.key ?? null;
  const moves = () => marks.some((mark) => Math.hypot(mark.dx, mark.dy) >= 1 || mark.log_expansion !== 0);

  function preview(time = performance.now()) {
    draw();
    if (moves()) previews.put({ time, number: ++frame });
    $("[data-act=apply]", section).disabled = !moves();
  }

  // Shows the last image of a state, and the first one.
  async function restore(state) {
    marks = structuredClone(state.marks);
    done = state.done;
    region.load(state.region?.mask ?? null);
    readOut();
    const at = state.steps.at(-1).at;
    await paint(await link.request("drag.show", { at }));
    if (first !== state.steps[0].at) {
      first = state.steps[0].at;
      await show(before, (await link.request("drag.show", { at: first })).images[0]);
    }
    preview();
  }

  async function paint({ images }) {
    shownFrame = ++frame;
    previews.drop();
    await show(picture, images[0]);
    summary();
  }

  function summary() {
    const [start, ...more] = history.now.steps;
    $("[data-act=reset]", section).disabled = !more.length;
    const from = start.kind === "image" ? `your photo (error ${start.details.mse.toFixed(3)})` : `sample ${start.details.seed}`;
    if (start.kind === "sample") $("#drag-seed").value = start.details.seed;
    $("#drag-history").textContent = `${more.length ? `${more.length} ${more.length === 1 ? "step" : "steps"}` : "No edits yet"}, from ${from}.`;
  }

  // Keeps the marks as they are now.
  const keepMarks = () => history.push({ ...history.now, marks: structuredClone(marks), done });

  function commit() {
    clearTimeout(settling);
    settling = 0;
    if (!moves()) return undefined;
    const sent = marks;
    const fields = { marks: active(), region: regionKey(), closed_loop: loop.checked };
    marks = sent.filter(isAnchor).map((mark) => ({ ...mark, report: undefined }));
    return act(async () => {
      const { steps: past } = history.now;
      try {
        const answer = await link.request("drag.commit", { at: past.at(-1).at, ...fields });
        const { reports } = answer.header;
        done = sent.map((mark, i) => ({ ...mark, report: reports[i] })).filter((mark) => !isAnchor(mark));
        const step = await stepOf("drag", answer, { marks: fields.marks, reports });
        history.push({ ...history.now, steps: [...past, step], marks: structuredClone(marks.filter(isAnchor)), done });
        await paint(answer);
      } catch (error) {
        if (error.lost) marks = sent; // to be applied with the next connection
        throw error;
      } finally {
        preview();
        readOut();
      }
    });
  }

  // Marks

  const isAnchor = (mark) => mark.anchor;
  const fresh = (x, y, more = {}) => ({ x, y, dx: 0, dy: 0, log_expansion: 0, ...more });

  const clampTo = (value) => Math.min(size - 1, Math.max(0, value));
  function place(event) {
    const box = overlay.getBoundingClientRect();
    return [clampTo(((event.clientX - box.left) / box.width) * size - 0.5), clampTo(((event.clientY - box.top) / box.height) * size - 0.5)];
  }

  function near(x, y, anchors) {
    const reach = (NEAR / overlay.clientWidth) * size;
    return marks.find((mark) => mark.anchor === anchors && Math.hypot(mark.x + mark.dx - x, mark.y + mark.dy - y) < reach);
  }

  // Adds a mark; whether there was room.
  function addMark(mark) {
    if (marks.length < info.max_marks) return marks.push(mark) > 0;
    toast(`There are ${info.max_marks} marks, which is the most; apply or remove some.`, true);
    return false;
  }

  // Drags a mark to a place, at most as far as an edit reaches.
  function pull(mark, [x, y]) {
    const [dx, dy] = [x - mark.x, y - mark.y];
    const length = Math.hypot(dx, dy);
    const share = length > info.reach ? info.reach / length : 1;
    [mark.dx, mark.dy] = [share * dx, share * dy];
    $("#drag-hint").textContent = share < 1 ? "One drag reaches this far; let go and drag again to go on." : HINTS[tool];
  }

  function toggleAnchor(x, y) {
    const there = near(x, y, true);
    if (there) marks = marks.filter((mark) => mark !== there);
    else if (!addMark(fresh(x, y, { anchor: true }))) return;
    done = [];
    keepMarks();
    preview();
    readOut();
  }

  function zoomAt(x, y, by, time) {
    done = [];
    let mark = marks.find((other) => other.zoom && Math.hypot(other.x - x, other.y - y) < size / 8);
    if (!mark && !addMark((mark = fresh(x, y, { anchor: false, zoom: true })))) return;
    mark.log_expansion = Math.min(MAX_ZOOM, Math.max(-MAX_ZOOM, mark.log_expansion + by));
    preview(time);
    readOut();
  }

  function settle() {
    clearTimeout(settling);
    settling = setTimeout(() => (several.checked ? keepMarks() : commit()), SETTLE);
  }

  // Discards pending marks and shows the image without them.
  async function drop(anchorsToo = false) {
    const shown = moves();
    const count = marks.length;
    marks = anchorsToo ? [] : marks.filter(isAnchor);
    done = [];
    held = null;
    if (marks.length !== count) keepMarks();
    preview();
    readOut();
    if (shown) await showPresent();
  }

  function dropAnchors() {
    marks = marks.filter((mark) => !isAnchor(mark));
    keepMarks();
    preview();
    readOut();
  }

  // Keeps the region as it is painted.
  function keepRegion() {
    const mask = region.mask?.slice();
    return act(async () => {
      const place = placeOf("drag.region", info.model);
      const key = mask && (await upload(place, mask));
      if (key) await store.keep(key, place, mask);
      history.push({ ...history.now, marks: structuredClone(marks), done, region: key ? { mask, key } : null });
      readOut();
      preview();
    });
  }

  function dropRegion() {
    region.load(null);
    return keepRegion();
  }

  // Pointer

  overlay.addEventListener("contextmenu", (event) => event.preventDefault());
  overlay.addEventListener("pointerdown", (event) => {
    overlay.focus({ preventScroll: true });
    const [x, y] = place(event);
    if (held || comparing()) return;
    if (tool === "region") {
      overlay.setPointerCapture(event.pointerId);
      region.begin([Math.round(x), Math.round(y)], event.button === 2 || event.altKey);
      draw();
      return;
    }
    if (event.button === 2 || tool === "anchor") {
      toggleAnchor(x, y);
      return;
    }
    if (event.button !== 0) return;
    overlay.setPointerCapture(event.pointerId);
    const there = near(x, y, false);
    if (!there && !region.has(x, y)) {
      toast("Only the painted region may move: drag inside it, or extend it with the region brush.", true);
      return;
    }
    const keep = several.checked || event.shiftKey;
    if (!there && !keep) marks = marks.filter(isAnchor);
    done = [];
    held = { pointer: event.pointerId, mark: there ?? fresh(x, y, { anchor: false, zoom: tool === "zoom" }), start: [event.clientX, event.clientY], keep };
    if (!there && !addMark(held.mark)) held = null;
    readOut();
    draw();
  });
  overlay.addEventListener("pointermove", (event) => {
    cursor = place(event);
    if (tool === "region") {
      if (region.last) region.extend(cursor.map(Math.round));
      draw();
      return;
    }
    if (!held || event.pointerId !== held.pointer) return;
    if (tool === "zoom" && held.mark.zoom) {
      held.mark.log_expansion = Math.min(MAX_ZOOM, Math.max(-MAX_ZOOM, (event.clientY - held.start[1]) / 160));
    } else {
      pull(held.mark, cursor);
    }
    preview(event.timeStamp);
  });
  const release = (event) => {
    if (region.last) {
      region.end();
      keepRegion();
      return;
    }
    if (!held || event.pointerId !== held.pointer) return;
    const { mark, keep } = held;
    held = null;
    $("#drag-hint").textContent = HINTS[tool];
    if (Math.hypot(mark.dx, mark.dy) < 1 && mark.log_expansion === 0) marks = marks.filter((other) => other !== mark);
    if (keep) {
      keepMarks();
      preview();
    } else commit();
    readOut();
    draw();
  };
  overlay.addEventListener("pointerup", release);
  overlay.addEventListener("pointercancel", release);
  overlay.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x, y] = place(event);
    zoomAt(x, y, Math.sign(event.deltaY) * 0.05, event.timeStamp);
    settle();
  }, { passive: false });
  overlay.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    cursor ??= [size / 2, size / 2];
    if (step) cursor = [clampTo(cursor[0] + step[0]), clampTo(cursor[1] + step[1])];
    if (held && step) {
      pull(held.mark, cursor);
      preview(event.timeStamp);
    }
    if (event.key === " ") {
      if (held) release({ pointerId: "keys" });
      else {
        held = { pointer: "keys", mark: fresh(...cursor, { anchor: false }), keep: several.checked };
        if (!addMark(held.mark)) held = null;
      }
    }
    draw();
  });

  // The list of marks and their results

  function draw() {
    const shown = document.activeElement === overlay && overlay.matches(":focus-visible") ? cursor : null;
    const reach = held && !held.mark.zoom ? { ...held.mark, radius: info.reach } : null;
    const brush = tool === "region" && cursor ? { x: cursor[0], y: cursor[1], width: region.width } : null;
    drawMarks(overlay, size, { region, marks, done, cursor: shown, reach, brush });
  }

  function readOut() {
    const list = $("#drag-marks");
    const rows = [...marks.map((mark) => markRow(mark, remove)), ...done.map((mark) => markRow(mark))];
    const words = anchoredWords(marks);
    $("#drag-note").hidden = !words;
    $("#drag-note span").textContent = words;
    $("#drag-region-note").hidden = region.isWhole;
    list.replaceChildren(...(rows.length ? rows : [el("li", { className: "none", textContent: "None yet. Drag a point in the image." })]));
    $("[data-act=apply]", section).hidden = !several.checked && (!marks.some((mark) => !isAnchor(mark)) || (held && !held.keep));
  }

  async function remove(mark) {
    marks = marks.filter((other) => other !== mark);
    preview();
    readOut();
    keepMarks();
    if (!moves()) await showPresent();
  }

  // Buttons

  const comparing = () => $("#drag-compare").getAttribute("aria-pressed") === "true";
  function compare(on = !comparing()) {
    $("#drag-compare").setAttribute("aria-pressed", String(on));
    before.hidden = divider.hidden = $("#drag-sides").hidden = !on;
    $("#drag-stage").classList.toggle("comparing", on);
    split();
  }
  const split = () => $("#drag-stage").style.setProperty("--split", `${divider.value}%`);

  const showPresent = () => act(async () => paint(await link.request("drag.show", { at: history.now.steps.at(-1).at })));

  // Adds a step, or begins with one; anchors stay on the same image.
  const begin = (step) => history.push({ steps: [step], marks: [], done: [], region: null });
  const add = (step) => history.push({ ...history.now, steps: [...history.now.steps, step], marks: marks.filter(isAnchor), done: [] });

  const sample = (value = randomSeed()) => act(async () => {
    $("#drag-seed").value = value;
    begin(await stepOf("sample", await link.request("drag.sample", { seed: seedOf($("#drag-seed")) })));
    await restore(history.now);
  });

  const style = () => act(async () => {
    add(await stepOf("style", await link.request("drag.style", { at: history.now.steps.at(-1).at, seed: randomSeed() })));
    await restore(history.now);
  });

  const reset = () => act(async () => {
    add({ kind: "reset", at: history.now.steps[0].at, details: {} });
    await restore(history.now);
  });

  async function takePhoto(file) {
    file ??= await chooseFile();
    if (!file) return;
    await attempt(async () => {
      const { key, place: where, body } = await bring(file, info.model, [info.image_size, info.image_size], "drag.photo");
      await store.keep(key, where, body);
      await job.start("drag.photo", { upload: key });
    });
  }

  const finish = (answer, { fields }) => act(async () => {
    store.put([["content", fields.upload]]); // the photo has served
    begin(await stepOf("image", answer));
    await restore(history.now);
  });

  function useTool(name) {
    tool = name;
    press($$("[data-tool]", section), $(`[data-tool=${name}]`, section));
    $("#drag-hint").textContent = HINTS[tool];
    $("#drag-brush").hidden = tool !== "region";
    draw();
  }

  function resize(value) {
    region.width = Math.min(Number(sizes[0].max), Math.max(1, Math.round(Number(value)) || 1));
    for (const field of sizes) field.value = region.width;
    draw();
  }

  const actions = {
    sample: () => sample(),
    style,
    photo: () => takePhoto(),
    reset,
    clear: () => drop(true),
    unanchor: dropAnchors,
    "whole-region": dropRegion,
    "erase-region": () => {
      region.erases = !region.erases;
      $("[data-act=erase-region]", section).setAttribute("aria-pressed", String(region.erases));
    },
    apply: commit,
  };
  section.addEventListener("click", (event) => actions[event.target.closest("[data-act]")?.dataset.act]?.());
  for (const button of $$("[data-tool]", section)) button.onclick = () => useTool(button.dataset.tool);
  $("#drag-compare").onclick = () => compare();
  divider.oninput = split;
  const sizes = $$("[data-size]", section);
  for (const field of sizes) field.max = Math.round(size / 2);
  sizes[0].oninput = () => resize(sizes[0].value);
  sizes[1].onchange = () => resize(sizes[1].value);
  resize(region.width);
  several.onchange = readOut;
  loop.onchange = () => preview();
  $("#drag-seed").onchange = (event) => sample(event.target.value);
  $("#drag-mp4").hidden = !info.mp4;
  acceptDrops($("#drag-stage"), takePhoto);
  new ResizeObserver(draw).observe(overlay);
  overlay.addEventListener("focus", draw);
  overlay.addEventListener("blur", draw);

  const enabled = (name) => () => $(`[data-act=${name}]`, section).disabled || actions[name]();
  const zoomKey = (by) => (event) => {
    zoomAt(...(cursor ?? [size / 2, size / 2]), by, event.timeStamp);
    settle();
  };
  return {
    keys: {
      d: () => useTool("drag"), a: () => useTool("anchor"), z: () => useTool("zoom"), r: () => useTool("region"), "[": () => resize(region.width - 1), "]": () => resize(region.width + 1), n: actions.sample, s: actions.style,
      l: () => loop.click(), c: () => compare(), Enter: commit, Escape: () => drop(), Home: enabled("reset"),
      ...steps, "+": zoomKey(-0.05), "=": zoomKey(-0.05), "-": zoomKey(0.05),
    },
    take: takePhoto,
    redraw: draw,
    shown() {
      if (started) return draw();
      started = true;
      return act(() => restore(history.now));
    },
    busy: () => Boolean(job.record),
    resume(again) {
      job.resume();
      if (again && started) act(() => restore({ ...history.now, marks }));
    },
    described: () => ({ type: "drag.export", model: info.model, steps: history.now.steps }),
  };
}
