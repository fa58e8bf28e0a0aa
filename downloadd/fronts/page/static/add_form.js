/** The form that starts downloads: one link or many, pasted, typed or dropped as a list. */

import { byId, element, setText, setVisible } from "./element.js";
import { endSentence } from "./formatting.js";
import { IMPORTERS } from "./importers.js";
import { LinkCheck } from "./link_check.js";
import { describeKinds, findLinks, guessKind } from "./links.js";
import { plural, t } from "./texts.js";

/** Downloads of one batch. */
const MAX_BATCH_ITEMS = 10_000;
/** Bytes of a list that is read into the form; longer ones are imported. */
const MAX_LIST_BYTES = 1 << 20;
/** Refused links whose reason is shown. */
const MAX_PROBLEMS = 20;
const MIB = 1 << 20;
/** Ids of the fields that apply to one file. */
const FIELDS_OF_ONE_FILE = ["filename", "checksum"];

export class AddForm {
  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./notices.js").Notices} parts.notices
   * @param {import("./error_messages.js").ErrorMessages} parts.errors
   * @param {(error: any) => void} parts.onError
   * @param {(file: File, kind: string) => void} parts.onImport called with a file for the imports
   */
  constructor({ client, store, notices, errors, onError, onImport }) {
    this.client = client;
    this.store = store;
    this.notices = notices;
    this.errors = errors;
    this.onError = onError;
    this.onImport = onImport;
    this.form = byId("add");
    this.links = byId("links");
    this.found = byId("found");
    this.handed = byId("handed");
    this.refused = byId("refused");
    this.directory = byId("directory");
    this.check = new LinkCheck({ client, errors, onError });
    this.idempotencyKey = "";
    this.form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.submit();
    });
    this.links.addEventListener("input", () => this.#updateLinks());
    this.form.addEventListener("input", () => setVisible(this.handed, false));
    // A changed form is another request.
    this.form.addEventListener("input", () => (this.idempotencyKey = ""));
    this.links.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    this.directory.addEventListener("input", () => this.#completeDirectory());
    this.directory.addEventListener("focus", () => this.#completeDirectory());
    byId("list-file").addEventListener("change", (/** @type {any} */ event) => {
      for (const file of event.target.files) this.addFile(file);
      event.target.value = "";
    });
    addEventListener("dragover", (event) => this.#drag(event, true));
    addEventListener("dragleave", (event) => event.relatedTarget === null && this.#drag(event, false));
    addEventListener("drop", (event) => this.#drop(event));
    this.#updateLinks();
  }

  /** Starts the downloads of the form. Refused links stay in it. */
  async submit() {
    const { links } = findLinks(this.links.value);
    if (!links.length) {
      this.#showProblems([{ problem: t("There is no link."), resolution: t("Paste an address that begins with http:// or https://.") }]);
      this.links.focus();
      return;
    }
    const options = this.#options(links.length);
    if (!options) return;
    const button = byId("add-button");
    button.disabled = true;
    // With the same key, a repeated request after a lost connection starts nothing twice.
    this.idempotencyKey ||= Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16)).join("-");
    const failures = [];
    let started = 0;
    let sent = 0;
    try {
      for (; sent < links.length; sent += MAX_BATCH_ITEMS) {
        const items = links.slice(sent, sent + MAX_BATCH_ITEMS).map((url) => ({ url, ...options }));
        const response = await this.client.files.downloads.batch(items, { idempotencyKey: `${this.idempotencyKey}.${sent}` });
        response.downloads.forEach((/** @type {any} */ result, /** @type {number} */ at) => {
          if (result.success) started += 1;
          else failures.push({ url: items[at].url, code: result.error, detail: result.detail });
        });
      }
      this.idempotencyKey = "";
    } catch (error) {
      if (sent) this.idempotencyKey = "";
      for (const url of links.slice(sent)) failures.push({ url });
      this.onError(error);
    } finally {
      button.disabled = false;
    }
    this.links.value = failures.map((failure) => failure.url).join("\n");
    setVisible(this.handed, false);
    this.#updateLinks();
    const shown = failures.filter((failure) => failure.code).slice(0, MAX_PROBLEMS);
    this.#showProblems(
      shown.map(({ url, code, detail }) => ({
        problem: endSentence(this.errors.summary(code, detail)),
        resolution: endSentence(this.errors.resolution(code)),
        url,
      })),
    );
    if (started) {
      const detail = failures.length ? plural(failures.length, "1 link was refused and kept in the form.", "{n} links were refused and kept in the form.") : "";
      this.notices.show(plural(started, "{n} download started.", "{n} downloads started."), detail);
    } else if (shown.length) {
      this.notices.announce(plural(failures.length, "{n} link was refused.", "{n} links were refused."));
    }
    (failures.length ? this.refused : this.links).focus();
  }

  /** Adds links that another page handed over; only the user starts their downloads. @param {string} text */
  receive(text) {
    const { links } = findLinks(text);
    if (!links.length) {
      this.#showProblems([
        { problem: t("Another page handed over something that is not a link."), resolution: t("A link begins with http:// or https://.") },
      ]);
      return;
    }
    this.#append(links.join("\n"));
    setText(this.handed, plural(
      links.length,
      "{n} link from another page. Check before you start the download.",
      "{n} links from another page. Check before you start the download.",
    ));
    setVisible(this.handed, true);
    // Not the button: a key that is pressed by accident starts nothing.
    this.links.focus();
  }

  /** Adds a dropped or selected file: a list to the form, an export to the imports. @param {File} file */
  async addFile(file) {
    const head = new Uint8Array(await file.slice(0, 4096).arrayBuffer());
    const kind = guessKind(file.name, head);
    if (kind === null) {
      this.#showProblems([
        {
          problem: t("{name} is not a list of links.", { name: file.name }),
          resolution: t("These can be read: {kinds}.", { kinds: describeKinds() }),
        },
      ]);
      return;
    }
    if (!IMPORTERS[kind].acceptsText || file.size > MAX_LIST_BYTES) {
      this.onImport(file, kind);
      return;
    }
    const text = await file.text();
    if (!findLinks(text).links.length) {
      this.#showProblems([{ problem: t("There is no link in {name}.", { name: file.name }), resolution: t("A link begins with http:// or https://.") }]);
      return;
    }
    this.#append(text);
    this.links.focus();
  }

  /** @param {string} text */
  #append(text) {
    this.links.value = [this.links.value.trimEnd(), text].filter(Boolean).join("\n");
    this.#updateLinks();
  }

  #updateLinks() {
    this.#showProblems([]);
    const { links, linesWithout } = findLinks(this.links.value);
    const hasText = this.links.value.trim() !== "";
    const rest = linesWithout ? plural(linesWithout, ", {n} line without a link", ", {n} lines without a link") : "";
    setText(this.found, hasText ? `${plural(links.length, "{n} link found", "{n} links found")}${rest}` : "");
    setText(byId("add-button"), links.length > 1 ? t("Download {n} files", { n: links.length.toLocaleString() }) : t("Download"));
    for (const id of FIELDS_OF_ONE_FILE) byId(id).disabled = links.length > 1;
    this.check.update(links);
  }

  /** @param {number} files @returns {Record<string, any> | null} */
  #options(files) {
    /** @type {Record<string, any>} */
    const options = { directory: this.directory.value.trim().replace(/^\/+|\/+$/g, "") };
    for (const id of ["conflict", "type", ...FIELDS_OF_ONE_FILE]) {
      const value = byId(id).value.trim();
      if (value && (files === 1 || !FIELDS_OF_ONE_FILE.includes(id))) options[id] = value;
    }
    for (const [id, name, unit] of /** @type {[string, string, number][]} */ ([
      ["segments", "segments", 1],
      ["timeout", "timeout", 60],
      ["priority", "priority", 1],
      ["limit", "speed_limit", MIB],
    ])) {
      const field = byId(id);
      if (!field.reportValidity()) return null;
      if (field.value !== "") options[name] = Math.round(Number(field.value) * unit);
    }
    // The time zone of the browser.
    if (byId("not-before").value) options.not_before = new Date(byId("not-before").value).toISOString();
    // Without a time in the form, none ends the download; the configured one is for requests that wait for an answer.
    options.timeout ??= 0;
    if (byId("skip-same").checked) options.skip_same = true;
    if (byId("paused").checked) options.paused = true;
    return options;
  }

  /** @param {{problem: string, resolution: string, url?: string}[]} problems */
  #showProblems(problems) {
    this.refused.replaceChildren(
      ...problems.map(({ problem, resolution, url }) =>
        element("li", {}, url && element("bdi", { class: "link" }, url), element("strong", {}, problem), resolution && ` ${resolution}`),
      ),
    );
    setVisible(this.refused, problems.length > 0);
  }

  async #completeDirectory() {
    const prefix = this.directory.value.replace(/^\/+/, "");
    try {
      const found = await this.client.directories({ prefix, limit: 50 });
      if (prefix !== this.directory.value.replace(/^\/+/, "")) return;
      byId("directories").replaceChildren(...found.map((value) => element("option", { value })));
    } catch {
      // The field works without suggestions.
    }
  }

  /** @param {DragEvent} event @param {boolean} over */
  #drag(event, over) {
    if (!event.dataTransfer) return;
    event.preventDefault();
    document.documentElement.classList.toggle("dropping", over);
  }

  /** @param {DragEvent} event */
  #drop(event) {
    this.#drag(event, false);
    const transfer = event.dataTransfer;
    if (!transfer) return;
    if (transfer.files.length) {
      for (const file of transfer.files) this.addFile(file);
      return;
    }
    const text = transfer.getData("text/uri-list") || transfer.getData("text/plain");
    if (text) this.#append(text);
  }
}
