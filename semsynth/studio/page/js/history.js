// The history of a tab: states that are never changed, kept in the browser.

import { $ } from "./dom.js";

const MOST = 200;

export class History {
  // `first` makes the state of a tab in which nothing was made; it can be made again, so it is not kept.
  static async load(store, place, first) {
    const history = new History();
    Object.assign(history, { store, place, entries: [], position: 0, offset: 0, listeners: [] });
    const kept = await store.all("history", place);
    history.entries = kept.map(([, entry]) => entry);
    history.offset = kept[0]?.[0].at(-1) ?? 0;
    const position = (await store.get("position", place)) ?? 0;
    history.position = Math.min(Math.max(position - history.offset, 0), Math.max(kept.length - 1, 0));
    if (!kept.length) history.entries = [{ id: 0, state: await first() }];
    return history;
  }

  get now() {
    return this.entries[this.position].state;
  }

  // Differs between any two states.
  get id() {
    return this.entries[this.position].id;
  }

  get canUndo() {
    return this.position > 0;
  }

  get canRedo() {
    return this.position < this.entries.length - 1;
  }

  push(state) {
    const entry = { id: Math.random(), state };
    this.entries = [...this.entries.slice(0, this.position + 1), entry];
    const extra = Math.max(0, this.entries.length - MOST);
    const dropped = Array.from({ length: extra }, (_, i) => [["history", this.place, this.offset + i]]);
    this.entries = this.entries.slice(extra);
    this.offset += extra;
    this.position = this.entries.length - 1;
    const number = this.offset + this.position;
    this.store.cut(["history", this.place], number + 1);
    const pairs = number === 1 ? [[["history", this.place, 0], this.entries[0]]] : [];
    this.#save(...dropped, ...pairs, [["history", this.place, number], entry]);
  }

  move(by) {
    if (!(this.position + by in this.entries)) return false;
    this.position += by;
    this.#save();
    return true;
  }

  #save(...pairs) {
    this.store.put(...pairs, [["position", this.place], this.offset + this.position]);
    this.listeners.forEach((tell) => tell());
  }
}

// Buttons and keys of a history; `restore` shows its state, `left` is the one before.
export function undoable(section, history, restore) {
  const [back, forth] = [$("[data-undo]", section), $("[data-redo]", section)];
  const move = (by) => {
    const left = history.now;
    return history.move(by) ? restore(history.now, by < 0 ? left : history.now) : undefined;
  };
  const refresh = () => {
    back.disabled = !history.canUndo;
    forth.disabled = !history.canRedo;
  };
  history.listeners.push(refresh);
  refresh();
  back.onclick = () => move(-1);
  forth.onclick = () => move(1);
  return { undo: () => move(-1), redo: () => move(1) };
}
