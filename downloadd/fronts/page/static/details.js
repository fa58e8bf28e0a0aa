/** Dialog with all fields of one download, and the form to change it. */

import { isMovable } from "./download_row.js";
import { byId, element, setText, setVisible } from "./element.js";
import { endSentence, formatDuration, formatKept, formatProgress, formatSize, formatTime } from "./formatting.js";
import { FilePreview } from "./preview.js";
import { STATES } from "./states.js";
import { plural, t } from "./texts.js";
import { describeWait } from "./wait_reasons.js";

const MIB = 1 << 20;

export class Details {
  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./notices.js").Notices} parts.notices
   * @param {import("./error_messages.js").ErrorMessages} parts.errors
   * @param {(error: any) => void} parts.onError
   * @param {(directory: string) => void} parts.onDirectory called to show the files of a directory
   * @param {() => void} parts.onMove called when the order of the queue has changed
   */
  constructor({ client, store, notices, errors, onError, onDirectory, onMove }) {
    this.onMove = onMove;
    this.onDirectory = onDirectory;
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
      this.#apply(() => this.client.files.downloads.change(this.entry.id, this.#changes()), t("Changed."));
    });
    byId("moves").addEventListener("click", (/** @type {any} */ event) => {
      const button = event.target.closest("button");
      if (button) this.#move(button.dataset.to);
    });
    byId("retry").addEventListener("click", () =>
      this.#apply(() => this.client.files.downloads.retry(this.entry.id), t("The download starts again.")),
    );
    byId("remove").addEventListener("click", () => this.#remove(false));
    byId("remove-file").addEventListener("click", () => {
      if (confirm(t("Delete the file {path}?", { path: this.entry.file_path }))) this.#remove(true);
    });
    this.preview = new FilePreview({ client, onError });
    byId("save-file").addEventListener("click", () => this.preview.save(this.entry));
    byId("show-file").addEventListener("click", () => this.preview.show(this.entry));
    byId("same-directory").addEventListener("click", () => {
      this.dialog.close();
      this.onDirectory(this.entry.directory);
    });
    this.dialog.addEventListener("close", () => this.preview.clear());
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
    this.preview.clear();
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
      [t("State"), STATES[entry.status] ? t(STATES[entry.status].title) : entry.status],
      [t("Saved as"), entry.file_path],
      [t("URL"), entry.url],
      [t("Progress"), finished ? null : formatProgress(entry)],
      [t("Waiting reason"), finished ? null : describeWait(entry)],
      [t("Node"), entry.node],
      [t("Cause"), entry.cause?.replace("_", " ")],
      [t("Status of origin"), entry.origin_status && String(entry.origin_status)],
      [t("Size"), finished && entry.total_bytes !== null ? `${formatSize(entry.total_bytes)} (${plural(entry.total_bytes, "{n} byte", "{n} bytes")})` : null],
      [t("Part file"), entry.kept_bytes ? formatKept(entry.kept_bytes) : null],
      [t("Type"), entry.content_type],
      [t("Checksum"), entry.checksum],
      [t("Started"), formatTime(entry.start_time)],
      [t("Ended"), finished ? t("{time}, after {duration}", { time: formatTime(entry.end_time), duration: formatDuration(entry.end_time - entry.start_time) }) : null],
      [t("User"), entry.user],
      [t("Warning"), entry.warning],
      [t("Id"), entry.id],
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
    for (const id of ["save-file", "show-file"]) setVisible(byId(id), finished && entry.status === "completed");
    setVisible(byId("retry"), STATES[entry.status]?.isSuccess === false);
  }

  /** Moves the download in the queue; the dialog stays open for the next move. @param {"top" | "up" | "down" | "bottom"} to */
  async #move(to) {
    try {
      const { id } = this.entry;
      const entry = await this.store.change(id, () => this.client.files.downloads.move(id, to));
      this.onMove();
      // A message of the page would not be announced while the dialog is open.
      setText(byId("moved"), entry.position ? t("Number {n} in the queue.", { n: (entry.position + 1).toLocaleString() }) : t("First in the queue."));
    } catch (error) {
      this.onError(error);
    }
  }

  /** Removes the entry from the history. @param {boolean} file with its file */
  async #remove(file) {
    const { id } = this.entry;
    try {
      await this.client.files.downloads.remove(id, { file });
      this.store.remove(id);
      this.dialog.close();
      this.notices.show(file ? t("Removed from the history, with its file.") : t("Removed from the history."));
    } catch (error) {
      this.onError(error);
    }
  }

  /** @param {() => Promise<any>} action @param {string} message */
  async #apply(action, message) {
    try {
      await this.store.change(this.entry.id, action);
      this.dialog.close();
      this.notices.show(message);
    } catch (error) {
      this.onError(error);
    }
  }
}
