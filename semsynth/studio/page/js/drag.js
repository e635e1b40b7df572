// The Drag tab: points are dragged, and the image follows.

import { $, $$, acceptDrops, attempt, chooseFile, el, icon, iconButton, paintBitmap, press, randomSeed, seedOf, show, upload } from "./dom.js";
import { drawMarks } from "./marks.js";
import { Newest } from "./link.js";

const NEAR = 9; // screen pixels within which a handle is picked
const MAX_ZOOM = Math.log(4);
const SETTLE = 350; // milliseconds after the last wheel event

export function buildDrag(section, link, info) {
  const size = info.canvas;
  const overlay = $("#drag-overlay");
  const picture = $("#drag-image");
  const before = $("#drag-before");
  const divider = $("#drag-divider");
  const several = $("#drag-several");
  const loop = $("#drag-loop");
  const latency = { chip: $("#drag-latency"), all: [] };
  let marks = []; // pending drags, zooms and anchors
  let done = []; // the last applied marks, with their reports
  let tool = "drag";
  let held = null;
  let cursor = null;
  let shownFrame = 0; // number of the newest frame on the screen
  let frame = 0;
  let settling = 0;
  window.studio = { latency: latency.all, frames: [] };

  // Frames

  const previews = new Newest(async ({ time, number }) => {
    const sent = active();
    if (!sent.length) return;
    await attempt(async () => {
      const of = [...marks];
      const { header, images } = await link.request("drag.preview", { marks: sent, closed_loop: loop.checked });
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
  const moves = () => marks.some((mark) => Math.hypot(mark.dx, mark.dy) >= 1 || mark.log_expansion !== 0);

  function preview(time = performance.now()) {
    draw();
    if (moves()) previews.put({ time, number: ++frame });
    $("[data-act=apply]", section).disabled = !moves();
  }

  async function take({ header, images }) {
    shownFrame = ++frame;
    previews.drop();
    await show(picture, images[0]);
    if (images[1]) await show(before, images[1]);
    history(header);
  }

  function history({ can_undo, can_redo, steps, start }) {
    for (const [act, on] of [["undo", can_undo], ["redo", can_redo], ["reset", can_undo]]) $(`[data-act=${act}]`, section).disabled = !on;
    const from = start.kind === "image" ? `your photo (error ${start.mse.toFixed(3)})` : `sample ${start.seed}`;
    if (start.kind === "sample") $("#drag-seed").value = start.seed;
    $("#drag-history").textContent = `${steps ? `${steps} ${steps === 1 ? "step" : "steps"}` : "No edits yet"}, from ${from}.`;
  }

  async function commit() {
    clearTimeout(settling);
    settling = 0;
    if (!moves()) return;
    const sent = marks;
    const fields = { marks: active(), closed_loop: loop.checked };
    marks = sent.filter(isAnchor).map((mark) => ({ ...mark, report: undefined }));
    await attempt(async () => {
      const answer = await link.request("drag.commit", fields);
      done = sent.map((mark, i) => ({ ...mark, report: answer.header.reports[i] })).filter((mark) => !isAnchor(mark));
      await take(answer);
    });
    preview();
    readOut();
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

  function toggleAnchor(x, y) {
    const there = near(x, y, true);
    if (there) marks = marks.filter((mark) => mark !== there);
    else if (marks.length < 64) marks.push(fresh(x, y, { anchor: true }));
    done = [];
    preview();
    readOut();
  }

  function zoomAt(x, y, by, time) {
    done = [];
    let mark = marks.find((other) => other.zoom && Math.hypot(other.x - x, other.y - y) < size / 8);
    if (!mark) marks.push((mark = fresh(x, y, { anchor: false, zoom: true })));
    mark.log_expansion = Math.min(MAX_ZOOM, Math.max(-MAX_ZOOM, mark.log_expansion + by));
    preview(time);
    readOut();
  }

  function settle() {
    clearTimeout(settling);
    if (!several.checked) settling = setTimeout(commit, SETTLE);
  }

  // Discards pending marks and shows the image without them.
  async function drop(anchorsToo = false) {
    const shown = moves();
    marks = anchorsToo ? [] : marks.filter(isAnchor);
    done = [];
    held = null;
    preview();
    readOut();
    if (shown) await attempt(async () => take(await link.request("drag.show")));
  }

  // Pointer

  overlay.addEventListener("contextmenu", (event) => event.preventDefault());
  overlay.addEventListener("pointerdown", (event) => {
    overlay.focus({ preventScroll: true });
    const [x, y] = place(event);
    if (held || comparing()) return;
    if (event.button === 2 || tool === "anchor") {
      toggleAnchor(x, y);
      return;
    }
    if (event.button !== 0) return;
    overlay.setPointerCapture(event.pointerId);
    const there = near(x, y, false);
    const keep = several.checked || event.shiftKey;
    if (!there && !keep) marks = marks.filter(isAnchor);
    done = [];
    held = { pointer: event.pointerId, mark: there ?? fresh(x, y, { anchor: false, zoom: tool === "zoom" }), start: [event.clientX, event.clientY], keep };
    if (!there) marks.push(held.mark);
    readOut();
    draw();
  });
  overlay.addEventListener("pointermove", (event) => {
    cursor = place(event);
    if (!held || event.pointerId !== held.pointer) return;
    if (tool === "zoom" && held.mark.zoom) {
      held.mark.log_expansion = Math.min(MAX_ZOOM, Math.max(-MAX_ZOOM, (event.clientY - held.start[1]) / 160));
    } else {
      [held.mark.dx, held.mark.dy] = [cursor[0] - held.mark.x, cursor[1] - held.mark.y];
    }
    preview(event.timeStamp);
  });
  const release = (event) => {
    if (!held || event.pointerId !== held.pointer) return;
    const { mark, keep } = held;
    held = null;
    if (Math.hypot(mark.dx, mark.dy) < 1 && mark.log_expansion === 0) marks = marks.filter((other) => other !== mark);
    if (keep) preview();
    else commit();
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
      [held.mark.dx, held.mark.dy] = [cursor[0] - held.mark.x, cursor[1] - held.mark.y];
      preview(event.timeStamp);
    }
    if (event.key === " ") {
      if (held) release({ pointerId: "keys" });
      else {
        held = { pointer: "keys", mark: fresh(...cursor, { anchor: false }), keep: several.checked };
        marks.push(held.mark);
      }
    }
    draw();
  });

  // The list of marks and their results

  function draw() {
    drawMarks(overlay, size, marks, done, document.activeElement === overlay && overlay.matches(":focus-visible") ? cursor : null);
  }

  function readOut() {
    const list = $("#drag-marks");
    const rows = [...marks, ...done].map((mark) => row(mark, marks.includes(mark)));
    list.replaceChildren(...(rows.length ? rows : [el("li", { className: "none", textContent: "None yet. Drag a point in the image." })]));
    $("[data-act=apply]", section).hidden = !several.checked && (!marks.some((mark) => !isAnchor(mark)) || (held && !held.keep));
  }

  function row(mark, pending) {
    const kind = mark.anchor ? "anchor" : mark.zoom ? "zoom" : "hand";
    const words = el("span", { className: "grow" });
    const change = mark.zoom ? `zoom ×${Math.exp(-mark.log_expansion).toFixed(2)}` : `${mark.dx.toFixed(1)}, ${mark.dy.toFixed(1)} px`;
    words.textContent = mark.anchor ? `Anchor at ${mark.x.toFixed(0)}, ${mark.y.toFixed(0)}` : change;
    const item = el("li", {}, icon(kind), words);
    if (mark.report) {
      const { requested, achieved, reached } = mark.report;
      const short = mark.zoom ? Math.abs(achieved[2] - requested[2]).toFixed(2) : Math.hypot(achieved[0] - requested[0], achieved[1] - requested[1]).toFixed(1);
      const miss = mark.anchor ? `moved ${short} px` : mark.zoom ? `${short} off` : `${short} px short`;
      item.append(el("span", { className: reached ? "reached" : "missed", textContent: reached ? (mark.anchor ? "held" : "reached") : miss }));
    }
    if (pending) item.append(iconButton("close", "Remove this mark", () => remove(mark)));
    return item;
  }

  async function remove(mark) {
    marks = marks.filter((other) => other !== mark);
    preview();
    readOut();
    if (!moves()) await attempt(async () => take(await link.request("drag.show")));
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

  async function step(type, fields = {}) {
    marks = marks.filter(isAnchor);
    done = [];
    await attempt(async () => take(await link.request(type, fields)));
    preview();
    readOut();
  }

  function sample(value = randomSeed()) {
    $("#drag-seed").value = value;
    marks = [];
    return step("drag.sample", { seed: seedOf($("#drag-seed")) });
  }

  async function takePhoto(file) {
    file ??= await chooseFile();
    if (!file) return;
    const job = $("#drag-job");
    await attempt(async () => {
      const number = await upload("drag.photo", file);
      job.hidden = false;
      $("progress", job).value = 0;
      $(".job-words", job).textContent = "Queued";
      marks = [];
      done = [];
      readOut();
      await take(await link.request("drag.photo", { upload: number }, (header) => {
        $("progress", job).value = header.progress;
        $(".job-words", job).textContent = header.words;
      }));
    });
    job.hidden = true;
    draw();
  }

  function useTool(name) {
    tool = name;
    press($$("[data-tool]", section), $(`[data-tool=${name}]`, section));
    $("#drag-hint").textContent = {
      drag: "Drag a point; anchored points stay.",
      anchor: "Click to anchor; click again to remove.",
      zoom: "Drag up to zoom in, down to zoom out.",
    }[name];
  }

  const actions = {
    sample: () => sample(),
    style: () => step("drag.style", { seed: randomSeed() }),
    photo: () => takePhoto(),
    undo: () => step("drag.undo"),
    redo: () => step("drag.redo"),
    reset: () => step("drag.reset"),
    clear: () => drop(true),
    apply: commit,
    stop: () => link.request("stop"),
  };
  section.addEventListener("click", (event) => actions[event.target.closest("[data-act]")?.dataset.act]?.());
  for (const button of $$("[data-tool]", section)) button.onclick = () => useTool(button.dataset.tool);
  $("#drag-compare").onclick = () => compare();
  divider.oninput = split;
  several.onchange = readOut;
  loop.onchange = () => preview();
  $("#drag-seed").onchange = (event) => sample(event.target.value);
  $("#drag-mp4").hidden = !info.mp4;
  acceptDrops($("#drag-stage"), takePhoto);
  new ResizeObserver(draw).observe(overlay);
  overlay.addEventListener("focus", draw);
  overlay.addEventListener("blur", draw);

  const enabled = (act) => () => $(`[data-act=${act}]`, section).disabled || actions[act]();
  const zoomKey = (by) => (event) => {
    zoomAt(...(cursor ?? [size / 2, size / 2]), by, event.timeStamp);
    settle();
  };
  return {
    keys: {
      d: () => useTool("drag"), a: () => useTool("anchor"), z: () => useTool("zoom"), n: actions.sample, s: actions.style,
      l: () => loop.click(), c: () => compare(), Enter: commit, Escape: () => drop(), Home: enabled("reset"),
      undo: enabled("undo"), redo: enabled("redo"), "+": zoomKey(-0.05), "=": zoomKey(-0.05), "-": zoomKey(0.05),
    },
    redraw: draw,
    shown: draw,
    restore(state, images) {
      marks = [];
      done = [];
      take({ header: state, images });
      readOut();
    },
  };
}
