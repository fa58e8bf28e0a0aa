/** View of the active downloads, with a row and its buttons for each. */

import { byId, element, iconButton, setAttribute, setText, setVisible } from "./element.js";
import { formatAge, formatCount, formatProgress, formatSize } from "./formatting.js";
import { STATES } from "./states.js";
import { VirtualList } from "./virtual_list.js";

/** Milliseconds between two updates of the view. */
const REDRAW_MILLISECONDS = 500;
/** Parallel calls when an action applies to many downloads. */
const MAX_PARALLEL_CALLS = 8;

/** Milliseconds in which ended downloads are announced together. */
const ANNOUNCEMENT_MILLISECONDS = 3000;

/** @type {Record<string, (entry: any) => boolean>} */
const FILTERS = {
  all: () => true,
  running: (entry) => STATES[entry.status]?.group === "running",
  waiting: (entry) => STATES[entry.status]?.group === "waiting",
  paused: (entry) => STATES[entry.status]?.group === "paused",
};

/** Returns true for a download that can be moved in the queue. @param {any} entry */
export function isMovable(entry) {
  return entry.status === "queued" || entry.status === "paused";
}

/** Compares downloads by the order of starting; those that run have started. @param {any} one @param {any} other */
function compareByStart(one, other) {
  const started = Number(FILTERS.running(other)) - Number(FILTERS.running(one));
  return started || other.priority - one.priority || one.place - other.place;
}

export class DownloadsView {
  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./error_messages.js").ErrorMessages} parts.errors
   * @param {import("./chart.js").Chart} parts.chart
   * @param {(error: any) => void} parts.onError
   * @param {(entry: any) => void} parts.onOpen called to show all fields of a download
   */
  constructor({ client, store, errors, chart, onError, onOpen }) {
    this.client = client;
    this.store = store;
    this.errors = errors;
    this.chart = chart;
    this.onError = onError;
    this.onOpen = onOpen;
    this.filter = "all";
    this.search = "";
    this.timer = 0;
    this.list = new VirtualList(byId("active"), (entry) => entry.id, (entry) => this.#row(entry));
    store.addEventListener("active", () => this.#scheduleDraw());
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
    byId("pause-all").addEventListener("click", () => this.#applyToAll("pause", (entry) => entry.status !== "paused"));
    byId("resume-all").addEventListener("click", () => this.#applyToAll("resume", (entry) => entry.status === "paused"));
    setInterval(() => this.chart.add(this.store.speed()), 1000);
  }

  #scheduleDraw() {
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      if (!document.hidden) this.draw();
    }, REDRAW_MILLISECONDS);
  }

  draw() {
    /** @type {Record<string, number>} */
    const counts = Object.fromEntries(Object.keys(FILTERS).map((name) => [name, 0]));
    const shown = [];
    const filter = FILTERS[this.filter];
    for (const entry of this.store.active.values()) {
      for (const name of Object.keys(FILTERS)) if (FILTERS[name](entry)) counts[name] += 1;
      if (filter(entry) && this.#matches(entry)) shown.push(entry);
    }
    for (const button of byId("filters").querySelectorAll("button")) {
      setAttribute(button, "aria-pressed", String(button.dataset.filter === this.filter));
      setText(button.querySelector(".number"), counts[button.dataset.filter].toLocaleString());
    }
    shown.sort(compareByStart);
    setVisible(byId("nothing-active"), shown.length === 0);
    setText(
      byId("nothing-active"),
      this.store.active.size ? "No download matches." : "No active downloads. Paste a link to start one.",
    );
    setVisible(byId("pause-all"), shown.some((entry) => entry.status !== "paused"));
    setVisible(byId("resume-all"), counts.paused > 0);
    this.list.fill(shown);
    this.#drawRecentlyEnded();
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
    const reason = element("span", { class: "why" });
    const downloads = this.client.files.downloads;
    const pause = iconButton("pause", "Pause", () => this.#apply(() => downloads.pause(entry.id)));
    const resume = iconButton("resume", "Resume", () => this.#apply(() => downloads.resume(entry.id)));
    const retry = iconButton("again", "Try now", () => this.#apply(() => downloads.retry(entry.id)));
    const cancel = iconButton("close", "Cancel", () => this.#apply(() => downloads.cancel(entry.id)));
    const up = iconButton("up", "Move up", () => this.#apply(() => downloads.move(entry.id, "up")));
    const down = iconButton("down", "Move down", () => this.#apply(() => downloads.move(entry.id, "down")));
    for (const button of [up, down]) button.classList.add("move");
    const row = element(
      "div",
      { class: "row" },
      element("div", { class: "what" }, name, state),
      bar,
      element("div", { class: "how" }, facts, reason),
      element("div", { class: "do" }, up, down, retry, pause, resume, cancel),
    );
    let shownName = "";
    return {
      element: row,
      update: (/** @type {any} */ latest) => {
        entry = latest;
        const { status } = entry;
        if (shownName !== entry.file_path) {
          shownName = entry.file_path;
          name.firstChild.textContent = entry.file_path || entry.url;
          name.title = entry.file_path;
          for (const button of [up, down, pause, resume, retry, cancel]) button.setAttribute("aria-label", `${button.title} ${entry.filename}`);
          bar.setAttribute("aria-label", `Progress of ${entry.filename}`);
        }
        setAttribute(row, "data-status", status);
        setText(state, STATES[status]?.title ?? status);
        if (entry.progress_percentage !== null) setAttribute(bar, "value", String(entry.progress_percentage));
        else if (status === "downloading") bar.removeAttribute("value");
        else setAttribute(bar, "value", "0");
        setText(facts, formatProgress(entry));
        setText(reason, this.#formatReason(entry));
        setVisible(pause, status !== "paused");
        setVisible(resume, status === "paused");
        setVisible(retry, status === "retrying");
        for (const button of [up, down]) setVisible(button, isMovable(entry));
      },
    };
  }

  /** Returns the error of the last attempt, the warning, and the reason why the download waits. @param {any} entry */
  #formatReason(entry) {
    const parts = [];
    if (entry.error) parts.push(this.errors.summary(entry.error, entry.detail));
    if (entry.warning) parts.push(entry.warning);
    if (entry.reason && entry.status !== "paused") parts.push(entry.reason);
    return parts.join(" – ");
  }

  /** @param {() => Promise<any>} action */
  async #apply(action) {
    try {
      this.store.put(await action());
      this.draw();
    } catch (error) {
      this.onError(error);
    }
  }

  /**
   * Applies an action to all downloads in one call, or to those that the filter and the search select one by one.
   * @param {"pause" | "resume"} action
   * @param {(entry: any) => boolean} applies
   */
  async #applyToAll(action, applies) {
    const all = [...this.store.active.values()].filter(applies);
    const shown = all.filter((entry) => FILTERS[this.filter](entry) && this.#matches(entry));
    if (shown.length < all.length) {
      await this.#applyToEach(action, shown);
      return;
    }
    try {
      await (action === "pause" ? this.client.files.downloads.pauseAll() : this.client.files.downloads.resumeAll());
    } catch (error) {
      this.onError(error);
    }
  }

  /** @param {"pause" | "resume"} action @param {any[]} remaining */
  async #applyToEach(action, remaining) {
    const next = async () => {
      for (let entry = remaining.shift(); entry; entry = remaining.shift()) {
        try {
          await this.client.files.downloads[action](entry.id);
        } catch (error) {
          // A conflict means that it ended meanwhile; one message is enough for any other error.
          if (/** @type {any} */ (error).status !== 409 && remaining.length) {
            remaining.length = 0;
            this.onError(error);
          }
        }
      }
    };
    await Promise.all(Array.from({ length: MAX_PARALLEL_CALLS }, next));
  }

  #drawRecentlyEnded() {
    const now = Date.now() / 1000;
    const list = byId("just-ended");
    const { recentlyEnded } = this.store;
    setVisible(byId("ended"), recentlyEnded.length > 0);
    const key = recentlyEnded.map((entry) => `${entry.id}${entry.end_time}${formatAge(entry.end_time, now)}`).join();
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(
      ...recentlyEnded.map((entry) =>
        element(
          "li",
          { "data-status": entry.status },
          element("button", { class: "name", click: () => this.onOpen(entry) }, element("bdi", {}, entry.filename || entry.url)),
          element(
            "span",
            { class: "facts" },
            [
              entry.error ? this.errors.title(entry.error) : STATES[entry.status]?.title,
              entry.warning ? "with a warning" : "",
              entry.total_bytes === null ? "" : formatSize(entry.total_bytes),
              formatAge(entry.end_time, now),
            ]
              .filter(Boolean)
              .join(" · "),
          ),
        ),
      ),
    );
  }
}

/** Announces ended downloads as counts, so that a thousand small files are one sentence. */
export class EndAnnouncer {
  /** @param {import("./store.js").Store} store @param {import("./notices.js").Notices} notices */
  constructor(store, notices) {
    /** @type {Map<string, number>} */
    const ended = new Map();
    let timer = 0;
    store.addEventListener("ended", (/** @type {any} */ { detail }) => {
      ended.set(detail.status, (ended.get(detail.status) ?? 0) + 1);
      timer ||= setTimeout(() => {
        timer = 0;
        const counts = [...ended].map(([status, number]) => `${formatCount(number, "download")} ${STATES[status]?.label ?? status}`);
        ended.clear();
        notices.announce(`${counts.join(", ")}.`);
      }, ANNOUNCEMENT_MILLISECONDS);
    });
  }
}
