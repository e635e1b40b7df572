// A label map with its tools and palette, in Paint and Scribble.

import { $, $$, el, press } from "./dom.js";
import { LabelCanvas } from "./label_canvas.js";

export function buildBoard(section, name, info, unknown) {
  const board = new LabelCanvas($(`#${name}-board`), info.classes, info.size, unknown);
  const tools = $$("[data-tool]", section);
  const sizes = $$("[data-size]", section); // a slider and a number
  const mirror = $("[data-mirror]", section);
  const palette = $(`#${name}-palette`);
  const chips = info.classes.map((entry, label) => {
    const swatch = el("i");
    swatch.style.background = entry.colour;
    const chip = el("button", { type: "button", onclick: () => choose(label) }, swatch, entry.name);
    chip.setAttribute("role", "radio");
    return chip;
  });
  palette.replaceChildren(...chips.filter((_, label) => !(unknown && label === 0)));

  function choose(label) {
    if (unknown && label === 0) return useTool("erase");
    board.label = label;
    chips.forEach((chip, i) => {
      chip.setAttribute("aria-checked", String(i === label));
      chip.tabIndex = i === label ? 0 : -1;
    });
    chips[label].scrollIntoView?.({ block: "nearest", inline: "nearest" });
    return board.tool === "erase" ? useTool("brush") : undefined;
  }

  function useTool(tool) {
    const button = tools.find((candidate) => candidate.dataset.tool === tool && !candidate.hidden);
    if (!button) return;
    board.use(tool);
    press(tools, button);
    board.canvas.classList.toggle("pans", tool === "hand");
  }

  function resize(value) {
    const most = Number(sizes[0].max);
    board.size = Math.min(most, Math.max(1, Math.round(Number(value)) || 1));
    for (const field of sizes) field.value = board.size;
    board.draw();
  }

  function reflect(on = !board.mirrored) {
    board.mirrored = on;
    mirror.setAttribute("aria-pressed", String(on));
    board.draw();
  }

  for (const button of tools) button.onclick = () => useTool(button.dataset.tool);
  for (const field of sizes) field.max = Math.max(8, Math.round(info.size[1] * 0.375));
  sizes[0].oninput = () => resize(sizes[0].value);
  sizes[1].onchange = () => resize(sizes[1].value);
  mirror.onclick = () => reflect();
  const clear = $("[data-clear]", section);
  if (clear) clear.onclick = () => board.clear();
  for (const [act, zoom] of [["in", () => board.view.in()], ["out", () => board.view.out()], ["fit", () => board.view.fit()]]) {
    $(`[data-zoom=${act}]`, section).onclick = zoom;
  }
  board.view.addEventListener("change", () => {
    $("[data-zoom=fit]", section).textContent = `${Math.round(100 * board.view.zoom)} %`;
    $(".zoom", section).classList.toggle("is-whole", board.view.zoom === 1);
  });
  palette.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    next(step);
    chips[board.label].focus();
  };
  const next = (step) => {
    const first = unknown ? 1 : 0;
    const count = chips.length - first;
    choose(first + ((board.label - first + step + count) % count));
  };
  board.addEventListener("pick", (event) => {
    if (board.tool === "pick") useTool("brush");
    choose(event.detail);
  });
  choose(board.label);
  resize(sizes[0].value);
  useTool("brush");

  const keys = {
    b: () => useTool("brush"),
    l: () => useTool("line"),
    q: () => useTool("rectangle"),
    g: () => useTool("polygon"),
    f: () => useTool("fill"),
    e: () => useTool("erase"),
    i: () => useTool("pick"),
    h: () => useTool("hand"),
    m: () => useTool("stamp"),
    x: () => reflect(),
    "[": () => resize(board.size - 1),
    "]": () => resize(board.size + 1),
    "+": () => board.view.in(),
    "=": () => board.view.in(),
    "-": () => board.view.out(),
    0: () => board.view.fit(),
    ",": () => next(-1),
    ".": () => next(1),
    Enter: () => board.close(),
    Escape: () => board.cancel(),
    Delete: () => clear?.click(),
  };
  return { board, keys };
}
