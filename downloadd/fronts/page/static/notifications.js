/** Notifications of the browser about ended downloads, while the page is not visible. */

import { byId, setVisible } from "./element.js";
import { t } from "./texts.js";

const WANTED_KEY = "downloadd.notifications";
/** Notifications with the same tag replace each other, also those of several tabs. */
const TAG = "downloadd-ended";

export class Notifications {
  /** @type {ServiceWorkerRegistration | null} */
  #registration = null;

  /** @param {{baseUrl: string, notices: import("./notices.js").Notices}} parts */
  constructor({ baseUrl, notices }) {
    this.notices = notices;
    this.button = byId("notify");
    this.#register(baseUrl);
    this.button.addEventListener("click", () => this.#toggle());
  }

  /** Browsers have service workers on pages with TLS or on localhost only. @param {string} baseUrl */
  async #register(baseUrl) {
    try {
      const script = new URL("api/v1/page/service_worker.js", baseUrl);
      this.#registration = await navigator.serviceWorker.register(script, { scope: baseUrl });
    } catch {
      // The page works without it.
      return;
    }
    setVisible(this.button, "Notification" in globalThis);
    this.#draw();
  }

  get #isOn() {
    return localStorage.getItem(WANTED_KEY) === "true" && Notification.permission === "granted";
  }

  async #toggle() {
    if (this.#isOn) localStorage.removeItem(WANTED_KEY);
    else if ((await Notification.requestPermission()) === "granted") localStorage.setItem(WANTED_KEY, "true");
    else this.notices.show(t("The browser does not allow notifications."), t("Allow them in the settings of this page."), "bad");
    this.#draw();
  }

  #draw() {
    this.button.setAttribute("aria-pressed", String(this.#isOn));
    this.button.title = this.#isOn ? t("Notifications are on") : t("Notifications are off");
    this.button.setAttribute("aria-label", t("Notify when downloads end"));
  }

  /** Shows a sentence, if the user wants that and does not see the page. @param {string} sentence */
  show(sentence) {
    if (!document.hidden || !this.#registration || !this.#isOn) return;
    this.#registration.showNotification("downloadd", { body: sentence, tag: TAG, icon: "api/v1/page/icon.svg" }).catch(() => {});
  }
}
