/** Reasons why downloads wait, in the language of the page. */

import { plural, t } from "./texts.js";

/** @type {Record<string, (wait: any) => string>} by the code of the API */
const REASONS = {
  not_before: ({ seconds }) => t("it starts at {time}", { time: new Date(Date.now() + seconds * 1000).toLocaleString() }),
  delayed: (wait) => t("the next attempt starts in {seconds} s", wait),
  host_unreachable: (wait) =>
    wait.seconds === undefined
      ? t("{host} could not be reached; another download tries it now ({error})", wait)
      : t("{host} could not be reached; the next attempt starts in {seconds} s ({error})", wait),
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
  // Values that are 0, or an error that is unknown, are left out of the answer.
  const text = describe({ error: t("unknown"), ...wait });
  return wait.redirected_from ? t("{from} redirects to {host}: {text}", { from: wait.redirected_from, host: wait.host ?? "", text }) : text;
}
