/** The form that starts downloads: one link or many, pasted, typed or dropped as a list. */

import { byId, element, say, show } from "./element.js";
import { findLinks, kindOf } from "./links.js";
import { count, sentence } from "./words.js";

/** Links that one call takes. */
const BATCH = 10_000;
/** Bytes of a list that is read into the form; bigger ones are imported. */
const LONGEST_LIST = 1 << 20;
/** Refused links that are explained one by one. */
const EXPLAINED = 20;
const MIB = 1 << 20;

export class Adding {
  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./notices.js").Notices} parts.notices
   * @param {import("./words.js").Explanations} parts.words
   * @param {(error: any) => void} parts.onError
   * @param {(file: File, kind: string) => void} parts.onImport takes a file that is more than a list
   */
  constructor({ client, store, notices, words, onError, onImport }) {
    this.client = client;
    this.store = store;
    this.notices = notices;
    this.words = words;
    this.onError = onError;
    this.onImport = onImport;
    this.form = byId("add");
    this.links = byId("links");
    this.found = byId("found");
    this.refused = byId("refused");
    this.directory = byId("directory");
    this.key = "";
    this.form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.submit();
    });
    this.links.addEventListener("input", () => this.#look());
    // Another order is another order.
    this.form.addEventListener("input", () => (this.key = ""));
    this.links.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    this.directory.addEventListener("input", () => this.#complete());
    this.directory.addEventListener("focus", () => this.#complete());
    byId("list-file").addEventListener("change", (/** @type {any} */ event) => {
      for (const file of event.target.files) this.take(file);
      event.target.value = "";
    });
    addEventListener("dragover", (event) => this.#drag(event, true));
    addEventListener("dragleave", (event) => event.relatedTarget === null && this.#drag(event, false));
    addEventListener("drop", (event) => this.#drop(event));
    this.#look();
  }

  /** Sends what the form says. What is refused stays in it. */
  async submit() {
    const { links } = findLinks(this.links.value);
    if (!links.length) {
      this.#explain([{ what: "There is no link here.", todo: "Paste an address that begins with http:// or https://." }]);
      this.links.focus();
      return;
    }
    const options = this.#options(links.length);
    if (!options) return;
    const button = byId("add-button");
    button.disabled = true;
    // Sent again after a lost connection, the same order is not carried out twice.
    this.key ||= Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16)).join("-");
    const failures = [];
    let started = 0;
    let sent = 0;
    try {
      for (; sent < links.length; sent += BATCH) {
        const orders = links.slice(sent, sent + BATCH).map((url) => ({ url, ...options }));
        const answer = await this.client.files.downloads.batch(orders, { idempotencyKey: `${this.key}.${sent}` });
        answer.downloads.forEach((/** @type {any} */ result, /** @type {number} */ at) => {
          if (result.success) started += 1;
          else failures.push({ url: orders[at].url, code: result.error, detail: result.detail });
        });
      }
      this.key = "";
    } catch (error) {
      if (sent) this.key = "";
      for (const url of links.slice(sent)) failures.push({ url });
      this.onError(error);
    } finally {
      button.disabled = false;
    }
    this.links.value = failures.map((failure) => failure.url).join("\n");
    this.#look();
    const explained = failures.filter((failure) => failure.code).slice(0, EXPLAINED);
    this.#explain(
      explained.map(({ url, code, detail }) => ({
        what: sentence(this.words.brief(code, detail)),
        todo: sentence(this.words.resolution(code)),
        about: url,
      })),
    );
    if (started) {
      const besides = failures.length ? `${count(failures.length, "link was", "links were")} refused, and left in the form.` : "";
      this.notices.show(`${count(started, "download")} started.`, besides);
    } else if (explained.length) {
      this.notices.read(`${count(failures.length, "link was", "links were")} refused.`);
    }
    (failures.length ? this.refused : this.links).focus();
  }

  /** Takes a dropped or chosen file: a list goes into the form, an export to the imports. @param {File} file */
  async take(file) {
    const head = new Uint8Array(await file.slice(0, 4096).arrayBuffer());
    const kind = kindOf(file.name, head);
    if (kind === null) {
      this.#explain([
        {
          what: `${file.name} is no list of links.`,
          todo: "A text with a link a line, a CSV, a Metalink, or the zip of a chat export can be read.",
        },
      ]);
      return;
    }
    if (kind !== "urls" || file.size > LONGEST_LIST) {
      this.onImport(file, kind);
      return;
    }
    const text = await file.text();
    if (!findLinks(text).links.length) {
      this.#explain([{ what: `There is no link in ${file.name}.`, todo: "Every link begins with http:// or https://." }]);
      return;
    }
    this.links.value = [this.links.value.trimEnd(), text].filter(Boolean).join("\n");
    this.#look();
    this.links.focus();
  }

  #look() {
    this.#explain([]);
    const { links, linesWithout } = findLinks(this.links.value);
    const typed = this.links.value.trim() !== "";
    const besides = linesWithout ? `, ${count(linesWithout, "line")} without one` : "";
    say(this.found, typed ? `${count(links.length, "link")} found${besides}` : "");
    say(byId("add-button"), links.length > 1 ? `Download ${links.length.toLocaleString()} files` : "Download");
    // A name and a checksum belong to one file.
    for (const id of ["filename", "checksum"]) byId(id).disabled = links.length > 1;
  }

  /** @param {number} files @returns {Record<string, any> | null} */
  #options(files) {
    /** @type {Record<string, any>} */
    const options = { directory: this.directory.value.trim().replace(/^\/+|\/+$/g, "") };
    for (const id of ["conflict", "filename", "checksum"]) {
      const value = byId(id).value.trim();
      if (value && (id === "conflict" || files === 1)) options[id] = value;
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
    return options;
  }

  /** @param {{what: string, todo: string, about?: string}[]} problems */
  #explain(problems) {
    this.refused.replaceChildren(
      ...problems.map(({ what, todo, about }) =>
        element("li", {}, about && element("bdi", { class: "link" }, about), element("strong", {}, what), todo && ` ${todo}`),
      ),
    );
    show(this.refused, problems.length > 0);
  }

  async #complete() {
    const prefix = this.directory.value.replace(/^\/+/, "");
    try {
      const found = await this.client.directories({ prefix, limit: 50 });
      if (prefix !== this.directory.value.replace(/^\/+/, "")) return;
      byId("directories").replaceChildren(...found.map((value) => element("option", { value })));
    } catch {
      // It can be typed without help.
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
    const dropped = event.dataTransfer;
    if (!dropped) return;
    if (dropped.files.length) {
      for (const file of dropped.files) this.take(file);
      return;
    }
    const text = dropped.getData("text/uri-list") || dropped.getData("text/plain");
    if (!text) return;
    this.links.value = [this.links.value.trimEnd(), text].filter(Boolean).join("\n");
    this.#look();
  }
}
