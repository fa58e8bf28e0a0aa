/** Exports: upload one, look what is in it, choose, start, watch. */

import { ApiError, ConnectionLost } from "./client.js";
import { byId, element, mark, say, show } from "./element.js";
import { kindOf } from "./links.js";
import { STEPS, ago, count, size } from "./words.js";

/** Milliseconds between two looks whether a file has been read. */
const LOOK = 700;
const OVER = ["importer_done", "importer_import_failed", "importer_import_cancelled"];

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
    this.shown = false;
    /** @type {XMLHttpRequest | null} */
    this.sending = null;
    byId("export").addEventListener("change", (/** @type {any} */ event) => this.#choose(event.target.files[0]));
    byId("upload").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      const [file] = byId("export").files;
      if (file ?? this.file) this.upload(file ?? this.file, byId("importer").value);
      else byId("export").focus();
    });
    byId("stop-upload").addEventListener("click", () => this.sending?.abort());
    byId("choice").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#start();
    });
    byId("choice").addEventListener("change", () => this.#count());
    byId("all-channels").addEventListener("change", (/** @type {any} */ event) => {
      for (const box of this.#boxes()) if (box.closest("li")?.hidden === false) box.checked = event.target.checked;
      this.#count();
    });
    byId("find-channel").addEventListener("input", (/** @type {any} */ event) => {
      const wanted = event.target.value.trim().toLowerCase();
      for (const line of byId("channels").children) show(line, line.textContent.toLowerCase().includes(wanted));
    });
    byId("fetch-files").addEventListener("click", () => this.#fetch(true, false));
    byId("fetch-avatars").addEventListener("click", () => this.#fetch(false, true));
    store.addEventListener("import", () => this.#soon());
  }

  open() {
    this.shown = true;
    this.refresh();
  }

  leave() {
    this.shown = false;
  }

  /** A file that was dropped somewhere on the page. @param {File} file @param {string} kind */
  offer(file, kind) {
    this.file = file;
    byId("importer").value = kind;
    say(byId("chosen"), `${file.name}, ${size(file.size)}`);
    byId("upload-button").focus();
  }

  /** @param {File | undefined} file */
  async #choose(file) {
    if (!file) return;
    const kind = kindOf(file.name, new Uint8Array(await file.slice(0, 4096).arrayBuffer()));
    if (kind === null) {
      this.#problem(`${file.name} is no export.`, "A zip, a CSV, a Metalink or a text with links can be imported.");
      return;
    }
    this.#problem("", "");
    this.offer(file, kind);
  }

  /** @param {File} file @param {string} kind */
  async upload(file, kind) {
    this.#problem("", "");
    try {
      await this.#send(file, kind);
      this.file = undefined;
      byId("upload").reset();
      say(byId("chosen"), "");
      this.notices.show(`${file.name} was uploaded.`);
    } catch (error) {
      if (error instanceof ApiError && error.status !== 401) this.#problem(`${file.name}: ${error.detail ?? error.code}.`, "Choose another file, or another kind.");
      else if (!(error instanceof DOMException)) this.onError(error);
    }
    await this.refresh();
  }

  /**
   * With XMLHttpRequest, because fetch does not tell how much has been sent.
   * @param {File} file @param {string} kind
   */
  #send(file, kind) {
    const bar = byId("sent");
    const request = (this.sending = new XMLHttpRequest());
    const query = new URLSearchParams({ importerKey: kind, fileName: file.name });
    show(byId("uploading"), true);
    return new Promise((resolve, reject) => {
      request.upload.addEventListener("progress", (event) => {
        mark(bar, "value", String(event.lengthComputable ? (100 * event.loaded) / event.total : 0));
        say(byId("sent-words"), `${size(event.loaded)} of ${size(event.total)}`);
      });
      request.addEventListener("load", () => {
        if (request.status < 300) return resolve(undefined);
        let body = null;
        try {
          body = JSON.parse(request.responseText);
        } catch {
          // Something between us and the daemon answered.
        }
        const code = body?.errorType ?? body?.error ?? `HTTP_${request.status}`;
        const detail = body?.errorType ? body.error.replace(/ \[[\w-]+\]$/, "") : body?.detail;
        return reject(new ApiError({ code, status: request.status, detail, body }));
      });
      request.addEventListener("error", () => reject(new ConnectionLost("the upload broke off")));
      request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
      request.open("POST", `${this.client.baseUrl}api/v1/imports?${query}`);
      request.setRequestHeader("Authorization", `Bearer ${this.client.token}`);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.send(file);
    }).finally(() => {
      this.sending = null;
      show(byId("uploading"), false);
    });
  }

  #soon() {
    this.due ??= setTimeout(() => {
      this.due = undefined;
      if (this.shown) this.refresh();
    }, LOOK);
  }

  /** Reads how far everything is, and shows it. */
  async refresh() {
    try {
      const operations = await this.client.imports.latest();
      this.#list(operations);
      const current = await this.client.imports.current();
      await this.#look(current);
    } catch (error) {
      const denied = error instanceof ApiError && error.status === 403;
      show(byId("no-imports"), denied);
      if (!denied) this.onError(error);
    }
  }

  /** @param {any} operation the newest one */
  async #look(operation) {
    const readable = ["importer_file_loaded", "importer_user_selection"];
    const isExport = operation?.valid && !String(operation.importerKey ?? "").startsWith("pending");
    const reading = isExport && (readable.includes(operation.status) || operation.status.startsWith("importer_preparing"));
    show(byId("reading"), Boolean(reading) && !this.data);
    if (!reading) {
      this.data = null;
      show(byId("choice"), false);
      return;
    }
    if (this.data?.id === operation._id) return;
    this.data = null;
    const data = await this.client.imports.data();
    if (data.waiting) {
      this.#soon();
      return;
    }
    this.data = { ...data, id: operation._id };
    show(byId("reading"), false);
    this.#offerChoice(operation);
  }

  /** @param {any} operation */
  #offerChoice(operation) {
    const { users, channels, message_count: messages } = this.data;
    const parts = [count(messages, "message"), count(channels.length, "channel"), count(users.length, "user")];
    say(byId("choice-title"), `What is in ${String(operation.file ?? "the file").replace(/^\d+_[^_]+_/, "")}`);
    say(byId("contents"), parts.join(", "));
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
            channel.is_private && element("small", {}, "private"),
            channel.is_direct && element("small", {}, "direct"),
            channel.is_archived && element("small", {}, "archived"),
          ),
        ),
      ),
    );
    byId("all-channels").checked = true;
    byId("with-avatars").checked = false;
    show(byId("avatars-choice"), users.length > 0);
    show(byId("choice"), true);
    this.#count();
  }

  #boxes() {
    return [...byId("channels").querySelectorAll("input")];
  }

  #count() {
    const chosen = this.#boxes().filter((box) => box.checked).length;
    say(byId("chosen-channels"), `${chosen.toLocaleString()} of ${count(this.#boxes().length, "channel")} chosen`);
    byId("start-import").disabled = chosen === 0 && !byId("with-avatars").checked;
  }

  async #start() {
    const avatars = byId("with-avatars").checked;
    const channels = this.#boxes().filter((box) => box.checked).map((box) => box.value);
    try {
      await this.client.imports.start({
        users: avatars ? { all: true } : { list: [] },
        channels: { list: channels },
      });
      this.data = null;
      await this.#fetch(channels.length > 0, avatars);
    } catch (error) {
      this.onError(error);
    }
  }

  /** @param {boolean} files @param {boolean} avatars */
  async #fetch(files, avatars) {
    try {
      let started = 0;
      if (files) started += (await this.client.imports.downloadFiles()).count;
      if (avatars) started += (await this.client.imports.downloadAvatars()).count;
      if (started) this.notices.show(`${count(started, "file")} to download.`, "They are among the downloads, too.");
      else this.notices.show("Nothing is pending.", "Everything that was chosen is there already, or on its way.");
    } catch (error) {
      this.onError(error);
    }
    await this.refresh();
  }

  /** @param {any[]} operations */
  #list(operations) {
    show(byId("nothing-imported"), operations.length === 0);
    byId("operations").replaceChildren(
      ...operations.map((operation) => {
        const { total = 0, completed = 0, error = 0 } = operation.count ?? {};
        const running = !OVER.includes(operation.status);
        const isFetch = String(operation.importerKey ?? "").startsWith("pending");
        const facts = [STEPS[operation.status] ?? operation.status];
        if (isFetch && total) facts.push(`${completed.toLocaleString()} of ${count(total, "file")}`);
        if (error) facts.push(`${count(error, "file")} failed`);
        if (operation.reason) facts.push(operation.reason);
        facts.push(ago(operation.ts / 1000, Date.now() / 1000));
        const bar = element("progress", { max: total || 1, value: completed + error, "aria-label": `Progress of ${operation.type}` });
        return element(
          "li",
          { "data-status": operation.status },
          element("strong", {}, operation.type),
          isFetch && total > 0 && running && bar,
          element("span", { class: "facts" }, facts.join(" · ")),
          running &&
            operation.valid !== false &&
            element("button", { class: "quiet", click: () => this.#cancel(operation._id), "aria-label": `Cancel ${operation.type}` }, "Cancel"),
        );
      }),
    );
  }

  /** @param {string} id */
  async #cancel(id) {
    try {
      await this.client.imports.cancel(id);
    } catch (error) {
      this.onError(error);
    }
    await this.refresh();
  }

  /** @param {string} what @param {string} todo */
  #problem(what, todo) {
    byId("upload-problem").replaceChildren(element("strong", {}, what), ` ${todo}`);
    show(byId("upload-problem"), Boolean(what));
  }
}
