/** The check of a single link before its download: a probe, whose result is shown below the links. */

import { byId, element, setText, setVisible } from "./element.js";
import { formatSize } from "./formatting.js";
import { t } from "./texts.js";

/** Ids of the options on which the answer to a probe depends. */
const OPTIONS = ["filename", "type"];

export class LinkCheck {
  /** The only link of the form, or "". */
  #link = "";
  /** @type {AbortController | null} */
  #request = null;

  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./error_messages.js").ErrorMessages} parts.errors
   * @param {(error: any) => void} parts.onError called with an error that does not concern the link
   */
  constructor({ client, errors, onError }) {
    this.client = client;
    this.errors = errors;
    this.onError = onError;
    this.button = byId("check");
    this.result = byId("probe");
    // On request only: a half-typed link is one of another host, and a link that works once is used up by a probe.
    this.button.addEventListener("click", () => (this.#request ? this.#reset() : this.#check()));
    for (const id of OPTIONS) byId(id).addEventListener("input", () => this.#reset());
  }

  /** Takes the links of the form; the result of another link is removed. @param {string[]} links */
  update(links) {
    const link = links.length === 1 ? links[0] : "";
    if (link === this.#link) return;
    this.#link = link;
    this.#reset();
    setVisible(this.button, link !== "");
  }

  async #check() {
    const request = new AbortController();
    this.#request = request;
    setText(this.button, t("Stop"));
    this.result.replaceChildren(element("p", { class: "hint" }, t("Asking the server…")));
    const options = Object.fromEntries(OPTIONS.map((id) => [id, byId(id).value.trim()]).filter(([, value]) => value));
    try {
      const found = await this.client.files.downloads.probe({ url: this.#link, ...options }, { signal: request.signal });
      if (this.#request === request) this.#show(describeFile(found));
    } catch (error) {
      if (this.#request !== request) return;
      const failure = /** @type {any} */ (error);
      this.#show(failure.status === 401 ? [] : describeProblem(this.errors.describe(failure)));
      if (failure.status === 401) this.onError(failure);
    }
  }

  /** @param {Node[]} parts */
  #show(parts) {
    this.#reset();
    this.result.replaceChildren(...parts);
  }

  /** Ends a request, and removes its result. */
  #reset() {
    this.#request?.abort();
    this.#request = null;
    setText(this.button, t("Check"));
    this.result.replaceChildren();
  }
}

/** @param {any} found answer to a probe */
function describeFile(found) {
  const facts = [
    found.size === null ? t("size unknown") : formatSize(found.size),
    found.content_type,
    found.resumable ? t("can be resumed") : t("cannot be resumed"),
  ];
  return [
    element("p", {}, element("strong", {}, element("bdi", {}, found.filename))),
    element("p", { class: "hint" }, facts.filter(Boolean).join(" · ")),
    ...(found.redirects ? [element("p", { class: "hint" }, `${t("Redirected to")} `, element("bdi", { class: "link" }, found.url))] : []),
    ...(found.warning ? [element("p", { class: "warning" }, t("Attention: {warning}", { warning: found.warning }))] : []),
  ];
}

/** @param {{problem: string, resolution: string}} description */
function describeProblem({ problem, resolution }) {
  return [element("p", { class: "warning" }, element("strong", {}, problem)), element("p", { class: "hint" }, resolution)];
}
