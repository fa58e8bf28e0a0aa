/** View of the active downloads. */

import { Cancellations } from "./cancellations.js";
import { downloadRow, groupRow } from "./download_row.js";
import { byId, element, setAttribute, setText, setVisible } from "./element.js";
import { formatAge, formatSize } from "./formatting.js";
import { arrange, isRunning } from "./ordering.js";
import { applyToEntries, Selection, SelectionBar } from "./selection.js";
import { STATES } from "./states.js";
import { plural, t } from "./texts.js";
import { VirtualList } from "./virtual_list.js";

/** Milliseconds between two updates of the view. */
const REDRAW_MILLISECONDS = 500;
const ARRANGEMENT_KEY = "downloadd.arrangement";

/** Milliseconds in which ended downloads are announced together. */
const ANNOUNCEMENT_MILLISECONDS = 3000;

/** @type {Record<string, (entry: any) => boolean>} */
const FILTERS = {
  all: () => true,
  running: isRunning,
  waiting: (entry) => STATES[entry.status]?.group === "waiting",
  paused: (entry) => STATES[entry.status]?.group === "paused",
};

export class DownloadsView {
  /** Items of the list in their order. @type {any[]} */
  shown = [];
  /** The same, without those that keep their places under the pointer. @type {any[]} */
  arranged = [];
  selection = new Selection();

  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./error_messages.js").ErrorMessages} parts.errors
   * @param {import("./notices.js").Notices} parts.notices
   * @param {import("./chart.js").Chart} parts.chart
   * @param {(error: any) => void} parts.onError
   * @param {(entry: any) => void} parts.onOpen called to show all fields of a download
   */
  constructor({ client, store, errors, notices, chart, onError, onOpen }) {
    this.client = client;
    this.store = store;
    this.errors = errors;
    this.chart = chart;
    this.onError = onError;
    this.onOpen = onOpen;
    this.filter = "all";
    this.search = "";
    this.timer = 0;
    this.cancellations = new Cancellations({ store, notices, onError, onChange: () => this.draw() });
    const makeRow = (/** @type {any} */ item) => ("group" in item ? groupRow(item, this) : downloadRow(item, this));
    this.list = new VirtualList(byId("active"), (item) => item.id, makeRow, {
      // A row of a download that has ended stays until the pointer leaves the list.
      findRemoved: (item) => store.ended.get(item.id) ?? item,
    });
    this.bar = new SelectionBar("selected-active", this.selection, this.#actions(), () => this.shown);
    this.selection.addEventListener("change", () => this.list.render());
    store.addEventListener("active", () => this.#scheduleDraw());
    byId("filters").addEventListener("click", (/** @type {any} */ event) => {
      const button = event.target.closest("button");
      if (!button) return;
      this.filter = button.dataset.filter;
      this.rearrange();
    });
    byId("search-active").addEventListener("input", (/** @type {any} */ event) => {
      this.search = event.target.value.trim().toLowerCase();
      this.rearrange();
    });
    const [order, group] = [byId("order"), byId("group")];
    [order.value, group.value] = (localStorage.getItem(ARRANGEMENT_KEY) ?? "start ").split(" ");
    for (const field of [order, group]) {
      field.addEventListener("change", () => {
        localStorage.setItem(ARRANGEMENT_KEY, `${order.value} ${group.value}`);
        this.rearrange();
      });
    }
    byId("pause-all").addEventListener("click", () => this.#applyToAll("pause", (entry) => entry.status !== "paused"));
    byId("resume-all").addEventListener("click", () => this.#applyToAll("resume", (entry) => entry.status === "paused"));
    setInterval(() => this.chart.add(this.store.speed()), 1000);
  }

  /** True if the order of the list is that of the queue. */
  get canMove() {
    return byId("order").value === "start";
  }

  #actions() {
    const each = (/** @type {"pause" | "resume" | "retry"} */ action) => (/** @type {any[]} */ entries) =>
      applyToEntries(this.store, entries, action, this.onError);
    const isActive = (/** @type {any} */ entry) => !this.cancellations.has(entry.id);
    return [
      { name: t("Pause"), applies: (/** @type {any} */ entry) => isActive(entry) && entry.status !== "paused", run: each("pause") },
      { name: t("Resume"), applies: (/** @type {any} */ entry) => isActive(entry) && entry.status === "paused", run: each("resume") },
      { name: t("Try now"), applies: (/** @type {any} */ entry) => isActive(entry) && entry.status === "retrying", run: each("retry") },
      {
        name: t("Cancel"),
        applies: isActive,
        run: (/** @type {any[]} */ entries) => {
          this.cancellations.cancel(entries);
          this.selection.clear();
        },
      },
    ];
  }

  #scheduleDraw() {
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      if (!document.hidden) this.draw();
    }, REDRAW_MILLISECONDS);
  }

  /** Draws in the new order at once, also if the pointer is over the list. */
  rearrange() {
    this.list.release();
    this.draw();
  }

  draw() {
    /** @type {Record<string, number>} */
    const counts = Object.fromEntries(Object.keys(FILTERS).map((name) => [name, 0]));
    const shown = [];
    const filter = FILTERS[this.filter];
    for (const latest of this.store.active.values()) {
      // A download that is paused until its cancellation stays where it was.
      const before = this.cancellations.entryBefore(latest.id);
      const entry = before ? { ...latest, status: before.status } : latest;
      for (const name of Object.keys(FILTERS)) if (FILTERS[name](entry)) counts[name] += 1;
      if (filter(entry) && this.#matches(entry)) shown.push(entry);
    }
    for (const button of byId("filters").querySelectorAll("button")) {
      setAttribute(button, "aria-pressed", String(button.dataset.filter === this.filter));
      setText(button.querySelector(".number"), counts[button.dataset.filter].toLocaleString());
    }
    this.selection.refresh((id) => this.store.active.get(id));
    if (this.selection.entries.size) this.bar.draw();
    setVisible(byId("nothing-active"), shown.length === 0);
    setText(
      byId("nothing-active"),
      this.store.active.size ? t("No download matches.") : t("No active downloads. Paste a link to start one."),
    );
    setVisible(byId("pause-all"), shown.some((entry) => entry.status !== "paused"));
    setVisible(byId("resume-all"), counts.paused > 0);
    this.arranged = arrange(shown, { order: byId("order").value, group: byId("group").value }, this.arranged);
    this.shown = this.list.fill(this.arranged);
    this.#drawRecentlyEnded();
    const running = counts.running;
    document.title = running ? `${running.toLocaleString()} ↓ downloadd` : "downloadd";
  }

  /** @param {any} entry */
  #matches(entry) {
    return !this.search || `${entry.file_path} ${entry.url}`.toLowerCase().includes(this.search);
  }

  /** @param {string} id @param {() => Promise<any>} action @param {{moves?: boolean}} [options] with `moves`, the order changes on purpose */
  async apply(id, action, { moves = false } = {}) {
    try {
      await this.store.change(id, action);
      if (moves) this.list.release();
      this.draw();
    } catch (error) {
      this.onError(error);
    }
  }

  /**
   * Applies an action to all downloads, or to those that the filter and the search select.
   * @param {"pause" | "resume"} action
   * @param {(entry: any) => boolean} applies
   */
  async #applyToAll(action, applies) {
    const all = [...this.store.active.values()].filter(applies);
    const shown = all.filter((entry) => FILTERS[this.filter](entry) && this.#matches(entry));
    const { downloads } = this.client.files;
    if (shown.length < all.length) {
      await applyToEntries(this.store, shown, action, this.onError);
      return;
    }
    try {
      await (action === "pause" ? downloads.pauseAll() : downloads.resumeAll());
    } catch (error) {
      this.onError(error);
    }
  }

  #drawRecentlyEnded() {
    const now = Date.now() / 1000;
    const list = byId("just-ended");
    const { recentlyEnded } = this.store;
    setVisible(byId("ended"), recentlyEnded.length > 0);
    const key = recentlyEnded.map((entry) => `${entry.id}${entry.end_time}${formatAge(entry.end_time, now)}`).join();
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(...recentlyEnded.map((entry) => this.#endedItem(entry, now)));
  }

  /** @param {any} entry @param {number} now */
  #endedItem(entry, now) {
    const facts = [
      entry.error ? this.errors.title(entry.error) : STATES[entry.status] && t(STATES[entry.status].title),
      entry.warning ? t("with a warning") : "",
      entry.total_bytes === null ? "" : formatSize(entry.total_bytes),
      formatAge(entry.end_time, now),
    ];
    return element(
      "li",
      { "data-status": entry.status },
      element("button", { class: "name", click: () => this.onOpen(entry) }, element("bdi", {}, entry.filename || entry.url)),
      element("span", { class: "facts" }, facts.filter(Boolean).join(" · ")),
    );
  }
}

/** Announces ended downloads as counts, so that a thousand small files are one sentence. */
export class EndAnnouncer {
  /** @param {import("./store.js").Store} store @param {(sentence: string, count: number) => void} announce */
  constructor(store, announce) {
    /** @type {Map<string, number>} */
    const ended = new Map();
    let timer = 0;
    store.addEventListener("ended", (/** @type {any} */ { detail }) => {
      ended.set(detail.status, (ended.get(detail.status) ?? 0) + 1);
      timer ||= setTimeout(() => {
        timer = 0;
        const counts = [...ended].map(([status, number]) =>
          plural(number, "1 download {state}", "{n} downloads {state}", { state: STATES[status] ? t(STATES[status].label) : status }),
        );
        const total = [...ended.values()].reduce((sum, number) => sum + number, 0);
        ended.clear();
        announce(`${counts.join(", ")}.`, total);
      }, ANNOUNCEMENT_MILLISECONDS);
    });
  }
}
