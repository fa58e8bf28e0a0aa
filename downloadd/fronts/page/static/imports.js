/** View of the imports: upload an export, select its channels, start it, and follow its progress. */

import { ApiError, ConnectionLost } from "./client.js";
import { byId, element, setAttribute, setText, setVisible } from "./element.js";
import { formatAge, formatCount, formatSize } from "./formatting.js";
import { IMPORT_STATUSES } from "./import_statuses.js";
import { IMPORTERS } from "./importers.js";
import { describeKinds, guessKind } from "./links.js";
import { plural, t } from "./texts.js";

/** Milliseconds between two queries while a file is read. */
const REFRESH_MILLISECONDS = 700;
/** Entries of a list of what is left out. */
const SKIPPED_SHOWN = 200;

export class ImportsView {
  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./notices.js").Notices} parts.notices
   * @param {(error: any) => void} parts.onError
   */
  constructor({ client, store, notices, onError }) {
    this.client = client;
    this.store = store;
    this.notices = notices;
    this.onError = onError;
    this.data = null;
    this.visible = false;
    /** Ids of operations whose list of what is left out is open. @type {Set<string>} */
    this.opened = new Set();
    /** @type {XMLHttpRequest | null} */
    this.uploadRequest = null;
    byId("importer").replaceChildren(
      ...Object.entries(IMPORTERS).map(([key, importer]) => element("option", { value: key }, importer.uploadHint)),
    );
    byId("export").addEventListener("change", (/** @type {any} */ event) => this.#selectFile(event.target.files[0]));
    byId("upload").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      const [file] = byId("export").files;
      if (file ?? this.file) this.upload(file ?? this.file, byId("importer").value);
      else byId("export").focus();
    });
    byId("stop-upload").addEventListener("click", () => this.uploadRequest?.abort());
    byId("choice").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#start();
    });
    byId("choice").addEventListener("change", () => this.#countSelected());
    byId("all-channels").addEventListener("change", (/** @type {any} */ event) => {
      for (const checkbox of this.#checkboxes()) if (checkbox.closest("li")?.hidden === false) checkbox.checked = event.target.checked;
      this.#countSelected();
    });
    byId("find-channel").addEventListener("input", (/** @type {any} */ event) => {
      const searched = event.target.value.trim().toLowerCase();
      for (const item of byId("channels").children) setVisible(item, item.textContent.toLowerCase().includes(searched));
    });
    byId("fetch-files").addEventListener("click", () => this.#downloadPending(true, false));
    byId("fetch-avatars").addEventListener("click", () => this.#downloadPending(false, true));
    store.addEventListener("import", () => this.#scheduleRefresh());
  }

  open() {
    this.visible = true;
    this.refresh();
  }

  close() {
    this.visible = false;
  }

  /** Selects a file for the upload. @param {File} file @param {string} kind */
  selectForUpload(file, kind) {
    this.file = file;
    byId("importer").value = kind;
    setText(byId("chosen"), `${file.name}, ${formatSize(file.size)}`);
    byId("upload-button").focus();
  }

  /** @param {File | undefined} file */
  async #selectFile(file) {
    if (!file) return;
    const kind = guessKind(file.name, new Uint8Array(await file.slice(0, 4096).arrayBuffer()));
    if (kind === null) {
      this.#showProblem(t("{name} is not an export.", { name: file.name }), t("These can be read: {kinds}.", { kinds: describeKinds() }));
      return;
    }
    this.#showProblem("", "");
    this.selectForUpload(file, kind);
  }

  /** @param {File} file @param {string} kind */
  async upload(file, kind) {
    this.#showProblem("", "");
    try {
      await this.#send(file, kind);
      this.file = undefined;
      byId("upload").reset();
      setText(byId("chosen"), "");
      this.notices.show(t("{name} was uploaded.", { name: file.name }));
    } catch (error) {
      if (error instanceof ApiError && error.status !== 401) this.#showProblem(`${file.name}: ${error.detail ?? error.code}.`, t("Select another file or another kind."));
      else if (!(error instanceof DOMException)) this.onError(error);
    }
    await this.refresh();
  }

  /**
   * Sends a file with XMLHttpRequest, because fetch does not report the progress of an upload.
   * @param {File} file @param {string} kind
   */
  #send(file, kind) {
    const bar = byId("sent");
    const request = (this.uploadRequest = new XMLHttpRequest());
    const query = new URLSearchParams({ importerKey: kind, fileName: file.name });
    setVisible(byId("uploading"), true);
    return new Promise((resolve, reject) => {
      request.upload.addEventListener("progress", (event) => {
        setAttribute(bar, "value", String(event.lengthComputable ? (100 * event.loaded) / event.total : 0));
        setText(byId("sent-words"), t("{part} of {whole}", { part: formatSize(event.loaded), whole: formatSize(event.total) }));
      });
      request.addEventListener("load", () => {
        if (request.status < 300) return resolve(undefined);
        let body = null;
        try {
          body = JSON.parse(request.responseText);
        } catch {
          // The answer comes from a proxy.
        }
        const code = body?.errorType ?? body?.error ?? `HTTP_${request.status}`;
        const detail = body?.errorType ? body.error.replace(/ \[[\w-]+\]$/, "") : body?.detail;
        return reject(new ApiError({ code, status: request.status, detail, body }));
      });
      request.addEventListener("error", () => reject(new ConnectionLost("the upload was interrupted")));
      request.addEventListener("abort", () => reject(new DOMException("the upload was stopped", "AbortError")));
      request.open("POST", `${this.client.baseUrl}api/v1/imports?${query}`);
      request.setRequestHeader("Authorization", `Bearer ${this.client.token}`);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.send(file);
    }).finally(() => {
      this.uploadRequest = null;
      setVisible(byId("uploading"), false);
    });
  }

  #scheduleRefresh() {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      if (this.visible) this.refresh();
    }, REFRESH_MILLISECONDS);
  }

  /** Queries the operations, and shows them. */
  async refresh() {
    try {
      const operations = await this.client.imports.latest();
      this.#showOperations(operations);
      const current = await this.client.imports.current();
      await this.#updateSelection(current);
    } catch (error) {
      const denied = error instanceof ApiError && error.status === 403;
      setVisible(byId("no-imports"), denied);
      if (!denied) this.onError(error);
    }
  }

  /** @param {any} operation the newest one */
  async #updateSelection(operation) {
    const readable = ["importer_file_loaded", "importer_user_selection"];
    const isExport = operation?.valid && !String(operation.importerKey ?? "").startsWith("pending");
    const reading = isExport && (readable.includes(operation.status) || operation.status.startsWith("importer_preparing"));
    setVisible(byId("reading"), Boolean(reading) && !this.data);
    setText(byId("reading"), describeReading(operation?.reading));
    if (!reading) {
      this.data = null;
      setVisible(byId("choice"), false);
      return;
    }
    if (this.data?.id === operation._id) return;
    this.data = null;
    const data = await this.client.imports.data();
    if (data.waiting) {
      this.#scheduleRefresh();
      return;
    }
    this.data = { ...data, id: operation._id };
    setVisible(byId("reading"), false);
    this.#showSelection(operation);
  }

  /** @param {any} operation */
  #showSelection(operation) {
    const { users, channels, message_count: messages } = this.data;
    const parts = [formatCount(messages, "message"), formatCount(channels.length, "channel"), formatCount(users.length, "user")];
    if (operation.count.skipped) parts.push(plural(operation.count.skipped, "{n} left out", "{n} left out"));
    setText(byId("choice-title"), t("Contents of {file}", { file: String(operation.file ?? t("the file")).replace(/^\d+_[^_]+_/, "") }));
    setText(byId("contents"), parts.join(", "));
    byId("channels").replaceChildren(
      ...channels.map((/** @type {any} */ channel) =>
        element(
          "li",
          {},
          element(
            "label",
            {},
            element("input", { type: "checkbox", name: "channel", value: channel.channel_id, checked: channel.do_import }),
            element("bdi", {}, channel.name),
            channel.is_private && element("small", {}, t("private")),
            channel.is_direct && element("small", {}, t("direct")),
            channel.is_archived && element("small", {}, t("archived")),
          ),
        ),
      ),
    );
    byId("all-channels").checked = true;
    byId("with-avatars").checked = false;
    setVisible(byId("avatars-choice"), users.length > 0);
    setVisible(byId("choice"), true);
    this.#countSelected();
  }

  #checkboxes() {
    return [...byId("channels").querySelectorAll("input")];
  }

  #countSelected() {
    const selected = this.#checkboxes().filter((checkbox) => checkbox.checked).length;
    setText(byId("chosen-channels"), plural(this.#checkboxes().length, "{selected} of {n} channel selected", "{selected} of {n} channels selected", {
        selected: selected.toLocaleString(),
      }));
    byId("start-import").disabled = selected === 0 && !byId("with-avatars").checked;
  }

  async #start() {
    const avatars = byId("with-avatars").checked;
    const channels = this.#checkboxes().filter((checkbox) => checkbox.checked).map((checkbox) => checkbox.value);
    try {
      const { id } = this.data;
      await this.client.imports.start({
        users: avatars ? { all: true } : { list: [] },
        channels: { list: channels },
      });
      this.data = null;
      await this.#downloadPending(channels.length > 0, avatars, { operation: id });
    } catch (error) {
      this.onError(error);
    }
  }

  /** @param {boolean} files @param {boolean} avatars @param {{operation?: string, retry?: boolean}} [which] */
  async #downloadPending(files, avatars, which) {
    try {
      let started = 0;
      if (files) started += (await this.client.imports.downloadFiles(which)).count;
      if (avatars) started += (await this.client.imports.downloadAvatars(which)).count;
      if (started) this.notices.show(plural(started, "{n} file to download.", "{n} files to download."), t("The downloads view shows them."));
      else this.notices.show(t("Nothing is pending."), t("All selected files are completed or active."));
    } catch (error) {
      this.onError(error);
    }
    await this.refresh();
  }

  /** @param {any[]} operations */
  #showOperations(operations) {
    setVisible(byId("nothing-imported"), operations.length === 0);
    byId("operations").replaceChildren(
      ...operations.map((operation) => {
        const { total = 0, completed = 0, error = 0, given_up: givenUp = 0, skipped = 0 } = operation.count ?? {};
        const running = !IMPORT_STATUSES[operation.status]?.isFinished;
        const isDownload = String(operation.importerKey ?? "").startsWith("pending");
        const parts = [t(IMPORT_STATUSES[operation.status]?.label ?? operation.status)];
        if (isDownload && total) parts.push(plural(total, "{completed} of {n} file", "{completed} of {n} files", { completed: completed.toLocaleString() }));
        if (error) parts.push(plural(error, "{n} file failed", "{n} files failed"));
        if (givenUp) parts.push(plural(givenUp, "{n} file given up", "{n} files given up"));
        if (skipped) parts.push(plural(skipped, "{n} left out", "{n} left out"));
        if (operation.reason) parts.push(operation.reason);
        parts.push(formatAge(operation.ts / 1000, Date.now() / 1000));
        const bar = element("progress", { max: total || 1, value: completed + error + givenUp, "aria-label": t("Progress of {name}", { name: operation.type }) });
        return element(
          "li",
          { "data-status": operation.status },
          element("strong", {}, operation.type),
          isDownload && total > 0 && running && bar,
          element("span", { class: "facts" }, parts.join(" · ")),
          running &&
            operation.valid !== false &&
            element("button", { class: "quiet", click: () => this.#cancel(operation._id), "aria-label": t("Cancel {name}", { name: operation.type }) }, t("Cancel")),
          ...this.#describeEnd(operation, !running && isDownload && error > 0, skipped > 0),
        );
      }),
    );
  }

  /**
   * Returns the buttons for files that failed, and the list of what is left out.
   * @param {any} operation @param {boolean} hasFailed @param {boolean} hasSkipped
   */
  #describeEnd(operation, hasFailed, hasSkipped) {
    const { _id: id, type, importerKey } = operation;
    const isFiles = importerKey === "pending-files";
    const retry = () => this.#downloadPending(isFiles, !isFiles, { operation: id, retry: true });
    const list = element("ul", { class: "facts" });
    const details = element("details", { open: this.opened.has(id) }, element("summary", {}, t("Left out")), list);
    details.addEventListener("toggle", () => {
      if (details.open) this.#showSkipped(id, list);
      else this.opened.delete(id);
    });
    return [
      hasFailed && element("button", { class: "quiet", click: retry, "aria-label": t("Try failed files of {name} again", { name: type }) }, t("Try again")),
      hasFailed && element("button", { class: "quiet", click: () => this.#cancel(id, { giveUp: true }), "aria-label": t("Give up failed files of {name}", { name: type }) }, t("Give up")),
      hasSkipped && details,
    ];
  }

  /** @param {string} id @param {HTMLElement} list */
  async #showSkipped(id, list) {
    this.opened.add(id);
    try {
      const { skipped } = await this.client.imports.skipped(id, { limit: SKIPPED_SHOWN });
      list.replaceChildren(
        ...skipped.map((/** @type {any} */ one) => {
          return element("li", { title: one.meaning }, element("bdi", {}, describeSkipped(one)));
        }),
        ...(skipped.length === SKIPPED_SHOWN ? [element("li", {}, t("The manifest of the import lists all."))] : []),
      );
    } catch (error) {
      this.onError(error);
    }
  }

  /** @param {string} id @param {{giveUp?: boolean}} [options] */
  async #cancel(id, options) {
    try {
      await this.client.imports.cancel(id, options);
    } catch (error) {
      this.onError(error);
    }
    await this.refresh();
  }

  /** @param {string} problem @param {string} resolution */
  #showProblem(problem, resolution) {
    byId("upload-problem").replaceChildren(element("strong", {}, problem), ` ${resolution}`);
    setVisible(byId("upload-problem"), Boolean(problem));
  }
}

/** @param {{bytes_read: number, bytes_total: number, messages: number} | undefined} reading */
function describeReading(reading) {
  if (!reading?.bytes_total) return t("The file is being read…");
  const percent = Math.floor((100 * reading.bytes_read) / reading.bytes_total);
  return plural(
    reading.messages,
    "The file is being read: {percent} %, {n} message.",
    "The file is being read: {percent} %, {n} messages.",
    { percent },
  );
}

/** @param {{entry: string | null, line: number | null, detail: string}} item */
function describeSkipped({ entry, line, detail }) {
  if (entry !== null) return `${[entry, line].filter((part) => part !== null).join(":")}: ${detail}`;
  // The detail may begin with the line.
  return line === null || detail.startsWith(`line ${line}:`) ? detail : t("line {line}: {detail}", { line, detail });
}
