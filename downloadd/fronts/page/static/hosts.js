/** List of the hosts in use or in trouble, with their slots; hidden while there are none. */

import { byId, element, setVisible } from "./element.js";
import { t } from "./texts.js";

/** Milliseconds between two requests for the list, while the page is visible. */
const REFRESH_MILLISECONDS = 5_000;
const MAX_SHOWN = 8;

/** @type {Record<string, string>} */
const STATES = {
  open: t("cannot be reached"),
  probing: t("is being probed"),
  backoff: t("asked to wait"),
  slowed: t("accepts fewer connections"),
  healthy: "",
};

export class HostsView {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {{client: import("./client.js").Client}} parts */
  constructor({ client }) {
    this.client = client;
  }

  /** Requests the list, and again after a while until `close`. */
  async open() {
    this.close();
    try {
      if (!document.hidden && this.client.token) this.#draw(await this.client.hosts({ limit: MAX_SHOWN }));
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

  /** @param {{hosts: any[]}} found */
  #draw({ hosts }) {
    setVisible(byId("hosts"), hosts.length > 0);
    byId("used-hosts").replaceChildren(...hosts.map((host) => this.#item(host)));
  }

  /** @param {any} host */
  #item(host) {
    const name = host.origin.replace(/^https?:\/\//, "");
    return element(
      "li",
      { title: host.error ?? "", "data-host": host.state },
      element("strong", {}, element("bdi", {}, name)),
      element("span", { class: "facts" }, this.#describe(host)),
    );
  }

  /** @param {any} host */
  #describe(host) {
    const seconds = host.next_attempt === null ? 0 : Math.max(0, Math.round(host.next_attempt - Date.now() / 1000));
    const parts = [STATES[host.state], t("{running} of {slots} slots in use", host)];
    if (host.waiting) parts.push(t("{waiting} waiting", host));
    if (seconds > 0) parts.push(t("next attempt in {seconds} s", { seconds }));
    return parts.filter(Boolean).join(" · ");
  }
}
