/** Reasons why downloads wait, in the language of the page. */

import { formatSize } from "./formatting.js";
import { plural, t } from "./texts.js";

/** @type {Record<string, (wait: any) => string>} by the code of the API */
const REASONS = {
  not_before: ({ seconds }) => t("it starts at {time}", { time: new Date(Date.now() + seconds * 1000).toLocaleString() }),
  delayed: (wait) => t("the next attempt starts in {seconds} s", wait),
  allow_starts: (wait) =>
    wait.setting ? t("nothing starts by the limits of {setting}", wait) : t("nothing starts until “Downloads may start” is switched on"),
  storage_unavailable: ({ needed, available, error }) => {
    if (needed !== undefined) {
      return t("it needs {needed} on the disk, and {available} are free", { needed: formatSize(needed), available: formatSize(available) });
    }
    return error === undefined ? t("the disk is full") : t("the storage takes no files ({error})", { error });
  },
  host_unreachable: (wait) =>
    wait.seconds === undefined
      ? t("{host} could not be reached; another download tries it now ({error})", { error: t("unknown"), ...wait })
      : t("{host} could not be reached; the next attempt starts in {seconds} s ({error})", { error: t("unknown"), ...wait }),
  host_backoff: (wait) => t("{host} asked to wait, {seconds} s more", wait),
  max_per_host: (wait) => {
    const text = plural(wait.running, "1 download from {host} is running", "{n} downloads from {host} are running", wait);
    if (wait.setting) return `${text} (${wait.setting})`;
    return wait.error ? t("{text}; it refused more ({error})", { text, error: wait.error }) : t("{text}; it refused more", { text });
  },
  max_concurrent: (wait) =>
    `${plural(wait.running, "1 download is running", "{n} downloads are running")} (${wait.setting})`,
  bytes_per_day: (wait) =>
    t("{user} has received all bytes of today; it goes on at {time}", {
      user: wait.user,
      time: new Date(Date.now() + (wait.seconds ?? 0) * 1000).toLocaleString(),
    }),
  user_max_concurrent: (wait) =>
    `${plural(wait.running, "1 download of {user} is running", "{n} downloads of {user} are running", wait)} (${wait.setting})`,
  ready: () => t("about to start"),
};

/** Returns why a download waits; a reason without a translation is that of the daemon. @param {any} entry of the listing */
export function describeWait({ wait, reason }) {
  const describe = REASONS[wait?.code];
  if (!describe) return reason ?? "";
  const text = describe(wait);
  return wait.redirected_from ? t("{from} redirects to {host}: {text}", { from: wait.redirected_from, host: wait.host ?? "", text }) : text;
}
