/** Order and groups of the active downloads. Without access to the page or the network. */

import { STATES } from "./states.js";

/** Returns true for a download that runs. @param {any} entry */
export function isRunning(entry) {
  return STATES[entry.status]?.group === "running";
}

/** Compares downloads by the order of starting; those that run have started. @param {any} one @param {any} other */
function compareByStart(one, other) {
  return Number(isRunning(other)) - Number(isRunning(one)) || other.priority - one.priority || one.place - other.place;
}

/** @param {string} one @param {string} other */
const compareNames = new Intl.Collator(undefined, { numeric: true }).compare;

/** Missing values come last. @param {(entry: any) => number | null} value @param {1 | -1} direction */
function by(value, direction) {
  return (/** @type {any} */ one, /** @type {any} */ other) => {
    const [first, second] = [value(one), value(other)];
    if (first === null || second === null) return Number(first === null) - Number(second === null);
    return direction * (first - second);
  };
}

/** @type {Record<string, (one: any, other: any) => number>} */
export const ORDERS = {
  start: compareByStart,
  name: (one, other) => compareNames(one.filename, other.filename),
  size: by((entry) => entry.expected_size, -1),
  progress: by((entry) => entry.progress_percentage, -1),
  speed: by((entry) => entry.speed, -1),
  left: by((entry) => entry.eta, 1),
  newest: by((entry) => entry.start_time, -1),
};

/** Returns the host of a URL with its port. @param {string} url */
export function hostOf(url) {
  // Faster than URL for ten thousand rows.
  return /^[a-z]+:\/\/(?:[^@/?#]*@)?([^/?#]*)/i.exec(url)?.[1] ?? "";
}

/** @type {Record<string, (entry: any) => string>} */
export const GROUPS = {
  host: (entry) => hostOf(entry.url),
  directory: (entry) => `${entry.directory}/`,
};

/**
 * Returns the entries in the order of `previous`, where most are in order still: that is sorted in a tenth of the time.
 * @param {any[]} entries @param {any[]} previous items of an earlier arrangement
 */
function inFormerOrder(entries, previous) {
  const left = new Map(entries.map((entry) => [entry.id, entry]));
  const known = [];
  for (const { id } of previous) {
    const entry = left.get(id);
    if (!entry) continue;
    known.push(entry);
    left.delete(id);
  }
  return [...known, ...left.values()];
}

/**
 * Returns the entries in order, with an item `{group, id, entries}` before those of each group.
 * @param {any[]} entries
 * @param {{order: string, group: string}} arrangement keys of `ORDERS` and `GROUPS`, or "" for no groups
 * @param {any[]} [previous] the last result
 * @returns {any[]}
 */
export function arrange(entries, { order, group }, previous = []) {
  const compare = ORDERS[order] ?? compareByStart;
  // The store has the order of starting already.
  const given = order === "start" ? [...entries] : inFormerOrder(entries, previous);
  const sorted = given.sort((one, other) => compare(one, other) || compareByStart(one, other));
  const nameOf = GROUPS[group];
  if (!nameOf) return sorted;
  /** @type {Map<string, any[]>} */
  const groups = new Map();
  for (const entry of sorted) {
    const name = nameOf(entry);
    const members = groups.get(name);
    if (members) members.push(entry);
    else groups.set(name, [entry]);
  }
  return [...groups]
    .sort(([one], [other]) => compareNames(one, other))
    .flatMap(([name, members]) => [{ group: name, id: `group ${name}`, entries: members }, ...members]);
}
