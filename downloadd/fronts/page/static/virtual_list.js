/** List of any length; the page contains only the visible rows. */

import { byId, setAttribute } from "./element.js";

/** Rows that are kept above and below the visible ones. */
const MARGIN_ROWS = 6;

/**
 * Returns new items in the order of the shown ones, so that no row moves under the pointer: removed ones stay in their
 * place, new ones are only added after the last known one.
 * @template T
 * @param {T[]} shown @param {T[]} latest @param {(item: T) => string} key @param {(item: T) => T} findRemoved
 * @returns {T[]}
 */
export function keepPlaces(shown, latest, key, findRemoved) {
  const byKey = new Map(latest.map((item) => [key(item), item]));
  const known = new Set(shown.map(key));
  let last = latest.length;
  while (last > 0 && !known.has(key(latest[last - 1]))) last -= 1;
  return [...shown.map((item) => byKey.get(key(item)) ?? findRemoved(item)), ...latest.slice(last)];
}

/** @template T */
export class VirtualList {
  /** @type {T[]} */
  #items = [];
  /** The items in their own order, while those of `#items` keep their places. @type {T[]} */
  #latest = [];
  /** The items of the last frame. @type {T[]} */
  #drawn = [];
  #isHeld = false;
  #isReleased = false;
  /** @type {Map<string, {element: HTMLElement, update: (item: T) => void, at: number}>} */
  #rows = new Map();
  #scheduled = 0;

  /**
   * @param {HTMLElement} list element with the role of a list; each row is `--row` high
   * @param {(item: T) => string} key
   * @param {(item: T) => {element: HTMLElement, update: (item: T) => void}} make
   * @param {object} [options]
   * @param {(last: number) => void} [options.onScroll] called with the number of the last visible row after each change
   * @param {(item: T) => T} [options.findRemoved] returns what a removed item has become
   */
  constructor(list, key, make, { onScroll = () => {}, findRemoved = (item) => item } = {}) {
    this.list = list;
    this.key = key;
    this.make = make;
    this.onScroll = onScroll;
    this.findRemoved = findRemoved;
    const render = () => this.render();
    addEventListener("scroll", render, { passive: true });
    addEventListener("resize", render, { passive: true });
    // Not when it enters: a closed dialog may leave the pointer over the list.
    list.addEventListener("pointermove", () => (this.#isHeld = true), { passive: true });
    list.addEventListener("pointerleave", () => {
      this.#isHeld = false;
      this.#items = this.#latest;
      this.render();
    });
  }

  /** Shows items; while the pointer is over the list, rows keep their places. Returns the items as they are shown. @param {T[]} items */
  fill(items) {
    this.#latest = items;
    const isHeld = this.#isHeld && !this.#isReleased && items.length > 0 && this.#items.length > 0;
    this.#isReleased = false;
    this.#items = isHeld ? keepPlaces(this.#items, items, this.key, this.findRemoved) : items;
    this.render();
    return this.#items;
  }

  /** Lets the rows of the next `fill` take their own places. */
  release() {
    this.#isReleased = true;
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
        this.#moveFocus(row.at);
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
    this.#drawn = items;
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

  /** Moves the focus of a removed row to its nearest neighbour that is left, or to the title. @param {number} at its place in the last frame */
  #moveFocus(at) {
    const left = new Set(this.#items.map(this.key));
    const keys = this.#drawn.map(this.key);
    const key = keys.slice(at).find((one) => left.has(one)) ?? keys.slice(0, at).findLast((one) => left.has(one));
    const row = this.#rows.get(key ?? "")?.element;
    const next = row?.querySelector("button:not([hidden])") ?? row?.querySelector("input");
    /** @type {HTMLElement | null} */ (next ?? byId(this.list.getAttribute("aria-labelledby") ?? ""))?.focus({ preventScroll: true });
  }
}
