/** What has ended: searched, filtered, and scrolled through without an end. */

import { byId, element, mark, say, show, signButton } from "./element.js";
import { Rows } from "./rows.js";
import { STATES, ago, size } from "./words.js";

const PAGE = 100;
/** Rows before the end at which the next page is asked for. */
const AHEAD = 40;
/** Milliseconds after the last key before a search begins. */
const TYPING = 250;

export class HistoryView {
  /** @type {any[]} newest first */
  #entries = [];
  /** @type {string | null} */
  #next = null;
  #asking = new AbortController();
  #loading = false;
  #stale = true;

  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./words.js").Explanations} parts.words
   * @param {(error: any) => void} parts.onError
   * @param {(entry: any) => void} parts.onOpen
   */
  constructor({ client, store, words, onError, onOpen }) {
    this.client = client;
    this.store = store;
    this.words = words;
    this.onError = onError;
    this.onOpen = onOpen;
    this.shown = false;
    this.rows = new Rows(
      byId("past"),
      (entry) => entry.id,
      (entry) => this.#row(entry),
      (last) => {
        if (last > this.#entries.length - AHEAD) this.#more();
      },
    );
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let typing;
    byId("search").addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.#restart(), TYPING);
    });
    byId("outcome").addEventListener("change", () => this.#restart());
    byId("in-directory").addEventListener("change", () => this.#restart());
    byId("history-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#restart();
    });
    store.addEventListener("ended", (/** @type {any} */ { detail }) => this.#arrived(detail));
    store.addEventListener("reset", () => this.#expire());
  }

  /** The view is looked at from now on. */
  open() {
    this.shown = true;
    if (this.#stale) this.#restart();
    else this.rows.render();
  }

  leave() {
    this.shown = false;
  }

  /** Somebody else signed in, or too much has happened: everything is read anew. */
  #expire() {
    this.#stale = true;
    if (this.shown) this.#restart();
  }

  #wanted() {
    const directory = byId("in-directory").value.trim().replace(/^\/+|\/+$/g, "");
    return {
      q: byId("search").value.trim() || undefined,
      status: byId("outcome").value || undefined,
      directory: directory || undefined,
    };
  }

  #restart() {
    this.#asking.abort();
    this.#asking = new AbortController();
    this.#entries = [];
    this.#next = "";
    this.#loading = false;
    this.#stale = false;
    this.#more();
  }

  async #more() {
    if (this.#loading || this.#next === null) return;
    this.#loading = true;
    const asking = this.#asking;
    const first = this.#next === "";
    try {
      const page = await this.client.files.downloads.getHistory({
        ...this.#wanted(),
        limit: PAGE,
        cursor: this.#next || undefined,
        signal: asking.signal,
      });
      if (asking.signal.aborted) return;
      const known = new Set(first ? this.#entries.map((entry) => entry.id) : []);
      this.#entries = [...this.#entries, ...page.history.filter((/** @type {any} */ entry) => !known.has(entry.id))];
      this.#next = page.next;
    } catch (error) {
      if (asking.signal.aborted) return;
      this.#stale = true;
      this.#next = null;
      this.onError(error);
    }
    this.#loading = false;
    this.draw();
  }

  /** @param {any} entry that has just ended */
  #arrived(entry) {
    if (this.#stale) return;
    const { q, status, directory } = this.#wanted();
    const at = this.#entries.findIndex((one) => one.id === entry.id);
    if (at >= 0) this.#entries.splice(at, 1);
    const fits =
      (!status || entry.status === status) &&
      (directory === undefined || entry.directory === directory) &&
      (!q || `${entry.url}\n${entry.filename}`.toLowerCase().includes(q.toLowerCase()));
    if (fits) this.#entries.unshift(entry);
    if (this.shown && (fits || at >= 0)) this.draw();
  }

  draw() {
    const { q, status, directory } = this.#wanted();
    show(byId("nothing-past"), this.#entries.length === 0 && !this.#loading);
    say(byId("nothing-past"), q || status || directory ? "Nothing in the history is like that." : "Nothing has ended yet.");
    this.rows.fill(this.#entries);
  }

  /** @param {any} first */
  #row(first) {
    let entry = first;
    const name = element("button", { class: "name", click: () => this.onOpen(entry) }, element("bdi"));
    const state = element("span", { class: "state" });
    const facts = element("span", { class: "facts" });
    const why = element("span", { class: "why" });
    const again = signButton("again", "Try again", async () => {
      try {
        this.store.put(await this.client.files.downloads.retry(entry.id));
      } catch (error) {
        this.onError(error);
      }
    });
    const made = element(
      "div",
      { class: "row" },
      element("div", { class: "what" }, name, state),
      element("div", { class: "how" }, facts, why),
      element("div", { class: "do" }, again),
    );
    return {
      element: made,
      update: (/** @type {any} */ latest) => {
        entry = latest;
        mark(made, "data-status", entry.status);
        say(name.firstChild, entry.file_path || entry.url);
        say(state, STATES[entry.status] ?? entry.status);
        const size_ = entry.total_bytes === null ? "" : size(entry.total_bytes);
        say(facts, [size_, ago(entry.end_time, Date.now() / 1000)].filter(Boolean).join(" · "));
        say(why, entry.error ? this.words.brief(entry.error, entry.detail) : (entry.detail ?? ""));
        again.setAttribute("aria-label", `Try ${entry.filename} again`);
        show(again, entry.status === "failed" || entry.status === "cancelled");
      },
    };
  }
}
