/** The finished file of a download: saved by the browser, or shown in the dialog if its type is passive. */

import { byId, element, setVisible } from "./element.js";
import { formatSize } from "./formatting.js";
import { t } from "./texts.js";

/** Bytes of a text that are shown. */
const MAX_TEXT_BYTES = 1 << 16;

export class FilePreview {
  #shown = "";

  /** @param {{client: import("./client.js").Client, onError: (error: any) => void}} parts */
  constructor({ client, onError }) {
    this.downloads = client.files.downloads;
    this.onError = onError;
    this.place = byId("preview");
  }

  /** Lets the browser save a file, which may be of any size. @param {any} entry */
  async save(entry) {
    try {
      const href = await this.downloads.fileLink(entry.id, { save: true });
      element("a", { href, download: entry.filename }).click();
    } catch (error) {
      this.onError(error);
    }
  }

  /** Shows a file, or says that its type is not shown. @param {any} entry */
  async show(entry) {
    this.#shown = entry.id;
    try {
      const { type, isInline } = await this.downloads.fileType(entry.id);
      const parts = isInline ? await this.#make(entry, type) : [element("p", { class: "hint" }, t("Files of this type are not shown here. Save the file."))];
      if (this.#shown !== entry.id) return;
      this.place.replaceChildren(...parts);
      setVisible(this.place, true);
    } catch (error) {
      if (this.#shown === entry.id) this.onError(error);
    }
  }

  /** @param {any} entry @param {string} type @returns {Promise<Node[]>} */
  async #make(entry, type) {
    const kind = type.split("/")[0];
    if (kind === "text") {
      const size = entry.total_bytes ?? 0;
      const response = size ? await this.downloads.file(entry.id, { end: Math.min(size, MAX_TEXT_BYTES) }) : null;
      const rest = size > MAX_TEXT_BYTES ? t("The first {size}.", { size: formatSize(MAX_TEXT_BYTES) }) : "";
      const text = element("pre", { tabIndex: 0, "aria-label": entry.filename }, response ? await response.text() : "");
      return [text, element("p", { class: "hint" }, rest)];
    }
    const src = await this.downloads.fileLink(entry.id);
    if (kind === "image") return [element("img", { src, alt: entry.filename })];
    return [element(kind, { src, controls: true, preload: "metadata", "aria-label": entry.filename })];
  }

  /** Removes what is shown, which ends its requests. */
  clear() {
    this.#shown = "";
    setVisible(this.place, false);
    this.place.replaceChildren();
  }
}
