/** Cancellation of downloads, which can be undone for some seconds. Until then they are paused, and lose nothing. */

import { applyToEntries } from "./selection.js";
import { plural, t } from "./texts.js";

/** Milliseconds in which a cancellation can be undone. */
export const UNDO_MILLISECONDS = 10_000;

export class Cancellations {
  /** @type {Map<string, {entry: any, timer: ReturnType<typeof setTimeout>, paused: Promise<unknown>}>} */
  #pending = new Map();
  /** Entries before their cancellation, until it is answered: a row that would move as a paused one takes the focus along. @type {Map<string, any>} */
  #before = new Map();

  /**
   * @param {object} parts
   * @param {import("./store.js").Store} parts.store
   * @param {import("./notices.js").Notices} parts.notices
   * @param {(error: any) => void} parts.onError
   * @param {() => void} parts.onChange called when a cancellation begins or is undone
   */
  constructor({ store, notices, onError, onChange }) {
    this.store = store;
    this.notices = notices;
    this.onError = onError;
    this.onChange = onChange;
    // A page that is closed cannot undo any more.
    addEventListener("pagehide", () => this.#finish([...this.#pending.values()].map(({ entry }) => entry), { keepalive: true }));
  }

  /** Returns true while the cancellation of a download can be undone. @param {string} id */
  has(id) {
    return this.#pending.has(id);
  }

  /** Returns the entry of a download before its cancellation, until that is undone or done. @param {string} id */
  entryBefore(id) {
    return this.#before.get(id);
  }

  /** Cancels downloads after the time in which that can be undone. @param {any[]} entries */
  async cancel(entries) {
    const fresh = entries.filter((entry) => !this.#pending.has(entry.id));
    if (!fresh.length) return;
    const timer = setTimeout(() => this.#finish(fresh.filter(({ id }) => this.#pending.get(id)?.timer === timer)), UNDO_MILLISECONDS);
    const running = fresh.filter((entry) => entry.status !== "paused");
    const paused = applyToEntries(this.store, running, "pause", this.onError);
    for (const entry of fresh) {
      this.#pending.set(entry.id, { entry, timer, paused });
      this.#before.set(entry.id, entry);
    }
    this.notices.show(
      plural(fresh.length, "1 download is cancelled.", "{n} downloads are cancelled."),
      t("It can be undone for ten seconds."),
      "good",
      { label: t("Undo"), run: () => this.undo(fresh), milliseconds: UNDO_MILLISECONDS },
    );
    this.onChange();
    await paused;
  }

  /** Takes cancellations back; downloads that were not paused before go on. @param {any[]} entries */
  async undo(entries) {
    const undone = entries.map(({ id }) => this.#pending.get(id)).filter((one) => one !== undefined);
    for (const { entry } of undone) {
      this.#pending.delete(entry.id);
      this.#before.delete(entry.id);
    }
    this.onChange();
    await Promise.all(undone.map(({ paused }) => paused));
    const resumed = undone.map(({ entry }) => entry).filter((entry) => entry.status !== "paused");
    await applyToEntries(this.store, resumed, "resume", this.onError);
  }

  /** @param {any[]} entries @param {{keepalive?: boolean}} [options] */
  async #finish(entries, options) {
    for (const { id } of entries) this.#pending.delete(id);
    await applyToEntries(this.store, entries, "cancel", this.onError, options);
    for (const { id } of entries) this.#before.delete(id);
    this.onChange();
  }
}
