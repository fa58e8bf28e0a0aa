/** Numbers, times, states and errors in the words that people read. No page and no network in here. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** @param {number | null | undefined} bytes */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "?";
  let value = bytes;
  let unit = 0;
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** @param {number} bytes a second */
export function speed(bytes) {
  return `${size(bytes)}/s`;
}

/** @param {number} seconds */
export function span(seconds) {
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
export function ago(time, now) {
  const passed = now - time;
  if (passed < 45) return "just now";
  if (passed < 86_400) return `${span(passed < 3600 ? Math.round(passed / 60) * 60 : passed).replace(" 0 s", "")} ago`;
  return new Date(time * 1000).toLocaleDateString(undefined, { dateStyle: "medium" });
}

/** @param {number} time Unix seconds */
export function moment(time) {
  return new Date(time * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** @param {number} number @param {string} one @param {string} [many] */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString()} ${number === 1 ? one : many}`;
}

/** A sentence with its end. @param {string} text */
export function sentence(text) {
  return /[.!?…]$/.test(text) || !text ? text : `${text}.`;
}

/** @type {Record<string, string>} */
export const STATES = {
  queued: "Waiting",
  starting: "Starting",
  downloading: "Downloading",
  retrying: "Trying again",
  verifying: "Verifying",
  paused: "Paused",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  skipped: "Skipped",
};

/** @type {Record<string, string>} */
export const STEPS = {
  importer_new: "New",
  importer_uploading: "Uploading",
  importer_downloading_file: "Fetching the export",
  importer_file_loaded: "Uploaded",
  importer_preparing_started: "Reading",
  importer_preparing_users: "Reading users",
  importer_preparing_channels: "Reading channels",
  importer_preparing_messages: "Reading messages",
  importer_user_selection: "Waiting for your choice",
  importer_importing_started: "Starting",
  importer_importing_users: "Taking over users",
  importer_importing_channels: "Taking over channels",
  importer_importing_messages: "Taking over messages",
  importer_importing_files: "Downloading files",
  importer_finishing: "Finishing",
  importer_done: "Done",
  importer_import_failed: "Failed",
  importer_import_cancelled: "Cancelled",
};

/** What became of a transfer so far, in one line. @param {any} entry of the listing */
export function progress(entry) {
  const parts = [];
  if (entry.expected_size !== null) parts.push(`${size(entry.current_size)} of ${size(entry.expected_size)}`);
  else if (entry.current_size) parts.push(size(entry.current_size));
  if (entry.speed !== null && entry.status === "downloading") parts.push(speed(entry.speed));
  if (entry.eta !== null && entry.status === "downloading") parts.push(`${span(entry.eta)} left`);
  if (entry.attempt > 1) parts.push(`attempt ${entry.attempt}`);
  return parts.join(" · ");
}

/** What the codes mean, from the daemon's own table. */
export class Explanations {
  /** @type {Map<string, any>} */
  #table = new Map();

  /** @param {any[]} rows */
  fill(rows) {
    this.#table = new Map(rows.map((row) => [row.code, row]));
  }

  /** @param {string} code */
  title(code) {
    return this.#table.get(code)?.title ?? code;
  }

  /** @param {string} code */
  resolution(code) {
    return this.#table.get(code)?.resolution ?? "";
  }

  /** Title and detail in one line. @param {string} code @param {string | null | undefined} detail */
  brief(code, detail) {
    return detail ? `${this.title(code)}: ${detail}` : this.title(code);
  }

  /**
   * An error of the client in words: what happened, and what to do.
   * @param {any} error
   * @returns {{what: string, todo: string}}
   */
  ofError(error) {
    if (error?.name === "ConnectionLost") {
      return { what: "The server cannot be reached.", todo: "It is asked again by itself; what you typed stays." };
    }
    if (error?.name !== "ApiError") {
      return { what: "This page made a mistake.", todo: `Reload it; what went wrong was: ${error?.message ?? error}` };
    }
    if (error.status === 401) return { what: "The token is not valid.", todo: "Sign in again." };
    if (error.code === "error-unauthorized") {
      return { what: "You are not permitted to do this.", todo: "Ask the administrator for the permission." };
    }
    if (error.code.startsWith("HTTP_")) {
      return {
        what: `Something before the server answered with ${error.status}.`,
        todo: "Try again; if it stays, tell the administrator of the proxy.",
      };
    }
    return { what: sentence(this.brief(error.code, error.detail)), todo: sentence(this.resolution(error.code)) };
  }
}
