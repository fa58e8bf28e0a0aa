/** Short messages at the edge of the page, which screen readers announce at a limited rate. */

import { element, iconButton } from "./element.js";
import { t } from "./texts.js";

/** Milliseconds that a message is visible; errors stay twice as long. */
const DISPLAY_MILLISECONDS = 8_000;
/** Milliseconds between two announcements. */
const ANNOUNCEMENT_MILLISECONDS = 4_000;
const MAX_VISIBLE = 3;
const MAX_ANNOUNCED = 3;

export class Notices {
  /** @type {string[]} */
  #unannounced = [];
  #announcing = false;

  /** @param {HTMLElement} container of the messages @param {HTMLElement} liveRegion a polite live region */
  constructor(container, liveRegion) {
    this.container = container;
    this.liveRegion = liveRegion;
  }

  /**
   * Shows a message and announces it.
   * @param {string} message @param {string} [detail] @param {"good" | "bad"} [kind]
   * @param {{label: string, run: () => void, milliseconds: number}} [action] a button, and the time that it is there
   */
  show(message, detail = "", kind = "good", action) {
    const close = iconButton("close", t("Close"), () => note.remove());
    const act = () => {
      note.remove();
      action?.run();
    };
    const button = action && element("button", { type: "button", click: act }, action.label);
    const text = element("p", {}, element("strong", {}, message), detail && ` ${detail}`);
    const note = element("div", { class: `notice ${kind}` }, text, button, close);
    this.container.append(note);
    if (this.container.children.length > MAX_VISIBLE) this.container.firstElementChild?.remove();
    setTimeout(() => note.remove(), action ? action.milliseconds : kind === "bad" ? DISPLAY_MILLISECONDS * 2 : DISPLAY_MILLISECONDS);
    this.announce(`${message} ${detail}`);
  }

  /** Announces a sentence; sentences that arrive meanwhile are announced together. @param {string} sentence */
  announce(sentence) {
    this.#unannounced.push(sentence.trim());
    if (!this.#announcing) this.#announceNext();
  }

  #announceNext() {
    this.#announcing = this.#unannounced.length > 0;
    if (!this.#announcing) return;
    const last = this.#unannounced.splice(0).slice(-MAX_ANNOUNCED);
    this.liveRegion.textContent = last.join(" ");
    setTimeout(() => this.#announceNext(), ANNOUNCEMENT_MILLISECONDS);
  }
}
