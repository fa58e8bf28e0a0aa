/** Dialog with all fields of one download, and the form to change it. */

import { isMovable } from "./downloads.js";
import { byId, element, setText, setVisible } from "./element.js";
import { endSentence, formatDuration, formatKept, formatProgress, formatSize, formatTime } from "./formatting.js";
import { STATES } from "./states.js";

const MIB = 1 << 20;

export class Details {
  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./notices.js").Notices} parts.notices
   * @param {import("./error_messages.js").ErrorMessages} parts.errors
   * @param {(error: any) => void} parts.onError
   */
  constructor({ client, store, notices, errors, onError }) {
    this.client = client;
    this.store = store;
    this.notices = notices;
    this.errors = errors;
    this.onError = onError;
    this.entry = null;
    this.dialog = byId("details");
    const changes = byId("changes");
    changes.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#apply(() => this.client.files.downloads.change(this.entry.id, this.#changes()), "Changed.");
    });
    byId("moves").addEventListener("click", (/** @type {any} */ event) => {
      const button = event.target.closest("button");
      if (button) this.#move(button.dataset.to);
    });
    byId("retry").addEventListener("click", () =>
      this.#apply(() => this.client.files.downloads.retry(this.entry.id), "The download starts again."),
    );
    byId("remove").addEventListener("click", () => this.#remove(false));
    byId("remove-file").addEventListener("click", () => {
      if (confirm(`Delete the file ${this.entry.file_path}?`)) this.#remove(true);
    });
    byId("close-details").addEventListener("click", () => this.dialog.close());
    store.addEventListener("active", () => this.#refresh());
  }

  /** @param {any} entry of a listing or of the history */
  open(entry) {
    this.entry = entry;
    setText(byId("moved"), "");
    byId("new-priority").value = entry.priority ?? 0;
    // Four digits of a limit of any size: three decimal places would show one of 500 bytes a second as none.
    const limit = String(Number(((entry.speed_limit ?? 0) / MIB).toPrecision(4)));
    for (const [id, value] of [["new-name", entry.filename], ["new-directory", entry.directory], ["new-limit", limit]]) {
      byId(id).defaultValue = byId(id).value = value;
    }
    this.#draw();
    this.dialog.showModal();
  }

  /** Returns the priority, and the other values that were edited: the name may change meanwhile, the limit is rounded. */
  #changes() {
    /** @type {Record<string, any>} */
    const changes = { priority: Number(byId("new-priority").value) };
    const limit = byId("new-limit");
    if (limit.value !== limit.defaultValue) changes.speed_limit = Math.round(Number(limit.value) * MIB);
    for (const [id, name] of [["new-name", "filename"], ["new-directory", "directory"]]) {
      const field = byId(id);
      if (field.value !== field.defaultValue) changes[name] = field.value;
    }
    return changes;
  }

  #refresh() {
    if (!this.dialog.open || !this.entry) return;
    const latest =
      this.store.active.get(this.entry.id) ?? this.store.recentlyEnded.find((entry) => entry.id === this.entry.id);
    if (latest && latest !== this.entry) {
      this.entry = latest;
      this.#draw();
    }
  }

  #draw() {
    const entry = this.entry;
    const finished = "end_time" in entry;
    setText(byId("details-name"), entry.filename || entry.url);
    const problem = byId("explained");
    setVisible(problem, Boolean(entry.error));
    if (entry.error) {
      const resolution = this.errors.resolution(entry.error);
      problem.replaceChildren(
        element("strong", {}, this.errors.title(entry.error)),
        entry.detail ? `: ${endSentence(entry.detail)}` : ".",
        resolution ? ` ${endSentence(resolution)}` : "",
        element("code", {}, entry.error),
      );
    }
    /** @type {[string, string | null | undefined][]} */
    const fields = [
      ["State", STATES[entry.status]?.title ?? entry.status],
      ["Saved as", entry.file_path],
      ["URL", entry.url],
      ["Progress", finished ? null : formatProgress(entry)],
      ["Waiting reason", entry.reason],
      ["Node", entry.node],
      ["Cause", entry.cause?.replace("_", " ")],
      ["Status of origin", entry.origin_status && String(entry.origin_status)],
      ["Size", finished && entry.total_bytes !== null ? `${formatSize(entry.total_bytes)} (${entry.total_bytes.toLocaleString()} bytes)` : null],
      ["Part file", entry.kept_bytes ? formatKept(entry.kept_bytes) : null],
      ["Type", entry.content_type],
      ["Checksum", entry.checksum],
      ["Started", formatTime(entry.start_time)],
      ["Ended", finished ? `${formatTime(entry.end_time)}, after ${formatDuration(entry.end_time - entry.start_time)}` : null],
      ["User", entry.user],
      ["Warning", entry.warning],
      ["Id", entry.id],
    ];
    byId("facts").replaceChildren(
      ...fields
        .filter(([, value]) => value)
        .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, element("bdi", {}, value))]),
    );
    setVisible(byId("changes"), !finished);
    setVisible(byId("moves"), isMovable(entry));
    setVisible(byId("remove"), finished);
    setVisible(byId("remove-file"), finished && entry.status === "completed");
    setVisible(byId("retry"), STATES[entry.status]?.isSuccess === false);
  }

  /** Moves the download in the queue; the dialog stays open for the next move. @param {"top" | "up" | "down" | "bottom"} to */
  async #move(to) {
    try {
      const entry = await this.client.files.downloads.move(this.entry.id, to);
      this.store.put(entry);
      // A message of the page would not be announced while the dialog is open.
      setText(byId("moved"), entry.position ? `Number ${(entry.position + 1).toLocaleString()} in the queue.` : "First in the queue.");
    } catch (error) {
      this.onError(error);
    }
  }

  /** Removes the entry from the history. @param {boolean} file with its file */
  async #remove(file) {
    const { id } = this.entry;
    try {
      const { message } = await this.client.files.downloads.remove(id, { file });
      this.store.remove(id);
      this.dialog.close();
      this.notices.show(`${message}.`);
    } catch (error) {
      this.onError(error);
    }
  }

  /** @param {() => Promise<any>} action @param {string} message */
  async #apply(action, message) {
    try {
      this.store.put(await action());
      this.dialog.close();
      this.notices.show(message);
    } catch (error) {
      this.onError(error);
    }
  }
}
