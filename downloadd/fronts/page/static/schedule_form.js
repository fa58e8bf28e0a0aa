/** Dialog that adds, changes and removes a schedule. */

import { byId, setText, setVisible } from "./element.js";
import { t } from "./texts.js";

/** Fields of the API, and the ids of their inputs. @type {Record<string, string>} */
const FIELDS = {
  name: "schedule-name",
  cron: "schedule-cron",
  time_zone: "schedule-zone",
  url: "schedule-url",
  directory: "schedule-directory",
  filename: "schedule-filename",
  keep: "schedule-keep",
  paused: "schedule-paused",
};

export class ScheduleForm {
  /** The schedule that is changed; null for a new one. @type {any} */
  #schedule = null;

  /**
   * @param {object} parts
   * @param {import("./client.js").Client} parts.client
   * @param {import("./notices.js").Notices} parts.notices
   * @param {import("./error_messages.js").ErrorMessages} parts.errors
   * @param {() => void} parts.onChange called after a change
   */
  constructor({ client, notices, errors, onChange }) {
    this.schedules = client.schedules;
    this.notices = notices;
    this.errors = errors;
    this.onChange = onChange;
    this.dialog = byId("schedule");
    byId("schedule-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#submit();
    });
    byId("remove-schedule").addEventListener("click", () => this.#remove());
    byId("close-schedule").addEventListener("click", () => this.dialog.close());
    byId("schedule-zone").append(...Intl.supportedValuesOf("timeZone").map((name) => new Option(name)));
  }

  /** @param {any} [schedule] the one to change */
  open(schedule = null) {
    this.#schedule = schedule;
    const given = schedule ?? { time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone, keep: 1 };
    for (const [field, id] of Object.entries(FIELDS)) {
      const input = byId(id);
      const value = given[field] ?? "";
      if (field === "paused") input.checked = Boolean(value);
      else {
        // Browsers do not list all names of time zones, such as UTC.
        if (field === "time_zone" && ![...input.options].some((option) => option.value === value)) input.append(new Option(value));
        input.value = value;
      }
    }
    byId(FIELDS.name).readOnly = schedule !== null;
    setText(byId("schedule-title"), schedule ? t("Change {name}", { name: schedule.name }) : t("New schedule"));
    setText(byId("save-schedule"), schedule ? t("Change") : t("Add"));
    setVisible(byId("remove-schedule"), schedule !== null);
    this.#explain("");
    this.dialog.showModal();
  }

  /** Returns the values of the form. */
  #values() {
    const value = (/** @type {string} */ field) => byId(FIELDS[field]).value.trim();
    return {
      name: value("name"),
      cron: value("cron"),
      time_zone: value("time_zone"),
      url: value("url"),
      directory: value("directory").replace(/^\/+|\/+$/g, ""),
      filename: value("filename"),
      keep: Number(value("keep")),
      paused: byId(FIELDS.paused).checked,
    };
  }

  /** Returns the values that are others than those of the schedule; its shown URL has no credentials. */
  #changes() {
    return Object.fromEntries(Object.entries(this.#values()).filter(([field, value]) => value !== this.#schedule[field]));
  }

  async #submit() {
    const values = this.#values();
    await this.#call(async () => {
      if (this.#schedule === null) {
        await this.schedules.add(values);
        return t("The schedule {name} is added.", values);
      }
      const changes = this.#changes();
      if (Object.keys(changes).length) await this.schedules.change(values.name, changes);
      return t("Changed.");
    });
  }

  async #remove() {
    const { name } = this.#schedule;
    if (!confirm(t("Remove the schedule {name}? Its files stay.", { name }))) return;
    await this.#call(async () => {
      await this.schedules.remove(name);
      return t("The schedule {name} is removed.", { name });
    });
  }

  /** Closes the dialog after a call, or explains its refusal there. @param {() => Promise<string>} action returns a message */
  async #call(action) {
    try {
      const message = await action();
      this.dialog.close();
      this.notices.show(message);
      this.onChange();
    } catch (error) {
      const { problem, resolution } = this.errors.describe(error);
      this.#explain(`${problem} ${resolution}`);
    }
  }

  /** @param {string} problem */
  #explain(problem) {
    setText(byId("schedule-problem"), problem);
    setVisible(byId("schedule-problem"), problem !== "");
  }
}
