/** Short messages to people: seen at the edge of the page, and read out, but never in a chatter. */

import { element, signButton } from "./element.js";

/** Milliseconds that a message stays, and between two that are read out. */
const STAYS = 8_000;
const QUIET = 4_000;

export class Notices {
  /** @type {string[]} */
  #unsaid = [];
  #speaking = false;

  /** @param {HTMLElement} place for what is seen @param {HTMLElement} voice a polite live region */
  constructor(place, voice) {
    this.place = place;
    this.voice = voice;
  }

  /** Shows a message for a while. @param {string} what @param {string} [todo] @param {"good" | "bad"} [kind] */
  show(what, todo = "", kind = "good") {
    const close = signButton("close", "Close", () => note.remove());
    const note = element("div", { class: `notice ${kind}` }, element("p", {}, element("strong", {}, what), todo && ` ${todo}`), close);
    this.place.append(note);
    if (this.place.children.length > 3) this.place.firstElementChild?.remove();
    setTimeout(() => note.remove(), kind === "bad" ? STAYS * 2 : STAYS);
    this.read(`${what} ${todo}`);
  }

  /** Has a sentence read out; those that come meanwhile are said together. @param {string} sentence */
  read(sentence) {
    this.#unsaid.push(sentence.trim());
    if (!this.#speaking) this.#speak();
  }

  #speak() {
    this.#speaking = this.#unsaid.length > 0;
    if (!this.#speaking) return;
    const last = this.#unsaid.splice(0).slice(-3);
    this.voice.textContent = last.join(" ");
    setTimeout(() => this.#speak(), QUIET);
  }
}
