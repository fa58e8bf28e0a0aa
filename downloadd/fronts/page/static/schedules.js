/** List of the schedules with the outcome of their last runs. */

import { byId, element, setVisible } from "./element.js";
import { formatTime } from "./formatting.js";
import { ScheduleForm } from "./schedule_form.js";
import { STATES } from "./states.js";
import { t } from "./texts.js";

/** Milliseconds between two requests for the list, while the page is visible. */
const REFRESH_MILLISECONDS = 15_000;

export class SchedulesView {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./store.js").Store} parts.store
   * @param {import("./notices.js").Notices} parts.notices
   * @param {import("./error_messages.js").ErrorMessages} parts.errors
   * @param {(error: any) => void} parts.onError
   */
  constructor({ client, store, notices, errors, onError }) {
    this.client = client;
    this.notices = notices;
    this.onError = onError;
    this.form = new ScheduleForm({ client, notices, errors, onChange: () => this.open() });
    byId("add-schedule").addEventListener("click", () => this.form.open());
    // Only the end of a run changes what is shown.
    store.addEventListener("ended", (/** @type {any} */ { detail }) => this.runs.has(detail.id) && this.open());
    /** @type {Set<string>} ids of the downloads of the last runs */
    this.runs = new Set();
  }

  /** Requests the list, and again after a while until `close`. */
  async open() {
    this.close();
    try {
      if (!document.hidden && this.client.token) this.#draw((await this.client.schedules.list()).schedules);
    } catch {
      // The event stream reports lost connections and expired tokens.
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), REFRESH_MILLISECONDS);
  }

  /** Ends the requests. */
  close() {
    clearTimeout(this.#timer);
  }

  /** @param {any[]} schedules */
  #draw(schedules) {
    this.runs = new Set(schedules.map((one) => one.last_download));
    setVisible(byId("no-schedules"), schedules.length === 0);
    const list = byId("all-schedules");
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.id;
    list.replaceChildren(...schedules.map((one) => this.#item(one)));
    // A drawn list must not lose the focus.
    if (focused) byId(focused)?.focus();
  }

  /** @param {any} schedule */
  #item(schedule) {
    const { name, source, cron, time_zone: zone, url } = schedule;
    const button = (/** @type {string} */ id, /** @type {string} */ label, /** @type {string} */ text, /** @type {() => void} */ click) =>
      element("button", { id: `${id}-${name}`, class: "quiet", type: "button", "aria-label": label, click }, text);
    return element(
      "li",
      { title: `${cron} ${zone}\n${url}` },
      element("strong", {}, element("bdi", {}, name)),
      element("span", { class: "facts" }, describe(schedule)),
      element(
        "div",
        { class: "do" },
        button("run", t("Run {name} now", { name }), t("Run now"), () => this.#run(name)),
        // One of the configuration is changed only there.
        source === "api" && button("change", t("Change {name}", { name }), t("Change…"), () => this.form.open(schedule)),
      ),
    );
  }

  /** @param {string} name */
  async #run(name) {
    try {
      await this.client.schedules.run(name);
      this.notices.show(t("The run of {name} has started.", { name }));
      await this.open();
    } catch (error) {
      this.onError(error);
    }
  }
}

/** Returns the last outcome of a schedule and its next run, in words. @param {any} schedule */
function describe(schedule) {
  const next = schedule.paused ? t("paused") : schedule.next_run && t("next run {time}", { time: formatTime(schedule.next_run) });
  return [outcome(schedule), next].filter(Boolean).join(" · ");
}

/** @param {any} schedule */
function outcome({ problem, last_status: status, last_error: error }) {
  if (problem) return problem;
  if (error === "UNCHANGED") return t("unchanged");
  return status ? (STATES[status] ? t(STATES[status].title) : status) : "";
}
