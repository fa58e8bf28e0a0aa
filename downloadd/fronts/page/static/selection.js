/** Selected rows of a list, and the bar with the actions on all of them. */

import { ApiError } from "./client.js";
import { byId, element, setText, setVisible } from "./element.js";
import { plural, t } from "./texts.js";

/** Downloads that one call changes. */
const MAX_CALL_IDS = 1000;
/** Codes of refusals that are no problem: the download has changed meanwhile. */
const OUTDATED = ["NOT_FOUND", "INVALID_STATE"];

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
 * Performs an action on entries, a thousand in one call, and applies the answers. Returns the number of changed ones.
 * @param {import("./store.js").Store} store @param {any[]} entries
 * @param {"pause" | "resume" | "retry" | "cancel" | "remove"} action
 * @param {(error: any) => void} onError called once
 * @param {{file?: boolean, keepalive?: boolean}} [options]
 */
export async function applyToEntries(store, entries, action, onError, options) {
  let changed = 0;
  let refusal = null;
  try {
    for (let at = 0; at < entries.length; at += MAX_CALL_IDS) {
      const some = entries.slice(at, at + MAX_CALL_IDS);
      const before = new Map(some.map(({ id }) => [id, store.active.get(id)]));
      const { results } = await store.client.files.downloads.act(action, [...before.keys()], options);
      for (const { id, active, ended, error, detail } of results) {
        if (error) {
          if (!OUTDATED.includes(error)) refusal ??= new ApiError({ code: error, status: 409, detail });
          continue;
        }
        changed += 1;
        if (action === "remove") store.remove(id);
        // A newer entry came with an event meanwhile.
        else if (store.active.get(id) === before.get(id)) store.put(active ?? ended);
      }
    }
  } catch (error) {
    refusal = error;
  }
  if (refusal) onError(refusal);
  return changed;
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
