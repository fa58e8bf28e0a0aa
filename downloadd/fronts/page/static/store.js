/** State of the daemon, kept current by its events. Views listen to it and send no queries of their own. */

import { ApiError } from "./client.js";
import { sharedEvents } from "./shared_events.js";

/** Ended downloads that the overview shows. */
const MAX_RECENTLY_ENDED = 8;
/** Ended downloads whose entries are kept, for rows that show them still. */
const MAX_ENDED = 500;

/**
 * Dispatches `active` (an active download changed), `ended` (an entry of the history), `removed` (a set of ids that the
 * history has no longer), `import` (an operation), `settings` (the limits on all downloads),
 * `connection`, `reset` (read the history again), `expired` (the token is no longer valid) and `refused` (an error).
 */
export class Store extends EventTarget {
  /** @type {Map<string, any>} active downloads, oldest first */
  active = new Map();
  /** @type {any[]} newest first */
  recentlyEnded = [];
  /** @type {Map<string, any>} the last ended downloads by id */
  ended = new Map();
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
    this.#emit("active");
    try {
      const onState = (/** @type {{connected: boolean}} */ { connected }) => {
        this.connected = connected;
        this.#emit("connection");
      };
      const entries = () => [...this.active.values()];
      for await (const { event, data } of sharedEvents(this.client, { signal: run.signal, onState, entries })) {
        if (run.signal.aborted) return;
        this.#applyEvent(event, data);
      }
    } catch (error) {
      if (run.signal.aborted) return;
      this.connected = false;
      this.#emit("connection");
      this.#emit(error instanceof ApiError && error.status === 401 ? "expired" : "refused", error);
    }
  }

  stop() {
    this.#run.abort();
    this.connected = false;
  }

  /** Returns the speed of all downloads together in bytes a second. */
  speed() {
    let total = 0;
    for (const entry of this.active.values()) if (entry.status === "downloading") total += entry.speed ?? 0;
    return total;
  }

  /**
   * Performs an action on a download, and applies the entry of its answer, unless a newer one came with an event meanwhile.
   * @param {string} id @param {() => Promise<any>} action
   */
  async change(id, action) {
    const before = this.active.get(id);
    const entry = await action();
    if (this.active.get(id) === before) this.put(entry);
    return entry;
  }

  /** Applies the entry of an answer before its event arrives. @param {any} entry */
  put(entry) {
    this.#applyEvent("end_time" in entry ? "history" : "download", entry);
  }

  /** Applies the removal of an entry before its event arrives. @param {string} id */
  remove(id) {
    this.#applyEvent("removed", { ids: [id] });
  }

  /** @param {string} event @param {any} data */
  #applyEvent(event, data) {
    if (event === "download") {
      this.active.set(data.id, data);
      this.ended.delete(data.id);
      this.#emit("active");
    } else if (event === "history") {
      this.active.delete(data.id);
      this.recentlyEnded = [data, ...this.recentlyEnded.filter((entry) => entry.id !== data.id)].slice(0, MAX_RECENTLY_ENDED);
      this.ended.delete(data.id);
      this.ended.set(data.id, data);
      if (this.ended.size > MAX_ENDED) this.ended.delete(this.ended.keys().next().value ?? "");
      this.#emit("active");
      this.#emit("ended", data);
    } else if (event === "removed") {
      const ids = new Set(data.ids);
      this.recentlyEnded = this.recentlyEnded.filter((entry) => !ids.has(entry.id));
      this.#emit("active");
      this.#emit("removed", ids);
    } else if (event === "import") {
      this.#emit("import", data);
    } else if (event === "settings") {
      this.#emit("settings", data);
    } else if (event === "reset") {
      // Events of the active downloads follow; the history has the others.
      this.active.clear();
      this.#emit("active");
      this.#emit("reset");
    }
  }

  /** @param {string} name @param {any} [detail] */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
