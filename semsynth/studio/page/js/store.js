// What a window makes, kept in the browser: histories, jobs, and the content of keys.

const WINDOWS = 8; // of which the work is kept
const END = []; // sorts after every string and number
const id = () => crypto.getRandomValues(new Uint32Array(3)).join("-");

export class Store {
  // `isNew`: nothing was made in this window before.
  static async open() {
    const store = new Store();
    store.db = await new Promise((resolve) => {
      const asked = indexedDB.open("semsynth", 1);
      asked.onupgradeneeded = () => ["parts", "windows"].forEach((name) => asked.result.createObjectStore(name));
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => resolve(null); // nothing is kept
    });
    store.isNew = !sessionStorage.window;
    store.window = sessionStorage.window ??= id();
    const windows = await store.#windows();
    store.made = windows.find(({ name }) => name === store.window)?.made ?? false; // is there anything to continue?
    store.#clean(windows.slice(WINDOWS));
    store.#watch();
    return store;
  }

  get(...key) {
    return this.#do("parts", (parts) => parts.get([this.window, ...key]));
  }

  // Takes pairs of key and value; no value removes what there was.
  put(...pairs) {
    if (!this.made && pairs.some(([[kind]]) => kind === "history")) {
      this.made = true;
      this.onMade?.();
    }
    this.#do("windows", (windows) => windows.put({ time: Date.now(), made: this.made }, this.window));
    return this.#do("parts", (parts) => {
      for (const [key, value] of pairs) {
        if (value === undefined) parts.delete([this.window, ...key]);
        else parts.put(value, [this.window, ...key]);
      }
    });
  }

  // Removes what is numbered under a key, from one number on.
  cut(key, from) {
    return this.#do("parts", (parts) => parts.delete(IDBKeyRange.bound([this.window, ...key, from], [this.window, ...key, END])));
  }

  // All keys and values under a key, in order.
  all(...key) {
    return this.#pairs([this.window, ...key]);
  }

  // Keeps what the server may ask for again, by its key.
  keep(key, purpose, body) {
    const own = body instanceof Uint8Array ? body.slice() : body; // not the frame that it came in
    return this.put([["content", key], { purpose, body: own }]);
  }

  // The window in which something was made last, other than this one.
  async last() {
    const others = await this.#windows();
    return others.find(({ name, made }) => made && name !== this.window)?.name ?? null;
  }

  // Begins with a copy of what another window has.
  async copy(window) {
    const own = IDBKeyRange.bound([this.window], [this.window, END]);
    await this.#do("parts", (parts) => parts.delete(own));
    await this.put(...(await this.#pairs([window])).filter(([key]) => key[0] !== "job"));
  }

  // A duplicated window has the same name: the newer one takes another, and a copy.
  #watch() {
    const channel = new BroadcastChannel("semsynth");
    const token = id();
    channel.onmessage = async ({ data }) => {
      if (data.window !== this.window) return;
      if (data.token !== token) {
        if (data.asks) channel.postMessage({ ...data, asks: false });
      } else if (!data.asks) {
        const old = this.window;
        this.window = sessionStorage.window = id();
        await this.copy(old);
        location.reload();
      }
    };
    channel.postMessage({ window: this.window, token, asks: true });
  }

  async #pairs(key) {
    const range = IDBKeyRange.bound(key, [...key, END]);
    const keys = (await this.#do("parts", (parts) => parts.getAllKeys(range))) ?? [];
    const values = (await this.#do("parts", (parts) => parts.getAll(range))) ?? [];
    return keys.map((each, i) => [each.slice(1), values[i]]);
  }

  #clean(windows) {
    for (const { name } of windows) {
      this.#do("windows", (windows) => windows.delete(name));
      this.#do("parts", (parts) => parts.delete(IDBKeyRange.bound([name], [name, END])));
    }
  }

  // All windows, the last one first.
  async #windows() {
    const names = (await this.#do("windows", (windows) => windows.getAllKeys())) ?? [];
    const values = (await this.#do("windows", (windows) => windows.getAll())) ?? [];
    return names.map((name, i) => ({ name, ...values[i] })).sort((a, b) => b.time - a.time);
  }

  #do(name, work) {
    if (!this.db) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const transaction = this.db.transaction(name, "readwrite");
      const asked = work(transaction.objectStore(name));
      transaction.oncomplete = () => resolve(asked?.result);
      transaction.onabort = () => resolve(undefined); // the disk is full, say: it lives in memory alone
    });
  }
}
