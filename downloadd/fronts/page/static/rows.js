/** A list of any length: only the rows that can be seen are in the page. */

import { mark } from "./element.js";

/** Rows that are kept above and below what is seen. */
const MARGIN = 6;

/** @template T */
export class Rows {
  /** @type {T[]} */
  #items = [];
  /** @type {Map<string, {element: HTMLElement, update: (item: T) => void, at: number}>} */
  #shown = new Map();
  #scheduled = 0;

  /**
   * @param {HTMLElement} list with the role of a list; every row is `--row` high
   * @param {(item: T) => string} key
   * @param {(item: T) => {element: HTMLElement, update: (item: T) => void}} make
   * @param {(last: number) => void} [onSeen] told the last row that can be seen, whenever that changes
   */
  constructor(list, key, make, onSeen = () => {}) {
    this.list = list;
    this.key = key;
    this.make = make;
    this.onSeen = onSeen;
    const again = () => this.render();
    addEventListener("scroll", again, { passive: true });
    addEventListener("resize", again, { passive: true });
  }

  /** @param {T[]} items */
  fill(items) {
    this.#items = items;
    this.render();
  }

  get length() {
    return this.#items.length;
  }

  /** Shows what is there now, at the next frame. */
  render() {
    if (!this.#scheduled) {
      this.#scheduled = requestAnimationFrame(() => {
        this.#scheduled = 0;
        this.#draw();
      });
    }
  }

  #draw() {
    if (!this.list.offsetParent) return;
    const height = parseFloat(getComputedStyle(this.list).getPropertyValue("--row"));
    const items = this.#items;
    const total = `${items.length * height}px`;
    if (this.list.style.height !== total) this.list.style.height = total;
    const top = this.list.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - MARGIN);
    const end = Math.min(items.length, Math.ceil((innerHeight - top) / height) + MARGIN);
    const wanted = new Map();
    for (let at = first; at < end; at += 1) wanted.set(this.key(items[at]), at);
    for (const [key, row] of this.#shown) {
      if (wanted.has(key)) continue;
      // Whoever stands in a row with the keyboard is not thrown out of it by scrolling.
      if (row.element.contains(document.activeElement)) {
        const at = items.findIndex((item) => this.key(item) === key);
        if (at >= 0) {
          wanted.set(key, at);
          continue;
        }
        this.#giveFocusAway(row.at, first);
      }
      row.element.remove();
      this.#shown.delete(key);
    }
    for (const [key, at] of wanted) {
      let row = this.#shown.get(key);
      if (!row) {
        row = { ...this.make(items[at]), at: -1 };
        row.element.setAttribute("role", "listitem");
        this.#shown.set(key, row);
      }
      if (row.at !== at) {
        row.at = at;
        row.element.style.transform = `translateY(${at * height}px)`;
        row.element.setAttribute("aria-posinset", String(at + 1));
      }
      mark(row.element, "aria-setsize", String(items.length));
      row.update(items[at]);
    }
    this.#order();
    this.onSeen(end);
  }

  /** Puts the rows into the page in the list's order, so that Tab and a screen reader go from row to row. */
  #order() {
    const rows = [...this.#shown.values()].sort((one, other) => other.at - one.at);
    let next = null;
    for (const { element } of rows) {
      if (!element.isConnected || element.nextElementSibling !== next) {
        const focused = element.contains(document.activeElement) ? document.activeElement : null;
        this.list.insertBefore(element, next);
        /** @type {HTMLElement | null} */ (focused)?.focus({ preventScroll: true });
      }
      next = element;
    }
  }

  /** The row that had the keyboard is gone: its neighbour has it now. @param {number} at @param {number} first */
  #giveFocusAway(at, first) {
    const item = this.#items[Math.min(at, this.#items.length - 1)];
    const row = item && this.#shown.get(this.key(item));
    const next = row?.element.querySelector("button:not([hidden])") ?? (first === 0 ? document.querySelector("main h2") : null);
    /** @type {HTMLElement | null} */ (next)?.focus();
  }
}
