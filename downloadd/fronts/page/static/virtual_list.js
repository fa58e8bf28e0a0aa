/** List of any length; the page contains only the visible rows. */

import { setAttribute } from "./element.js";

/** Rows that are kept above and below the visible ones. */
const MARGIN_ROWS = 6;

/** @template T */
export class VirtualList {
  /** @type {T[]} */
  #items = [];
  /** @type {Map<string, {element: HTMLElement, update: (item: T) => void, at: number}>} */
  #rows = new Map();
  #scheduled = 0;

  /**
   * @param {HTMLElement} list element with the role of a list; each row is `--row` high
   * @param {(item: T) => string} key
   * @param {(item: T) => {element: HTMLElement, update: (item: T) => void}} make
   * @param {(last: number) => void} [onScroll] called with the number of the last visible row after each change
   */
  constructor(list, key, make, onScroll = () => {}) {
    this.list = list;
    this.key = key;
    this.make = make;
    this.onScroll = onScroll;
    const render = () => this.render();
    addEventListener("scroll", render, { passive: true });
    addEventListener("resize", render, { passive: true });
  }

  /** @param {T[]} items */
  fill(items) {
    this.#items = items;
    this.render();
  }

  get length() {
    return this.#items.length;
  }

  /** Draws the visible rows at the next frame. */
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
    const first = Math.max(0, Math.floor(-top / height) - MARGIN_ROWS);
    const end = Math.min(items.length, Math.ceil((innerHeight - top) / height) + MARGIN_ROWS);
    const visible = new Map();
    for (let at = first; at < end; at += 1) visible.set(this.key(items[at]), at);
    for (const [key, row] of this.#rows) {
      if (visible.has(key)) continue;
      // A row with the keyboard focus stays while it scrolls out of view.
      if (row.element.contains(document.activeElement)) {
        const at = items.findIndex((item) => this.key(item) === key);
        if (at >= 0) {
          visible.set(key, at);
          continue;
        }
        this.#moveFocus(row.at, first);
      }
      row.element.remove();
      this.#rows.delete(key);
    }
    for (const [key, at] of visible) {
      let row = this.#rows.get(key);
      if (!row) {
        row = { ...this.make(items[at]), at: -1 };
        row.element.setAttribute("role", "listitem");
        this.#rows.set(key, row);
      }
      if (row.at !== at) {
        row.at = at;
        row.element.style.transform = `translateY(${at * height}px)`;
        row.element.setAttribute("aria-posinset", String(at + 1));
      }
      setAttribute(row.element, "aria-setsize", String(items.length));
      row.update(items[at]);
    }
    this.#order();
    this.onScroll(end);
  }

  /** Sorts the rows in the page, so that Tab and screen readers visit them in order. */
  #order() {
    const rows = [...this.#rows.values()].sort((one, other) => other.at - one.at);
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

  /** Moves the focus of a removed row to its neighbour. @param {number} at @param {number} first */
  #moveFocus(at, first) {
    const item = this.#items[Math.min(at, this.#items.length - 1)];
    const row = item && this.#rows.get(this.key(item));
    const next = row?.element.querySelector("button:not([hidden])") ?? (first === 0 ? document.querySelector("main h2") : null);
    /** @type {HTMLElement | null} */ (next)?.focus();
  }
}
