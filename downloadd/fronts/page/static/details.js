/** Everything about one download, and the changes that can be made to it, in a dialog. */

import { byId, element, say, show } from "./element.js";
import { STATES, moment, progress, sentence, size, span } from "./words.js";

const MIB = 1 << 20;

export class Details {
  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./notices.js").Notices} parts.notices
   * @param {import("./words.js").Explanations} parts.words
   * @param {(error: any) => void} parts.onError
   */
  constructor({ client, store, notices, words, onError }) {
    this.client = client;
    this.store = store;
    this.notices = notices;
    this.words = words;
    this.onError = onError;
    this.entry = null;
    this.dialog = byId("details");
    const changes = byId("changes");
    changes.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      const limit = Math.round(Number(byId("new-limit").value) * MIB);
      const change = { priority: Number(byId("new-priority").value), speed_limit: limit };
      this.#act(() => this.client.files.downloads.change(this.entry.id, change), "Changed.");
    });
    byId("retry").addEventListener("click", () =>
      this.#act(() => this.client.files.downloads.retry(this.entry.id), "It is tried again."),
    );
    byId("close-details").addEventListener("click", () => this.dialog.close());
    store.addEventListener("active", () => this.#follow());
  }

  /** @param {any} entry of a listing or of the history */
  open(entry) {
    this.entry = entry;
    byId("new-priority").value = entry.priority ?? 0;
    byId("new-limit").value = entry.speed_limit ? String(Number((entry.speed_limit / MIB).toFixed(3))) : "0";
    this.#draw();
    this.dialog.showModal();
  }

  #follow() {
    if (!this.dialog.open || !this.entry) return;
    const latest =
      this.store.active.get(this.entry.id) ?? this.store.justEnded.find((entry) => entry.id === this.entry.id);
    if (latest && latest !== this.entry) {
      this.entry = latest;
      this.#draw();
    }
  }

  #draw() {
    const entry = this.entry;
    const ended = "end_time" in entry;
    say(byId("details-name"), entry.filename || entry.url);
    const explained = byId("explained");
    show(explained, Boolean(entry.error));
    if (entry.error) {
      const todo = this.words.resolution(entry.error);
      explained.replaceChildren(
        element("strong", {}, this.words.title(entry.error)),
        entry.detail ? `: ${sentence(entry.detail)}` : ".",
        todo ? ` ${sentence(todo)}` : "",
        element("code", {}, entry.error),
      );
    }
    /** @type {[string, string | null | undefined][]} */
    const facts = [
      ["State", STATES[entry.status] ?? entry.status],
      ["Saved as", entry.file_path],
      ["From", entry.url],
      ["Progress", ended ? null : progress(entry)],
      ["Waits for", entry.reason],
      ["Size", ended && entry.total_bytes !== null ? `${size(entry.total_bytes)} (${entry.total_bytes.toLocaleString()} bytes)` : null],
      ["Type", entry.content_type],
      ["Checksum", entry.checksum],
      ["Started", moment(entry.start_time)],
      ["Ended", ended ? `${moment(entry.end_time)}, after ${span(entry.end_time - entry.start_time)}` : null],
      ["By", entry.user],
      ["Note", entry.error ? null : entry.detail],
      ["Id", entry.id],
    ];
    byId("facts").replaceChildren(
      ...facts
        .filter(([, value]) => value)
        .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, element("bdi", {}, value))]),
    );
    show(byId("changes"), !ended);
    show(byId("retry"), entry.status === "failed" || entry.status === "cancelled");
  }

  /** @param {() => Promise<any>} act @param {string} done */
  async #act(act, done) {
    try {
      this.store.put(await act());
      this.dialog.close();
      this.notices.show(done);
    } catch (error) {
      this.onError(error);
    }
  }
}
