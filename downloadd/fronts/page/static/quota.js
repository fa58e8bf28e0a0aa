/** Use of the quotas of the user; hidden for a user without one. */

import { byId, element, setVisible } from "./element.js";
import { formatSize } from "./formatting.js";
import { t } from "./texts.js";

/** Milliseconds between two requests, while the page is visible. */
const REFRESH_MILLISECONDS = 30_000;

export class QuotaView {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {{client: import("./client.js").Client}} parts */
  constructor({ client }) {
    this.client = client;
  }

  /** Requests the use, and again after a while until `close`. */
  async open() {
    this.close();
    try {
      if (!document.hidden && this.client.token) this.#draw(await this.client.quota());
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

  /** @param {any} use */
  #draw({ max_concurrent: runs, bytes_per_day: day, stored_bytes: stored }) {
    const items = [];
    if (runs) items.push(this.#item(t("Downloads at once"), t("{used} of {limit}", runs)));
    if (day) {
      const ends = new Date(day.ends * 1000).toLocaleString();
      items.push(this.#item(t("Received today"), t("{used} of {limit}, until {ends}", { ...formatUse(day), ends })));
    }
    if (stored) items.push(this.#item(t("Stored"), t("{used} of {limit}", formatUse(stored))));
    setVisible(byId("quota"), items.length > 0);
    byId("used-quota").replaceChildren(...items);
  }

  /** @param {string} name @param {string} use */
  #item(name, use) {
    return element("li", {}, element("strong", {}, name), element("span", { class: "facts" }, use));
  }
}

/** @param {{used: number, limit: number}} use in bytes */
function formatUse({ used, limit }) {
  return { used: formatSize(used), limit: formatSize(limit) };
}
