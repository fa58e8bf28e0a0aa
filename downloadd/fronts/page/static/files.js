/** View of the finished files and the directories in one directory of the storage. */

import { byId, element, iconButton, setText, setVisible } from "./element.js";
import { formatAge, formatSize } from "./formatting.js";
import { t } from "./texts.js";

const PAGE_SIZE = 200;
/** Milliseconds after the end of a download before its directory is read again. */
const REREAD_MILLISECONDS = 1000;

export class FilesView {
  /** @type {string | null} cursor of the next page */
  #next = null;
  #directory = "";
  #visible = false;
  /** Number of the last request; older answers are dropped. */
  #request = 0;
  #timer = 0;

  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./error_messages.js").ErrorMessages} parts.errors
   * @param {(error: any) => void} parts.onError
   * @param {(entry: any) => void} parts.onOpen called to show the download of a file
   * @param {(entry: any) => void} parts.saveFile saves the file of a completed download
   * @param {(directory: string) => void} parts.onHistory called to show the finished downloads of a directory
   */
  constructor({ client, store, errors, onError, onOpen, saveFile, onHistory }) {
    this.downloads = client.files.downloads;
    this.errors = errors;
    this.onError = onError;
    this.onOpen = onOpen;
    this.saveFile = saveFile;
    this.field = byId("files-directory");
    byId("files-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.show(this.field.value);
    });
    byId("more-files").addEventListener("click", () => this.#load(this.#next ?? ""));
    byId("their-downloads").addEventListener("click", () => onHistory(this.#directory));
    store.addEventListener("ended", (/** @type {any} */ { detail }) => this.#visible && this.#isBelow(detail.directory) && this.#reread());
  }

  open() {
    this.#visible = true;
    this.#load("");
  }

  close() {
    this.#visible = false;
  }

  /** Shows a directory. @param {string} directory */
  show(directory) {
    this.#directory = directory.trim().replace(/^\/+|\/+$/g, "");
    if (this.#visible) this.#load("");
  }

  /** @param {string} directory */
  #isBelow(directory) {
    return this.#directory === "" || `${directory}/`.startsWith(`${this.#directory}/`);
  }

  /** Reads the directory again, unless the user has asked for more than its first page. */
  #reread() {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      if (this.#visible && byId("files").children.length <= PAGE_SIZE) this.#load("");
    }, REREAD_MILLISECONDS);
  }

  /** @param {string} cursor "" for the first page */
  async #load(cursor) {
    const number = (this.#request += 1);
    const directory = this.#directory;
    try {
      const page = await this.downloads.listFiles({ directory, limit: PAGE_SIZE, cursor: cursor || undefined });
      if (number === this.#request) this.#draw(page, cursor !== "");
    } catch (error) {
      if (number === this.#request) this.#fail(error);
    }
  }

  /** @param {{files: any[], next: string | null}} page @param {boolean} isFurther */
  #draw({ files, next }, isFurther) {
    this.#next = next;
    this.#drawPath();
    const list = byId("files");
    // A list that is read again must not lose the focus.
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.path;
    const items = files.map((file) => this.#item(file));
    if (isFurther) list.append(...items);
    else list.replaceChildren(...items);
    if (focused !== undefined) list.querySelector(`[data-path="${CSS.escape(focused)}"]`)?.focus();
    if (isFurther) items[0]?.querySelector("button")?.focus();
    setVisible(byId("more-files"), next !== null);
    this.#explain(list.children.length ? "" : t("No files here."));
  }

  /** @param {any} error */
  #fail(error) {
    this.#drawPath();
    byId("files").replaceChildren();
    setVisible(byId("more-files"), false);
    if (error.code === "error-unauthorized") this.#explain(t("You lack the permission to read these files."));
    else if (error.status === 404 || error.code === "INVALID_PATH") this.#explain(t("There is no such directory."));
    else {
      this.#explain("");
      this.onError(error);
    }
  }

  /** @param {string} text shown in place of files; "" for none */
  #explain(text) {
    setText(byId("no-files"), text);
    setVisible(byId("no-files"), text !== "");
  }

  /** Shows the directory and those above it. */
  #drawPath() {
    this.field.value = this.#directory;
    const names = this.#directory ? this.#directory.split("/") : [];
    const above = [t("Storage root"), ...names].map((name, depth) => {
      const path = names.slice(0, depth).join("/");
      if (depth === names.length) return element("span", { "aria-current": "location" }, element("bdi", {}, name));
      return element("button", { type: "button", class: "quiet", click: () => this.show(path) }, element("bdi", {}, name));
    });
    byId("above").replaceChildren(...above.flatMap((part, at) => (at ? [" / ", part] : [part])));
  }

  /** @param {any} file */
  #item(file) {
    const { name, path, type, size, modified, download_id: id } = file;
    const isDirectory = type === "directory";
    const open = isDirectory ? () => this.show(path) : () => this.#openDownload(id);
    const label = element("bdi", {}, isDirectory ? `${name}/` : name);
    const facts = [size === null ? "" : formatSize(size), formatAge(modified, Date.now() / 1000)].filter(Boolean).join(" · ");
    const save = isDirectory || id === null ? null : iconButton("save", t("Save the file"), () => this.saveFile({ id, filename: name }));
    save?.setAttribute("aria-label", t("Save {name}", { name }));
    return element(
      "li",
      {},
      isDirectory || id !== null ? element("button", { type: "button", class: "name", "data-path": path, click: open }, label) : element("span", { class: "name" }, label),
      element("span", { class: "facts" }, facts),
      save,
    );
  }

  /** @param {string} id */
  async #openDownload(id) {
    try {
      this.onOpen(await this.downloads.get(id));
    } catch (error) {
      this.onError(error);
    }
  }
}
