/** Selected rows of a list, and the bar with the actions on all of them. */

import { byId, element, setText, setVisible } from "./element.js";
import { plural, t } from "./texts.js";

/** Parallel calls when an action applies to many downloads. */
const MAX_PARALLEL_CALLS = 8;

export class Selection extends EventTarget {
  /** @type {Map<string, any>} latest entries by id */
  entries = new Map();
  #anchor = "";

  /** @param {string} id */
  has(id) {
    return this.entries.has(id);
  }

  /**
   * Selects or deselects one entry, or with `isRange` all from the last one to it.
   * @param {any} entry @param {boolean} selected @param {boolean} isRange @param {any[]} shown the list in its order
   */
  set(entry, selected, isRange, shown) {
    const from = isRange ? shown.findIndex((one) => one.id === this.#anchor) : -1;
    const to = shown.findIndex((one) => one.id === entry.id);
    const some = from < 0 || to < 0 ? [entry] : shown.slice(Math.min(from, to), Math.max(from, to) + 1);
    this.#anchor = entry.id;
    this.setAll(some, selected);
  }

  /** @param {any[]} entries @param {boolean} selected */
  setAll(entries, selected) {
    for (const entry of entries) {
      if (!selected) this.entries.delete(entry.id);
      else if (!("group" in entry)) this.entries.set(entry.id, entry);
    }
    this.dispatchEvent(new Event("change"));
  }

  clear() {
    this.entries.clear();
    this.dispatchEvent(new Event("change"));
  }

  /** Takes newer entries, and drops those for which there is none. @param {(id: string) => any} find */
  refresh(find) {
    const before = this.entries.size;
    for (const id of this.entries.keys()) {
      const latest = find(id);
      if (latest) this.entries.set(id, latest);
      else this.entries.delete(id);
    }
    if (this.entries.size !== before) this.dispatchEvent(new Event("change"));
  }
}

/**
 * Returns the checkbox of a row, which selects it.
 * @param {Selection} selection @param {() => any} entry @param {() => any[]} shown
 */
export function selectionBox(selection, entry, shown) {
  let isRange = false;
  const box = element("input", {
    type: "checkbox",
    class: "select",
    // A click tells the key, also one that the keyboard makes; the change follows it.
    click: (/** @type {MouseEvent} */ event) => (isRange = event.shiftKey),
    change: () => selection.set(entry(), box.checked, isRange, shown()),
  });
  return box;
}

/**
 * Calls `action` for each entry, several at a time; the entry has changed meanwhile if the answer is 409 or 404.
 * @param {any[]} entries @param {(entry: any) => Promise<unknown>} action @param {(error: any) => void} onError
 */
export async function applyToEach(entries, action, onError) {
  const remaining = [...entries];
  let hasFailed = false;
  const next = async () => {
    for (let entry = remaining.shift(); entry; entry = remaining.shift()) {
      try {
        await action(entry);
      } catch (error) {
        if (![404, 409].includes(/** @type {any} */ (error).status)) {
          // One message is enough.
          if (!hasFailed) onError(error);
          hasFailed = true;
          remaining.length = 0;
        }
      }
    }
  };
  await Promise.all(Array.from({ length: MAX_PARALLEL_CALLS }, next));
}

export class SelectionBar {
  /**
   * @param {string} id of an empty toolbar
   * @param {Selection} selection
   * @param {{name: string, applies: (entry: any) => boolean, run: (entries: any[]) => unknown}[]} actions
   * @param {() => any[]} shown all entries of the list
   */
  constructor(id, selection, actions, shown) {
    const bar = byId(id);
    const count = element("span", { class: "hint", role: "status" });
    const buttons = actions.map(({ name, applies, run }) => {
      const button = element("button", { type: "button", click: () => run([...selection.entries.values()].filter(applies)) }, name);
      return { button, applies };
    });
    const all = element("button", { type: "button", class: "quiet", click: () => selection.setAll(shown(), true) }, t("Select all"));
    const none = element("button", { type: "button", class: "quiet", click: () => selection.clear() }, t("Select none"));
    bar.append(count, ...buttons.map(({ button }) => button), all, none);
    const draw = () => {
      const entries = [...selection.entries.values()];
      setVisible(bar, entries.length > 0);
      setText(count, plural(entries.length, "{n} selected", "{n} selected"));
      for (const { button, applies } of buttons) button.disabled = !entries.some(applies);
    };
    selection.addEventListener("change", draw);
    this.draw = draw;
  }
}
