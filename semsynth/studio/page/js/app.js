// The page: tabs, theme, keys, and the connection that all tabs share.

import { $, $$, attempt, upload } from "./dom.js";
import { serveDownloads } from "./download.js";
import { acceptEverywhere } from "./files.js";
import { Link } from "./link.js";
import { chosenOf, openModels } from "./models.js";
import { Store } from "./store.js";
import { buildDrag } from "./drag.js";
import { buildPaint } from "./paint.js";
import { buildScribble } from "./scribble.js";

const store = await Store.open();
const link = new Link(supply);
const builders = { paint: buildPaint, scribble: buildScribble, drag: buildDrag };
const tabs = {};
const blank = {}; // the sections as they came
let models = null;
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
  localStorage.setItem("tab", name);
  nameModel();
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
  if (field || $("dialog[open]")) return;
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
  const { paint, scribble, drag, first } = (await link.request("hello")).header;
  const there = { paint, scribble, drag };
  const again = Boolean(models);
  if (again && JSON.stringify(models) !== JSON.stringify(there)) return location.reload(); // the server has other models now
  models = there;
  if (!again && isFirstVisit) openTab(first);
  await Promise.all(Object.keys(builders).map((name) => tabs[name] ?? build(name, chosenOf(name, models[name]))));
  nameModel();
  await tabs[current].shown();
  document.body.classList.remove("is-loading");
  document.body.dataset.ready = "1";
  return Object.values(tabs).forEach((tab) => tab.resume(again));
}

async function build(name, info) {
  tabs[name] = await builders[name]($(`#${name}`), link.of(info.model), info, store);
}

// Builds a tab again, with another model.
async function rebuild(name, info) {
  $(`#${name}`).replaceWith(blank[name].cloneNode(true));
  await build(name, info);
  openTab(name);
  tabs[name].resume();
  nameModel();
}

function nameModel() {
  $("#model-name").textContent = models ? chosenOf(current, models[current]).title : "Model";
}

// Uploads again what the server has forgotten.
async function supply(key) {
  const content = await store.get("content", key);
  return Boolean(content) && (await upload(content.purpose, content.body)) === key;
}

async function offerLastWork() {
  const last = store.isNew && (await store.last());
  if (!last) return;
  $("#offer").hidden = false;
  $("#offer-continue").onclick = async () => {
    await store.copy(last);
    location.reload();
  };
  $("#offer-close").onclick = store.onMade = () => ($("#offer").hidden = true);
}

link.addEventListener("open", () => attempt(greet));
link.addEventListener("busy", () => say("busy", "Working"));
link.addEventListener("idle", () => say("on", "Ready"));
link.addEventListener("lost", (event) => {
  say("off", "No connection");
  document.body.dataset.ready = "";
  $("#banner").hidden = false;
  $("#banner").textContent = event.detail || "The studio does not respond. Reconnecting … your work is kept in this browser.";
});

for (const button of buttons) button.onclick = () => openTab(button.dataset.tab);
$(".tabs").onkeydown = (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const i = buttons.findIndex((button) => button.dataset.tab === current);
  openTab(buttons[(i + step + buttons.length) % buttons.length].dataset.tab, true);
};
$("#theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
$("#model-open").onclick = () => models && openModels(current, models[current], () => tabs[current].busy?.(), (info) => attempt(() => rebuild(current, info)));
$("#pixels").onclick = () => togglePixels();
$("#help-open").onclick = () => $("#help").showModal();
document.addEventListener("keydown", onKey);
acceptEverywhere(() => tabs[current]?.take);
window.addEventListener("hashchange", () => openTab(location.hash.slice(2)));

togglePixels(localStorage.getItem("pixels") === "1");
const isFirstVisit = !location.hash && !localStorage.getItem("tab");
for (const name of Object.keys(builders)) blank[name] = $(`#${name}`).cloneNode(true);
openTab(location.hash.slice(2) || localStorage.getItem("tab") || "paint");
serveDownloads(link, (tab) => tabs[tab].described());
offerLastWork();
link.connect();
