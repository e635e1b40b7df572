// The socket: numbered requests, answers in binary frames, and reconnection.

const RETRY = [300, 800, 1500, 3000, 5000];

export class Link extends EventTarget {
  // `supply(key)` uploads again what the server no longer has; whether it could.
  constructor(supply) {
    super();
    this.supply = supply;
    this.seq = 0;
    this.waiting = new Map();
    this.failures = 0;
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/socket`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.#tell("open");
    this.socket.onmessage = (event) => this.#receive(event.data);
    this.socket.onclose = (event) => this.#lost(event);
  }

  // The same connection, for one model.
  of(model) {
    return { request: (type, fields = {}, onProgress = null) => this.request(type, { model, ...fields }, onProgress) };
  }

  // Sends a message, again if the server lacks something; resolves to the answer's header and images.
  async request(type, fields = {}, onProgress = null) {
    for (const missed = new Set(); ; ) {
      try {
        return await this.#send(type, fields, onProgress);
      } catch (error) {
        if (!error.missing || missed.has(error.missing) || !(await this.supply(error.missing))) throw error;
        missed.add(error.missing);
      }
    }
  }

  #send(type, fields, onProgress) {
    if (!this.isOpen) return Promise.reject(lost());
    const seq = ++this.seq;
    return new Promise((resolve, reject) => {
      this.waiting.set(seq, { resolve, reject, onProgress });
      this.socket.send(JSON.stringify({ seq, type, ...fields }));
      this.#tell("busy");
    });
  }

  #receive(frame) {
    const view = new DataView(frame);
    const length = view.getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(frame, 4, length)));
    let start = 4 + length;
    const images = header.sizes.map((size) => new Uint8Array(frame, (start += size) - size, size));
    const request = this.waiting.get(header.seq);
    if (!request) return;
    if (!header.done) {
      request.onProgress?.(header, images);
      return;
    }
    this.waiting.delete(header.seq);
    if (!this.waiting.size) this.#tell("idle");
    if (header.error) request.reject(Object.assign(new Error(header.error), { missing: header.missing }));
    else if (header.superseded || header.stopped) request.reject(quiet("Superseded."));
    else request.resolve({ header, images });
  }

  #lost(event) {
    for (const { reject } of this.waiting.values()) reject(lost());
    this.waiting.clear();
    if (event.code === 4401) {
      location.reload();
      return;
    }
    this.failures += 1;
    this.#tell("lost", event.code === 4503 ? event.reason : "");
    setTimeout(() => this.connect(), RETRY[Math.min(this.failures, RETRY.length) - 1]);
  }

  #tell(name, detail = null) {
    if (name === "open") this.failures = 0;
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function lost() {
  return Object.assign(quiet("The connection is lost."), { lost: true });
}

function quiet(message) {
  return Object.assign(new Error(message), { quiet: true });
}

// Only the newest request waits, and at most `most` are in flight.
export class Newest {
  constructor(send, most = 2) {
    this.send = send;
    this.most = most;
    this.flying = 0;
    this.next = null;
  }

  put(value) {
    this.next = { value };
    this.#pump();
  }

  drop() {
    this.next = null;
  }

  async #pump() {
    if (!this.next || this.flying >= this.most) return;
    const { value } = this.next;
    this.next = null;
    this.flying += 1;
    try {
      await this.send(value);
    } finally {
      this.flying -= 1;
      this.#pump();
    }
  }
}
