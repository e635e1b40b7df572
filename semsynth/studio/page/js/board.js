// A label map with its tools and palette, in Paint and Scribble.

import { $, $$, el, press } from "./dom.js";
import { LabelCanvas } from "./label_canvas.js";

export function buildBoard(section, name, info, unknown) {
  const board = new LabelCanvas($(`#${name}-board`), info.classes, info.size, unknown);
  const tools = $$("[data-tool]", section);
  const size = $("[data-size]", section);
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
    return board.tool === "erase" ? useTool("brush") : undefined;
  }

  function useTool(tool) {
    const button = tools.find((candidate) => candidate.dataset.tool === tool);
    if (!button) return;
    board.tool = tool;
    press(tools, button);
    board.draw();
  }

  function resize(value) {
    size.value = value;
    board.radius = Number(size.value);
    board.draw();
  }

  for (const button of tools) button.onclick = () => useTool(button.dataset.tool);
  size.oninput = () => resize(size.value);
  const clear = $("[data-clear]", section);
  if (clear) clear.onclick = () => board.clear();
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
  board.addEventListener("pick", (event) => choose(event.detail));
  choose(board.label);
  resize(size.value);

  const keys = {
    b: () => useTool("brush"),
    f: () => useTool("fill"),
    e: () => useTool("erase"),
    m: () => useTool("stamp"),
    "[": () => resize(board.radius - 1),
    "]": () => resize(board.radius + 1),
    ",": () => next(-1),
    ".": () => next(1),
    Delete: () => clear?.click(),
  };
  return { board, keys, choose, useTool };
}
