/** What the daemon is doing, kept up to date by its events. Views listen; none of them asks twice. */

import { ApiError } from "./client.js";

/** Ended downloads that are remembered for a look. */
const JUST_ENDED = 8;

/**
 * Tells `active` (something moved), `ended` (an entry of the history), `import` (an operation), `connection`, `reset`
 * (the history may have changed in any way), `expired` (the token is no longer valid) and `refused` (an error).
 */
export class Store extends EventTarget {
  /** @type {Map<string, any>} active downloads, oldest first */
  active = new Map();
  /** @type {any[]} newest first */
  justEnded = [];
  connected = false;
  #run = new AbortController();

  /** @param {import("./client.js").Client} client */
  constructor(client) {
    super();
    this.client = client;
  }

  /** Follows the events until `stop`. */
  async start() {
    this.#run.abort();
    const run = (this.#run = new AbortController());
    this.active.clear();
    this.#tell("active");
    try {
      const onState = (/** @type {{connected: boolean}} */ { connected }) => {
        this.connected = connected;
        this.#tell("connection");
      };
      for await (const { event, data } of this.client.events({ signal: run.signal, onState })) {
        if (run.signal.aborted) return;
        this.#take(event, data);
      }
    } catch (error) {
      if (run.signal.aborted) return;
      this.connected = false;
      this.#tell("connection");
      this.#tell(error instanceof ApiError && error.status === 401 ? "expired" : "refused", error);
    }
  }

  stop() {
    this.#run.abort();
    this.connected = false;
  }

  /** Bytes a second of everything together. */
  speed() {
    let total = 0;
    for (const entry of this.active.values()) if (entry.status === "downloading") total += entry.speed ?? 0;
    return total;
  }

  /** An entry that an answer brought, ahead of its event. @param {any} entry */
  put(entry) {
    this.#take("end_time" in entry ? "history" : "download", entry);
  }

  /** @param {string} event @param {any} data */
  #take(event, data) {
    if (event === "download") {
      this.active.set(data.id, data);
      this.#tell("active");
    } else if (event === "history") {
      this.active.delete(data.id);
      this.justEnded = [data, ...this.justEnded.filter((entry) => entry.id !== data.id)].slice(0, JUST_ENDED);
      this.#tell("active");
      this.#tell("ended", data);
    } else if (event === "import") {
      this.#tell("import", data);
    } else if (event === "reset") {
      // What is active follows; who ended meanwhile is told by the history.
      this.active.clear();
      this.#tell("active");
      this.#tell("reset");
    }
  }

  /** @param {string} name @param {any} [detail] */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
