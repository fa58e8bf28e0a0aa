/** Free space of the storage root, use of quotas, and kept part files, from the metrics. */

import { byId, element, setVisible } from "./element.js";
import { formatSize } from "./formatting.js";
import { plural, t } from "./texts.js";

/** Milliseconds between two requests, while the page is visible. */
const REFRESH_MILLISECONDS = 60_000;
const GAUGE = /^downloadd_(storage|quota)_(\w+)_bytes(?:\{directory="((?:[^"\\]|\\.)*)"\})? (\S+)$/gm;

/**
 * Returns the values of the gauges about space, by directory; "" for the whole storage.
 * @param {string} metrics in the text format of Prometheus
 */
export function parseSpace(metrics) {
  /** @type {Map<string, Record<string, number>>} */
  const found = new Map();
  for (const [, kind, name, directory = "", value] of metrics.matchAll(GAUGE)) {
    const key = kind === "storage" ? "" : `${directory.replace(/\\(.)/g, (_, one) => (one === "n" ? "\n" : one))}/`;
    found.set(key, { ...found.get(key), [name]: Number(value) });
  }
  return found;
}

/** Returns the number of kept part files and their bytes. @param {string} metrics */
export function parseKept(metrics) {
  const value = (/** @type {string} */ name) => Number(new RegExp(`^downloadd_kept_${name} (\\S+)$`, "m").exec(metrics)?.[1] ?? 0);
  return { parts: value("parts"), bytes: value("bytes") };
}

export class StorageView {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {{client: import("./client.js").Client, onKept: () => void}} parts `onKept` shows the kept part files */
  constructor({ client, onKept }) {
    this.client = client;
    this.onKept = onKept;
  }

  /** Requests the values, and again after a while until `close`. */
  async open() {
    this.close();
    try {
      if (!document.hidden && this.client.token) {
        const metrics = await this.client.metrics();
        this.#draw(parseSpace(metrics), parseKept(metrics));
      }
    } catch {
      // The event stream reports lost connections and expired tokens.
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), REFRESH_MILLISECONDS);
  }

  /** Ends the requests. */
  close() {
    clearTimeout(this.#timer);
  }

  /** @param {Map<string, Record<string, number>>} space @param {{parts: number, bytes: number}} kept */
  #draw(space, kept) {
    const items = [...space].map(([directory, { free, size, reserved = 0, used, limit }]) => {
      const text =
        directory === ""
          ? t("{free} free, {reserved} of it reserved", { free: formatSize(free), reserved: formatSize(reserved) })
          : t("{part} of {whole}", { part: formatSize(used), whole: formatSize(limit) });
      const name = directory === "" ? t("Disk") : directory;
      const [value, max] = directory === "" ? [size - free, size] : [used, limit];
      return element(
        "li",
        {},
        element("strong", {}, element("bdi", {}, name)),
        element("progress", { max: max || 1, value: Math.min(value, max || 1), "aria-label": t("Use of {name}", { name }) }),
        element("span", { class: "facts" }, text),
      );
    });
    if (kept.parts) {
      const text = `${plural(kept.parts, "1 part file of a failed download", "{n} part files of failed downloads")} · ${formatSize(kept.bytes)}`;
      items.push(element("li", {}, element("span", { class: "facts" }, text), element("button", { class: "quiet", type: "button", click: this.onKept }, t("Show kept parts"))));
    }
    // The focus stays when the values are read again.
    const hadFocus = byId("space").contains(document.activeElement);
    byId("space").replaceChildren(...items);
    if (hadFocus) byId("space").querySelector("button")?.focus();
    setVisible(byId("storage"), items.length > 0);
  }
}
