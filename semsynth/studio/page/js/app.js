// The page: tabs, theme, keys, and the connection that all tabs share.

import { $, $$, attempt } from "./dom.js";
import { Link } from "./link.js";
import { buildDrag } from "./drag.js";
import { buildPaint } from "./paint.js";
import { buildScribble } from "./scribble.js";

const link = new Link();
const tabs = {};
const buttons = $$("[data-tab]");
let current = "paint";

function openTab(name, focus = false) {
  if (!buttons.some((button) => button.dataset.tab === name)) return;
  current = name;
  for (const button of buttons) {
    const chosen = button.dataset.tab === name;
    button.setAttribute("aria-selected", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
    if (chosen && focus) button.focus();
    $(`#${button.dataset.tab}`).hidden = !chosen;
  }
  history.replaceState(null, "", `#/${name}`);
  tabs[name]?.shown?.();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
}

function togglePixels(on = !document.body.classList.contains("pixelated")) {
  document.body.classList.toggle("pixelated", on);
  $("#pixels").setAttribute("aria-pressed", String(on));
  localStorage.setItem("pixels", on ? "1" : "");
  Object.values(tabs).forEach((tab) => tab.redraw?.());
}

const everywhere = {
  1: () => openTab("paint"),
  2: () => openTab("scribble"),
  3: () => openTab("drag"),
  p: () => togglePixels(),
  t: () => $("#theme").click(),
  "?": () => $("#help").showModal(),
};

function onKey(event) {
  const field = event.target.closest("input:not([type=range]):not([type=checkbox]), select, textarea");
  if (field || $("#help").open) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const own = tabs[current]?.keys ?? {};
  let action = null;
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") action = event.shiftKey ? own.redo : own.undo;
    if (key === "y") action = own.redo;
  } else if (!event.altKey) {
    if (["Enter", " "].includes(key) && event.target.closest("button, a")) return;
    action = own[key] ?? everywhere[key];
  }
  if (!action) return;
  event.preventDefault();
  action(event);
}

function say(state, words) {
  const place = $("#link-state");
  place.className = `link-state ${state}`;
  place.lastElementChild.textContent = words;
}

async function greet() {
  say("on", "Ready");
  $("#banner").hidden = true;
  const { header, images } = await link.request("hello");
  const builders = { paint: buildPaint, scribble: buildScribble, drag: buildDrag };
  let start = 0;
  for (const [name, build] of Object.entries(builders)) {
    const state = header[name];
    tabs[name] ??= build($(`#${name}`), link, state.info);
    tabs[name].restore(state, images.slice(start, (start += state.images)));
  }
  document.body.classList.remove("is-loading");
  document.body.dataset.ready = "1";
  tabs[current].shown?.();
}

link.addEventListener("open", () => attempt(greet));
link.addEventListener("busy", () => say("busy", "Working"));
link.addEventListener("idle", () => say("on", "Ready"));
link.addEventListener("lost", (event) => {
  say("off", "No connection");
  document.body.dataset.ready = "";
  $("#banner").hidden = false;
  $("#banner").textContent = event.detail || "The studio does not respond. Reconnecting … your work is kept for half an hour.";
});

for (const button of buttons) button.onclick = () => openTab(button.dataset.tab);
$(".tabs").onkeydown = (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const i = buttons.findIndex((button) => button.dataset.tab === current);
  openTab(buttons[(i + step + buttons.length) % buttons.length].dataset.tab, true);
};
$("#theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
$("#pixels").onclick = () => togglePixels();
$("#help-open").onclick = () => $("#help").showModal();
document.addEventListener("keydown", onKey);
window.addEventListener("hashchange", () => openTab(location.hash.slice(2)));

const preferred = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
setTheme(localStorage.getItem("theme") || preferred);
togglePixels(localStorage.getItem("pixels") === "1");
openTab(location.hash.slice(2) || "paint");
link.connect();
