// The list of marks beside the image, each with its result.

import { el, icon, iconButton } from "./dom.js";

// `remove` is absent for marks that are done.
export function markRow(mark, remove = null) {
  const words = el("span", { className: "grow", textContent: wordsOf(mark) });
  const item = el("li", {}, icon(mark.anchor ? "anchor" : mark.zoom ? "zoom" : "hand"), words);
  if (mark.report) item.append(el("span", { className: mark.report.reached ? "reached" : "missed", textContent: resultOf(mark) }));
  if (remove) item.append(iconButton("close", "Remove this mark", () => remove(mark)));
  return item;
}

function wordsOf(mark) {
  if (mark.anchor) return `Anchor at ${mark.x.toFixed(0)}, ${mark.y.toFixed(0)}`;
  if (mark.zoom) return `zoom ×${Math.exp(-mark.log_expansion).toFixed(2)}`;
  return `${mark.dx.toFixed(1)}, ${mark.dy.toFixed(1)} px`;
}

function resultOf({ anchor, zoom, report: { requested, achieved, reached } }) {
  if (reached) return anchor ? "held" : "reached";
  if (zoom) return `${Math.abs(achieved[2] - requested[2]).toFixed(2)} off`;
  const short = Math.hypot(achieved[0] - requested[0], achieved[1] - requested[1]).toFixed(1);
  return anchor ? `moved ${short} px` : `${short} px short`;
}

// What is anchored, in words; empty if nothing is.
export function anchoredWords(marks) {
  const count = marks.filter(({ anchor }) => anchor).length;
  if (!count) return "";
  return count === 1 ? "1 point is anchored: every drag holds it in place." : `${count} points are anchored: every drag holds them in place.`;
}
