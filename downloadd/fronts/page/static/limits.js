/** The form with the limits on all downloads. Other pages, clients and a reload of the daemon change them too. */

import { byId, setVisible } from "./element.js";
import { t } from "./texts.js";

const MIB = 1 << 20;

export class LimitsForm {
  /** @type {any} the settings that the form shows */
  #shown = null;

  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./notices.js").Notices} parts.notices
   * @param {(error: any) => void} parts.onError
   */
  constructor({ client, store, notices, onError }) {
    this.client = client;
    this.notices = notices;
    this.onError = onError;
    this.form = byId("limits");
    this.speed = byId("overall-limit");
    this.runs = byId("max-concurrent");
    this.starts = byId("allow-starts");
    this.hours = byId("limits-hours");
    this.button = byId("change-limits");
    this.hint = byId("limits-hint");
    this.form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#submit();
    });
    this.form.addEventListener("input", () => this.#showButton());
    // A reload of the daemon, which may change the limits, ends the event stream.
    store.addEventListener("connection", () => store.connected && this.#load());
    store.addEventListener("settings", (/** @type {any} */ { detail }) => this.#show(detail));
  }

  async #load() {
    const before = this.#shown;
    try {
      const settings = await this.client.settings();
      // An event that came meanwhile has newer ones.
      if (this.#shown === before) this.#show(settings);
    } catch {
      // The event stream reports lost connections and expired tokens.
    }
  }

  /** Shows settings; a value that the user is changing stays. @param {any} settings */
  #show(settings) {
    const before = this.#shown;
    this.#shown = settings;
    for (const [field, format] of /** @type {[any, (settings: any) => string][]} */ ([
      [this.speed, formatLimit],
      [this.runs, (one) => String(one.max_concurrent)],
    ])) {
      if (before === null || field.value === format(before)) field.value = format(settings);
    }
    if (before === null || this.starts.checked === before.allow_starts) this.starts.checked = settings.allow_starts;
    this.hours.textContent = describeHours(settings);
    setVisible(this.hours, this.hours.textContent !== "");
    setVisible(this.form, true);
    this.#showButton();
  }

  #showButton() {
    const isChanged = this.#shown !== null && Object.keys(this.#changes()).length > 0;
    // A button that disappears must not lose the focus to the beginning of the page.
    if (!isChanged && document.activeElement === this.button) this.speed.focus();
    setVisible(this.button, isChanged);
    setVisible(this.hint, isChanged);
  }

  /** Returns the settings that differ from the shown ones. */
  #changes() {
    /** @type {Record<string, number | boolean>} */
    const changes = {};
    // The shown speed is rounded: it is no change unless its text is another one.
    if (this.speed.value !== formatLimit(this.#shown)) changes.speed_limit = Math.round(Number(this.speed.value) * MIB);
    const runs = Number(this.runs.value);
    if (runs !== this.#shown.max_concurrent) changes.max_concurrent = runs;
    if (this.starts.checked !== this.#shown.allow_starts) changes.allow_starts = this.starts.checked;
    return changes;
  }

  async #submit() {
    const changes = this.#changes();
    if (!Object.keys(changes).length) return;
    try {
      const { message: _, success, ...settings } = await this.client.changeSettings(changes);
      this.#shown = null;
      this.#show(settings);
      this.notices.show(t("The limits are changed."));
    } catch (error) {
      this.onError(error);
    }
  }
}

/** Returns the hours that the limits are from, and their end, in words; "" for none. @param {any} settings */
function describeHours({ hours, next_change: change }) {
  const now = hours
    ? t("Hours {hours} {zone} ({days}) hold", { hours: hours.hours, zone: hours.time_zone, days: hours.days.join(", ") })
    : t("No hours hold");
  const options = /** @type {const} */ ({ weekday: "short", hour: "2-digit", minute: "2-digit" });
  const end = change ? t(", until {time}", { time: new Date(change * 1000).toLocaleString([], options) }) : "";
  return hours || change ? `${now}${end}.` : "";
}

/** Returns the speed limit in MiB a second; "" for none. @param {any} settings */
function formatLimit({ speed_limit: limit }) {
  return limit ? String(Number((limit / MIB).toPrecision(6))) : "";
}
