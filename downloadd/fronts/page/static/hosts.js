/** List of the hosts that are not healthy; hidden while there are none. */

import { byId, element, setText, setVisible } from "./element.js";

/** Milliseconds between two requests for the list, while the page is visible. */
const REFRESH_MILLISECONDS = 5_000;
const MAX_SHOWN = 8;

/** @type {Record<string, string>} */
const STATES = {
  open: "cannot be reached",
  probing: "is being probed",
  backoff: "asked to wait",
  slowed: "accepts fewer connections",
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
    const troubled = hosts.filter((host) => host.state in STATES);
    setVisible(byId("hosts"), troubled.length > 0);
    byId("troubled-hosts").replaceChildren(...troubled.map((host) => this.#item(host)));
  }

  /** @param {any} host */
  #item(host) {
    const name = host.origin.replace(/^https?:\/\//, "");
    const item = element("li", { title: host.error ?? "" }, element("strong", {}, name), " ", element("span", {}));
    setText(item.lastElementChild, this.#describe(host));
    return item;
  }

  /** @param {any} host */
  #describe(host) {
    const seconds = host.next_attempt === null ? 0 : Math.max(0, Math.round(host.next_attempt - Date.now() / 1000));
    const next = seconds > 0 ? `; next attempt in ${seconds} s` : "";
    const slots = host.state === "slowed" ? ` (${host.slots})` : "";
    return `${STATES[host.state]}${slots}, ${host.waiting} waiting${next}`;
  }
}
