/** What is active now: a row for each download, with what can be done to it. */

import { byId, element, mark, say, show, signButton } from "./element.js";
import { Rows } from "./rows.js";
import { STATES, ago, count, progress, size } from "./words.js";

/** Milliseconds between two looks at what has moved: faster is not read by anybody. */
const CALM = 500;
/** Calls at once when something is done to many. */
const AT_ONCE = 8;

/** @type {Record<string, (entry: any) => boolean>} */
const FILTERS = {
  all: () => true,
  running: (entry) => ["starting", "downloading", "verifying"].includes(entry.status),
  waiting: (entry) => ["queued", "retrying"].includes(entry.status),
  paused: (entry) => entry.status === "paused",
};

export class DownloadsView {
  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./words.js").Explanations} parts.words
   * @param {import("./chart.js").Chart} parts.chart
   * @param {(error: any) => void} parts.onError
   * @param {(entry: any) => void} parts.onOpen shows everything about one download
   */
  constructor({ client, store, words, chart, onError, onOpen }) {
    this.client = client;
    this.store = store;
    this.words = words;
    this.chart = chart;
    this.onError = onError;
    this.onOpen = onOpen;
    this.filter = "all";
    this.search = "";
    this.due = 0;
    this.rows = new Rows(byId("active"), (entry) => entry.id, (entry) => this.#row(entry));
    store.addEventListener("active", () => this.#soon());
    byId("filters").addEventListener("click", (/** @type {any} */ event) => {
      const button = event.target.closest("button");
      if (!button) return;
      this.filter = button.dataset.filter;
      this.draw();
    });
    byId("search-active").addEventListener("input", (/** @type {any} */ event) => {
      this.search = event.target.value.trim().toLowerCase();
      this.draw();
    });
    byId("pause-all").addEventListener("click", () => this.#all("pause", (entry) => entry.status !== "paused"));
    byId("resume-all").addEventListener("click", () => this.#all("resume", (entry) => entry.status === "paused"));
    setInterval(() => this.chart.add(this.store.speed()), 1000);
  }

  #soon() {
    if (this.due) return;
    this.due = setTimeout(() => {
      this.due = 0;
      if (!document.hidden) this.draw();
    }, CALM);
  }

  draw() {
    /** @type {Record<string, number>} */
    const counts = Object.fromEntries(Object.keys(FILTERS).map((name) => [name, 0]));
    const shown = [];
    const wanted = FILTERS[this.filter];
    for (const entry of this.store.active.values()) {
      for (const name of Object.keys(FILTERS)) if (FILTERS[name](entry)) counts[name] += 1;
      if (wanted(entry) && this.#matches(entry)) shown.push(entry);
    }
    for (const button of byId("filters").querySelectorAll("button")) {
      mark(button, "aria-pressed", String(button.dataset.filter === this.filter));
      say(button.querySelector(".number"), counts[button.dataset.filter].toLocaleString());
    }
    show(byId("nothing-active"), shown.length === 0);
    say(
      byId("nothing-active"),
      this.store.active.size ? "No download is like that." : "Nothing is being downloaded. Paste a link to begin.",
    );
    show(byId("pause-all"), shown.some((entry) => entry.status !== "paused"));
    show(byId("resume-all"), counts.paused > 0);
    this.rows.fill(shown);
    this.#drawEnded();
    const running = counts.running;
    document.title = running ? `${running.toLocaleString()} ↓ downloadd` : "downloadd";
  }

  /** @param {any} entry */
  #matches(entry) {
    return !this.search || `${entry.file_path} ${entry.url}`.toLowerCase().includes(this.search);
  }

  /** @param {any} first */
  #row(first) {
    let entry = first;
    const name = element("button", { class: "name", click: () => this.onOpen(entry) }, element("bdi"));
    const state = element("span", { class: "state" });
    const bar = element("progress", { max: 100 });
    const facts = element("span", { class: "facts" });
    const why = element("span", { class: "why" });
    const downloads = this.client.files.downloads;
    const pause = signButton("pause", "Pause", () => this.#act(() => downloads.pause(entry.id)));
    const resume = signButton("resume", "Resume", () => this.#act(() => downloads.resume(entry.id)));
    const now = signButton("again", "Try now", () => this.#act(() => downloads.retry(entry.id)));
    const cancel = signButton("close", "Cancel", () => this.#act(() => downloads.cancel(entry.id)));
    const made = element(
      "div",
      { class: "row" },
      element("div", { class: "what" }, name, state),
      bar,
      element("div", { class: "how" }, facts, why),
      element("div", { class: "do" }, now, pause, resume, cancel),
    );
    let shownName = "";
    return {
      element: made,
      update: (/** @type {any} */ latest) => {
        entry = latest;
        const { status } = entry;
        if (shownName !== entry.file_path) {
          shownName = entry.file_path;
          name.firstChild.textContent = entry.file_path || entry.url;
          name.title = entry.file_path;
          for (const each of [pause, resume, now, cancel]) each.setAttribute("aria-label", `${each.title} ${entry.filename}`);
          bar.setAttribute("aria-label", `Progress of ${entry.filename}`);
        }
        mark(made, "data-status", status);
        say(state, STATES[status] ?? status);
        if (entry.progress_percentage !== null) mark(bar, "value", String(entry.progress_percentage));
        else if (status === "downloading") bar.removeAttribute("value");
        else mark(bar, "value", "0");
        say(facts, progress(entry));
        say(why, this.#why(entry));
        show(pause, status !== "paused");
        show(resume, status === "paused");
        show(now, status === "retrying");
      },
    };
  }

  /** What it waits for, and what went wrong the last time. @param {any} entry */
  #why(entry) {
    const parts = [];
    if (entry.error) parts.push(this.words.brief(entry.error, entry.detail));
    else if (entry.detail) parts.push(entry.detail);
    if (entry.reason && entry.status !== "paused") parts.push(entry.reason);
    return parts.join(" – ");
  }

  /** @param {() => Promise<any>} act */
  async #act(act) {
    try {
      this.store.put(await act());
      this.draw();
    } catch (error) {
      this.onError(error);
    }
  }

  /** @param {"pause" | "resume"} verb @param {(entry: any) => boolean} wanted */
  async #all(verb, wanted) {
    const left = [...this.store.active.values()].filter(
      (entry) => FILTERS[this.filter](entry) && this.#matches(entry) && wanted(entry),
    );
    const next = async () => {
      for (let entry = left.shift(); entry; entry = left.shift()) {
        try {
          await this.client.files.downloads[verb](entry.id);
        } catch (error) {
          // It may have ended meanwhile; of anything else one message is enough.
          if (/** @type {any} */ (error).status !== 409 && left.length) {
            left.length = 0;
            this.onError(error);
          }
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
  }

  #drawEnded() {
    const now = Date.now() / 1000;
    const list = byId("just-ended");
    const { justEnded } = this.store;
    show(byId("ended"), justEnded.length > 0);
    const key = justEnded.map((entry) => `${entry.id}${entry.end_time}${ago(entry.end_time, now)}`).join();
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(
      ...justEnded.map((entry) =>
        element(
          "li",
          { "data-status": entry.status },
          element("button", { class: "name", click: () => this.onOpen(entry) }, element("bdi", {}, entry.filename || entry.url)),
          element(
            "span",
            { class: "facts" },
            [
              entry.error ? this.words.title(entry.error) : STATES[entry.status],
              entry.total_bytes === null ? "" : size(entry.total_bytes),
              ago(entry.end_time, now),
            ]
              .filter(Boolean)
              .join(" · "),
          ),
        ),
      ),
    );
  }
}

/** Reads out what has ended, counted, so that a thousand small files are one sentence. */
export class Herald {
  /** @param {import("./store.js").Store} store @param {import("./notices.js").Notices} notices */
  constructor(store, notices) {
    /** @type {Map<string, number>} */
    const ended = new Map();
    let due = 0;
    store.addEventListener("ended", (/** @type {any} */ { detail }) => {
      ended.set(detail.status, (ended.get(detail.status) ?? 0) + 1);
      due ||= setTimeout(() => {
        due = 0;
        const words = [...ended].map(([status, number]) => `${count(number, "download")} ${STATES[status].toLowerCase()}`);
        ended.clear();
        notices.read(`${words.join(", ")}.`);
      }, 3000);
    });
  }
}
