/** View of the finished downloads, with search, filters and pages that load while scrolling. */

import { byId, element, iconButton, setAttribute, setText, setVisible } from "./element.js";
import { formatAge, formatKept, formatProgress, formatSize } from "./formatting.js";
import { applyToEntries, Selection, selectionBox, SelectionBar } from "./selection.js";
import { STATES } from "./states.js";
import { plural, t } from "./texts.js";
import { VirtualList } from "./virtual_list.js";
import { describeWait } from "./wait_reasons.js";

const PAGE_SIZE = 100;
/** Rows before the end at which the next page is loaded. */
const PREFETCH_ROWS = 40;
/** Milliseconds after the last key before a search begins. */
const SEARCH_DELAY_MILLISECONDS = 250;
/** Failed downloads that are tried again before the next ones are read. */
const RETRY_PAGE_SIZE = 1000;
/** Milliseconds between two updates of rows whose downloads run again. */
const REDRAW_MILLISECONDS = 500;
/** Value of the outcome that selects downloads with a kept part file, in whatever state. */
const KEPT = "kept";

export class HistoryView {
  /** @type {any[]} newest first */
  #entries = [];
  /** @type {string | null} */
  #next = null;
  #request = new AbortController();
  #loading = false;
  #stale = true;
  #timer = 0;
  /** Entries in the order of the list. @type {any[]} */
  shown = [];
  selection = new Selection();

  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./error_messages.js").ErrorMessages} parts.errors
   * @param {import("./notices.js").Notices} parts.notices
   * @param {(error: any) => void} parts.onError
   * @param {(entry: any) => void} parts.onOpen
   * @param {(entry: any) => void} parts.saveFile saves the file of a completed download
   */
  constructor({ client, store, errors, notices, onError, onOpen, saveFile }) {
    this.saveFile = saveFile;
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
      {
        onScroll: (last) => {
          if (last > this.#entries.length - PREFETCH_ROWS) this.#loadMore();
        },
      },
    );
    this.bar = new SelectionBar("selected-past", this.selection, this.#actions(), () => this.shown);
    this.selection.addEventListener("change", () => this.list.render());
    store.addEventListener("active", () => this.#scheduleDraw());
    byId("retry-failed").addEventListener("click", () => this.#retryFailed());
    byId("outcome").append(
      ...Object.entries(STATES)
        .filter(([, { group }]) => group === "finished")
        .map(([value, { title }]) => element("option", { value }, t(title))),
      element("option", { value: KEPT }, t("With a kept part")),
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

  /** Selects the entries of one directory. @param {string} directory */
  showDirectory(directory) {
    byId("history-form").reset();
    byId("in-directory").value = directory || "/";
    this.#invalidate();
  }

  /** Selects the entries with kept part files. */
  showKept() {
    byId("history-form").reset();
    byId("outcome").value = KEPT;
    this.#invalidate();
  }

  /** Reads everything again, after another sign-in or a `reset` event. */
  #invalidate() {
    this.#stale = true;
    if (this.visible) this.#restart();
  }

  #filters() {
    const directory = byId("in-directory").value.trim();
    const outcome = byId("outcome").value;
    return {
      q: byId("search").value.trim() || undefined,
      status: outcome && outcome !== KEPT ? outcome : undefined,
      kept: outcome === KEPT || undefined,
      // A slash alone is the root.
      directory: directory ? directory.replace(/^\/+|\/+$/g, "") : undefined,
    };
  }

  #restart() {
    this.#request.abort();
    this.#request = new AbortController();
    this.#entries = [];
    this.#next = "";
    this.#loading = false;
    this.#stale = false;
    this.selection.clear();
    this.list.release();
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
    const { q, status, kept, directory } = this.#filters();
    const at = this.#entries.findIndex((one) => one.id === entry.id);
    if (at >= 0) this.#entries.splice(at, 1);
    const matches =
      (!status || entry.status === status) &&
      (!kept || entry.kept_bytes > 0) &&
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
    const isFiltered = Object.values(filters).some((value) => value !== undefined);
    const question = isFiltered
      ? t("Remove all matching entries from the history? Files stay.")
      : t("Remove all entries from the history? Files stay.");
    if (!confirm(question)) return;
    const button = byId("remove-shown");
    button.disabled = true;
    try {
      const { removed, refused } = await this.client.files.downloads.removeHistory(filters);
      const others = refused ? plural(refused, "1 in a directory of others stays.", "{n} in directories of others stay.") : "";
      this.notices.show(plural(removed, "1 removed from the history.", "{n} removed from the history."), others);
    } catch (error) {
      this.onError(error);
    }
    button.disabled = false;
  }

  /** Draws after a while, if a shown download runs again or has stopped to. */
  #scheduleDraw() {
    if (!this.visible || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      if (this.visible && !document.hidden) this.list.render();
    }, REDRAW_MILLISECONDS);
  }

  draw() {
    if (this.selection.entries.size) {
      const latest = new Map(this.#entries.map((entry) => [entry.id, entry]));
      this.selection.refresh((id) => latest.get(id));
    }
    setVisible(byId("remove-shown"), this.#entries.length > 0);
    const isFiltered = Object.values(this.#filters()).some((value) => value !== undefined);
    setVisible(byId("nothing-past"), this.#entries.length === 0 && !this.#loading);
    setText(byId("nothing-past"), isFiltered ? t("No finished download matches.") : t("No finished downloads."));
    this.shown = this.list.fill(this.#entries);
  }

  /** Tries all failed downloads that match the filters again, page by page. */
  async #retryFailed() {
    const { status, ...filters } = this.#filters();
    if (!confirm(t("Try all failed downloads again that match?"))) return;
    const button = byId("retry-failed");
    button.disabled = true;
    const { downloads } = this.client.files;
    let count = 0;
    let cursor;
    let hasFailed = false;
    const onError = (/** @type {any} */ error) => {
      hasFailed = true;
      this.onError(error);
    };
    do {
      try {
        const page = await downloads.getHistory({ ...filters, status: "failed", limit: RETRY_PAGE_SIZE, cursor });
        count += await applyToEntries(this.store, page.history, "retry", onError);
        cursor = page.next;
      } catch (error) {
        onError(error);
      }
    } while (cursor && !hasFailed);
    button.disabled = false;
    if (count) this.notices.show(plural(count, "1 download starts again.", "{n} downloads start again."));
    else if (!hasFailed) this.notices.show(t("No failed download matches."));
  }

  #actions() {
    const isPast = (/** @type {any} */ entry) => !this.store.active.has(entry.id);
    const remove = async (/** @type {any[]} */ entries, /** @type {boolean} */ file) => {
      const question = file
        ? plural(entries.length, "Delete 1 file and its entry?", "Delete {n} files and their entries?")
        : plural(entries.length, "Remove 1 entry from the history? The file stays.", "Remove {n} entries from the history? Files stay.");
      if (!confirm(question)) return;
      await applyToEntries(this.store, entries, "remove", this.onError, { file });
    };
    return [
      {
        name: t("Try again"),
        applies: (/** @type {any} */ entry) => isPast(entry) && STATES[entry.status]?.isSuccess === false,
        run: (/** @type {any[]} */ entries) => applyToEntries(this.store, entries, "retry", this.onError),
      },
      { name: t("Remove from history"), applies: isPast, run: (/** @type {any[]} */ entries) => remove(entries, false) },
      {
        name: t("Remove with files…"),
        applies: (/** @type {any} */ entry) => isPast(entry) && entry.status === "completed",
        run: (/** @type {any[]} */ entries) => remove(entries, true),
      },
    ];
  }

  /** @param {any} first */
  #row(first) {
    let entry = first;
    const select = selectionBox(this.selection, () => entry, () => this.shown);
    const name = element("button", { class: "name", click: () => this.onOpen(this.store.active.get(entry.id) ?? entry) }, element("bdi"));
    const state = element("span", { class: "state" });
    const facts = element("span", { class: "facts" });
    const reason = element("span", { class: "why" });
    const save = iconButton("save", t("Save the file"), () => this.saveFile(entry));
    const retry = iconButton("again", t("Try again"), async () => {
      try {
        await this.store.change(entry.id, () => this.client.files.downloads.retry(entry.id));
        // The button is gone; the focus stays in the row.
        name.focus();
        this.draw();
      } catch (error) {
        this.onError(error);
      }
    });
    const row = element(
      "div",
      { class: "row" },
      select,
      element("div", { class: "what" }, name, state),
      element("div", { class: "how" }, facts, reason),
      element("div", { class: "do" }, save, retry),
    );
    return {
      element: row,
      update: (/** @type {any} */ latest) => {
        entry = latest;
        // A retried download runs until its next end, which has an entry of its own.
        const active = this.store.active.get(entry.id);
        const { status } = active ?? entry;
        setAttribute(row, "data-status", status);
        setText(name.firstChild, entry.file_path || entry.url);
        setText(state, STATES[status] ? t(STATES[status].title) : status);
        if (select.checked !== this.selection.has(entry.id)) select.checked = this.selection.has(entry.id);
        select.setAttribute("aria-label", t("Select {name}", { name: entry.filename }));
        const size = entry.total_bytes === null ? "" : formatSize(entry.total_bytes);
        const kept = entry.kept_bytes ? formatKept(entry.kept_bytes) : "";
        const past = [size, kept, formatAge(entry.end_time, Date.now() / 1000)].filter(Boolean).join(" · ");
        setText(facts, active ? [t("Started again"), formatProgress(active)].filter(Boolean).join(" · ") : past);
        const problem = entry.error && this.errors.summary(entry.error, entry.detail);
        setText(reason, active ? describeWait(active) : [problem, entry.warning].filter(Boolean).join(" – "));
        save.setAttribute("aria-label", t("Save {name}", { name: entry.filename }));
        retry.setAttribute("aria-label", t("Try {name} again", { name: entry.filename }));
        setVisible(save, !active && entry.status === "completed");
        setVisible(retry, !active && STATES[entry.status]?.isSuccess === false);
      },
    };
  }
}
