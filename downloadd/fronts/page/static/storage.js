/** Free space of the storage root and use of quotas, from the metrics. */

import { byId, element, setVisible } from "./element.js";
import { formatSize } from "./formatting.js";
import { t } from "./texts.js";

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

export class StorageView {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {{client: import("./client.js").Client}} parts */
  constructor({ client }) {
    this.client = client;
  }

  /** Requests the values, and again after a while until `close`. */
  async open() {
    this.close();
    try {
      if (!document.hidden && this.client.token) this.#draw(parseSpace(await this.client.metrics()));
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

  /** @param {Map<string, Record<string, number>>} space */
  #draw(space) {
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
    byId("space").replaceChildren(...items);
    setVisible(byId("storage"), items.length > 0);
  }
}
