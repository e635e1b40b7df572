// A job that takes seconds, in the box of its tab. It survives a reload, and replaces nothing that was made meanwhile.

import { $, attempt } from "./dom.js";

export class Job {
  // `finish(answer, record)` takes the result; `watch(header, images)` sees the progress.
  constructor(section, link, history, finish, watch = () => {}) {
    Object.assign(this, { link, history, finish, watch, record: null });
    this.store = history.store;
    this.place = history.place;
    this.root = $(".job", section);
    this.stop = $("[data-act=stop]", this.root);
    this.show = $("[data-act=show]", this.root);
    this.stop.onclick = () => this.#end();
    this.show.onclick = () => this.#take();
  }

  // `again`: the result is one that the page has already had.
  async start(type, fields, again = false) {
    if (this.record) await this.#end();
    const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    await this.#run({ key, type, fields, again, since: this.history.id });
  }

  // Goes on after a reload, or with a new connection.
  async resume() {
    const record = this.record ?? (await this.store.get("job", this.place));
    if (record && !this.ready) await this.#run(record);
  }

  async #run(record) {
    this.record = record;
    this.store.put([["job", this.place], record]);
    this.#display("Waiting", 0);
    await attempt(async () => {
      try {
        const answer = await this.link.request(record.type, { ...record.fields, job: record.key }, (header, images) => this.#progress(record, header, images));
        if (this.record !== record) return;
        this.ready = answer;
        if (record.again || record.since === this.history.id) await this.#take();
        else this.#display("The result is ready, but you have gone on meanwhile.", 1);
      } catch (error) {
        if (this.record === record && !error.lost) this.#forget();
        throw error;
      }
    });
  }

  #progress(record, header, images) {
    if (this.record !== record) return;
    this.#display(header.words, header.progress);
    this.watch(header, images);
  }

  #display(words, progress) {
    this.root.hidden = false;
    $(".job-words", this.root).textContent = words;
    $("progress", this.root).value = progress;
    this.show.hidden = !this.ready;
    this.stop.textContent = this.ready ? "Discard" : "Stop";
  }

  async #take() {
    const { ready, record } = this;
    this.#forget();
    await this.finish(ready, record);
  }

  async #end() {
    const { key } = this.record ?? {};
    const running = this.record && !this.ready;
    this.#forget();
    if (running) await this.link.request("stop", { job: key }).catch(() => {});
  }

  #forget() {
    this.record = this.ready = null;
    this.root.hidden = true;
    this.store.put([["job", this.place]]);
  }
}
