// The choice among the models of a tab, each with its card.

import { $, el, toast } from "./dom.js";

const place = (tab) => `model:${tab}`;

// The model that was chosen for a tab in this window, or else in the last one, or else the first.
export function chosenOf(tab, infos) {
  const chosen = sessionStorage.getItem(place(tab)) ?? localStorage.getItem(place(tab));
  return infos.find(({ model }) => model === chosen) ?? infos[0];
}

// Shows the models of a tab; `use(info)` takes another one, unless `busy()`.
export function openModels(tab, infos, busy, use) {
  const now = chosenOf(tab, infos);
  $("#models-list").replaceChildren(...infos.map((info) => card(info, info === now, () => {
    if (busy()) return toast("Wait for the work in progress, or stop it, before you change the model.", true);
    for (const storage of [sessionStorage, localStorage]) storage.setItem(place(tab), info.model);
    $("#models").close();
    return use(info);
  })));
  $("#models").showModal();
}

function card({ title, facts }, inUse, take) {
  const rows = facts.flatMap(([name, value]) => [el("dt", { textContent: name }), el("dd", { textContent: value })]);
  const button = el("button", { type: "button", disabled: inUse, textContent: inUse ? "In use" : "Use this model", onclick: take });
  return el("li", { className: inUse ? "is-used" : "" }, el("h3", { textContent: title }), el("dl", {}, ...rows), button);
}
