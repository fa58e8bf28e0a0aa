/** View of the finished downloads, with search, filters and pages that load while scrolling. */

import { byId, element, iconButton, setAttribute, setText, setVisible } from "./element.js";
import { formatAge, formatKept, formatSize } from "./formatting.js";
import { STATES } from "./states.js";
import { VirtualList } from "./virtual_list.js";

const PAGE_SIZE = 100;
/** Rows before the end at which the next page is loaded. */
const PREFETCH_ROWS = 40;
/** Milliseconds after the last key before a search begins. */
const SEARCH_DELAY_MILLISECONDS = 250;

export class HistoryView {
  /** @type {any[]} newest first */
  #entries = [];
  /** @type {string | null} */
  #next = null;
  #request = new AbortController();
  #loading = false;
  #stale = true;

  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./error_messages.js").ErrorMessages} parts.errors
   * @param {import("./notices.js").Notices} parts.notices
   * @param {(error: any) => void} parts.onError
   * @param {(entry: any) => void} parts.onOpen
   */
  constructor({ client, store, errors, notices, onError, onOpen }) {
    this.client = client;
    this.store = store;
    this.errors = errors;
    this.notices = notices;
    this.onError = onError;
    this.onOpen = onOpen;
    this.visible = false;
    this.list = new VirtualList(
      byId("past"),
      (entry) => entry.id,
      (entry) => this.#row(entry),
      (last) => {
        if (last > this.#entries.length - PREFETCH_ROWS) this.#loadMore();
      },
    );
    byId("outcome").append(
      ...Object.entries(STATES)
        .filter(([, { group }]) => group === "finished")
        .map(([value, { title }]) => element("option", { value }, title)),
    );
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let delay;
    byId("search").addEventListener("input", () => {
      clearTimeout(delay);
      delay = setTimeout(() => this.#restart(), SEARCH_DELAY_MILLISECONDS);
    });
    byId("outcome").addEventListener("change", () => this.#restart());
    byId("in-directory").addEventListener("change", () => this.#restart());
    byId("history-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#restart();
    });
    store.addEventListener("ended", (/** @type {any} */ { detail }) => this.#addEnded(detail));
    store.addEventListener("removed", (/** @type {any} */ { detail }) => this.#drop(detail));
    store.addEventListener("reset", () => this.#invalidate());
    byId("remove-shown").addEventListener("click", () => this.#removeShown());
  }

  /** Shows the view. */
  open() {
    this.visible = true;
    if (this.#stale) this.#restart();
    else this.list.render();
  }

  close() {
    this.visible = false;
  }

  /** Reads everything again, after another sign-in or a `reset` event. */
  #invalidate() {
    this.#stale = true;
    if (this.visible) this.#restart();
  }

  #filters() {
    const directory = byId("in-directory").value.trim().replace(/^\/+|\/+$/g, "");
    return {
      q: byId("search").value.trim() || undefined,
      status: byId("outcome").value || undefined,
      directory: directory || undefined,
    };
  }

  #restart() {
    this.#request.abort();
    this.#request = new AbortController();
    this.#entries = [];
    this.#next = "";
    this.#loading = false;
    this.#stale = false;
    this.#loadMore();
  }

  async #loadMore() {
    if (this.#loading || this.#next === null) return;
    this.#loading = true;
    const request = this.#request;
    const first = this.#next === "";
    try {
      const page = await this.client.files.downloads.getHistory({
        ...this.#filters(),
        limit: PAGE_SIZE,
        cursor: this.#next || undefined,
        signal: request.signal,
      });
      if (request.signal.aborted) return;
      const known = new Set(first ? this.#entries.map((entry) => entry.id) : []);
      this.#entries = [...this.#entries, ...page.history.filter((/** @type {any} */ entry) => !known.has(entry.id))];
      this.#next = page.next;
    } catch (error) {
      if (request.signal.aborted) return;
      this.#stale = true;
      this.#next = null;
      this.onError(error);
    }
    this.#loading = false;
    this.draw();
  }

  /** Adds a download that just ended. @param {any} entry */
  #addEnded(entry) {
    if (this.#stale) return;
    const { q, status, directory } = this.#filters();
    const at = this.#entries.findIndex((one) => one.id === entry.id);
    if (at >= 0) this.#entries.splice(at, 1);
    const matches =
      (!status || entry.status === status) &&
      (directory === undefined || entry.directory === directory) &&
      (!q || `${entry.url}\n${entry.filename}`.toLowerCase().includes(q.toLowerCase()));
    if (matches) this.#entries.unshift(entry);
    if (this.visible && (matches || at >= 0)) this.draw();
  }

  /** Drops entries that were removed. @param {Set<string>} ids */
  #drop(ids) {
    const kept = this.#entries.filter((entry) => !ids.has(entry.id));
    if (kept.length === this.#entries.length) return;
    this.#entries = kept;
    if (this.visible) this.draw();
  }

  /** Removes all entries that match the filters, after a question. */
  async #removeShown() {
    const filters = this.#filters();
    const which = Object.values(filters).some((value) => value !== undefined) ? "all matching entries" : "all entries";
    if (!confirm(`Remove ${which} from the history? Files stay.`)) return;
    const button = byId("remove-shown");
    button.disabled = true;
    try {
      const { message } = await this.client.files.downloads.removeHistory(filters);
      this.notices.show(`${message[0].toUpperCase()}${message.slice(1)}.`);
    } catch (error) {
      this.onError(error);
    }
    button.disabled = false;
  }

  draw() {
    setVisible(byId("remove-shown"), this.#entries.length > 0);
    const { q, status, directory } = this.#filters();
    setVisible(byId("nothing-past"), this.#entries.length === 0 && !this.#loading);
    setText(byId("nothing-past"), q || status || directory ? "No finished download matches." : "No finished downloads.");
    this.list.fill(this.#entries);
  }

  /** @param {any} first */
  #row(first) {
    let entry = first;
    const name = element("button", { class: "name", click: () => this.onOpen(entry) }, element("bdi"));
    const state = element("span", { class: "state" });
    const facts = element("span", { class: "facts" });
    const reason = element("span", { class: "why" });
    const retry = iconButton("again", "Try again", async () => {
      try {
        this.store.put(await this.client.files.downloads.retry(entry.id));
      } catch (error) {
        this.onError(error);
      }
    });
    const row = element(
      "div",
      { class: "row" },
      element("div", { class: "what" }, name, state),
      element("div", { class: "how" }, facts, reason),
      element("div", { class: "do" }, retry),
    );
    return {
      element: row,
      update: (/** @type {any} */ latest) => {
        entry = latest;
        setAttribute(row, "data-status", entry.status);
        setText(name.firstChild, entry.file_path || entry.url);
        setText(state, STATES[entry.status]?.title ?? entry.status);
        const size = entry.total_bytes === null ? "" : formatSize(entry.total_bytes);
        const kept = entry.kept_bytes ? formatKept(entry.kept_bytes) : "";
        setText(facts, [size, kept, formatAge(entry.end_time, Date.now() / 1000)].filter(Boolean).join(" · "));
        setText(reason, [entry.error && this.errors.summary(entry.error, entry.detail), entry.warning].filter(Boolean).join(" – "));
        retry.setAttribute("aria-label", `Try ${entry.filename} again`);
        setVisible(retry, STATES[entry.status]?.isSuccess === false);
      },
    };
  }
}
