/** Texts for people: numbers, times and progress. */

import { language, plural, t } from "./texts.js";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** Formats of numbers with 0, 1 and 2 decimal places. */
const DECIMALS = [0, 1, 2].map(
  (digits) => new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false }),
);

/** @param {number | null | undefined} bytes */
export function formatSize(bytes) {
  if (bytes === null || bytes === undefined) return "?";
  let value = bytes;
  let unit = 0;
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${DECIMALS[digits].format(value)} ${UNITS[unit]}`;
}

/** @param {number} bytes of a part file that was kept after a failure */
export function formatKept(bytes) {
  return t("{size} kept, retry continues", { size: formatSize(bytes) });
}

/** @param {number} bytes a second */
export function formatSpeed(bytes) {
  return `${formatSize(bytes)}/s`;
}

/** @param {number} seconds */
export function formatDuration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/**
 * @param {number} time Unix seconds
 * @param {number} now Unix seconds
 */
export function formatAge(time, now) {
  const passed = now - time;
  if (passed < 45) return t("just now");
  const duration = formatDuration(passed < 3600 ? Math.round(passed / 60) * 60 : passed).replace(" 0 s", "");
  if (passed < 86_400) return t("{duration} ago", { duration });
  return new Date(time * 1000).toLocaleDateString(undefined, { dateStyle: "medium" });
}

/** @param {number} time Unix seconds */
export function formatTime(time) {
  return new Date(time * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** @param {number} number @param {string} one @param {string} [many] */
export function formatCount(number, one, many = `${one}s`) {
  return plural(number, `{n} ${one}`, `{n} ${many}`);
}

/** Returns a text with a period at its end. @param {string} text */
export function endSentence(text) {
  return /[.!?…]$/.test(text) || !text ? text : `${text}.`;
}

/** Returns size, speed and remaining time of a download in one line. @param {any} entry of the listing */
export function formatProgress(entry) {
  const parts = [];
  if (entry.uploaded !== undefined) parts.push(t("{part} of {whole} uploaded", { part: formatSize(entry.uploaded), whole: formatSize(entry.expected_size) }));
  else if (entry.expected_size !== null) parts.push(t("{part} of {whole}", { part: formatSize(entry.current_size), whole: formatSize(entry.expected_size) }));
  else if (entry.current_size) parts.push(formatSize(entry.current_size));
  if (entry.speed !== null && entry.status === "downloading") parts.push(formatSpeed(entry.speed));
  if (entry.eta !== null && entry.status === "downloading") parts.push(t("{duration} left", { duration: formatDuration(entry.eta) }));
  if (entry.connections > 1) parts.push(plural(entry.connections, "{n} connection", "{n} connections"));
  if (entry.attempt > 1) parts.push(t("attempt {n}", { n: entry.attempt }));
  return parts.join(" · ");
}
