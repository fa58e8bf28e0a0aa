/** Row of an active download, with its buttons. */

import { element, iconButton, setAttribute, setText, setVisible } from "./element.js";
import { formatProgress } from "./formatting.js";
import { selectionBox } from "./selection.js";
import { STATES } from "./states.js";
import { plural, t } from "./texts.js";
import { describeWait } from "./wait_reasons.js";

/** Returns true for a download that can be moved in the queue. @param {any} entry */
export function isMovable(entry) {
  return entry.status === "queued" || entry.status === "paused";
}

/** Returns the error of the last attempt, the warning, and the reason why the download waits. @param {any} entry @param {any} errors */
function describeReason(entry, errors) {
  const parts = [];
  if (entry.error) parts.push(errors.summary(entry.error, entry.detail));
  if (entry.warning) parts.push(entry.warning);
  if (entry.reason && entry.status !== "paused") parts.push(describeWait(entry));
  return parts.join(" – ");
}

/**
 * Returns the row of a download.
 * @param {any} first @param {import("./downloads.js").DownloadsView} view
 */
export function downloadRow(first, view) {
  let entry = first;
  const downloads = view.client.files.downloads;
  const select = selectionBox(view.selection, () => entry, () => view.shown);
  const name = element("button", { class: "name", click: () => view.onOpen(entry) }, element("bdi"));
  const state = element("span", { class: "state" });
  const bar = element("progress", { max: 100 });
  const facts = element("span", { class: "facts" });
  const reason = element("span", { class: "why" });
  const pause = iconButton("pause", t("Pause"), () => view.apply(entry.id, () => downloads.pause(entry.id)));
  const resume = iconButton("resume", t("Resume"), () => view.apply(entry.id, () => downloads.resume(entry.id)));
  const retry = iconButton("again", t("Try now"), () => view.apply(entry.id, () => downloads.retry(entry.id)));
  // One button for both, so that the focus stays.
  const cancel = iconButton("close", t("Cancel"), () =>
    view.cancellations.has(entry.id) ? view.cancellations.undo([entry]) : view.cancellations.cancel([entry]),
  );
  const up = iconButton("up", t("Move up"), () => view.apply(entry.id, () => downloads.move(entry.id, "up"), { moves: true }));
  const down = iconButton("down", t("Move down"), () => view.apply(entry.id, () => downloads.move(entry.id, "down"), { moves: true }));
  for (const button of [up, down]) button.classList.add("move");
  const row = element(
    "div",
    { class: "row" },
    select,
    element("div", { class: "what" }, name, state),
    bar,
    element("div", { class: "how" }, facts, reason),
    element("div", { class: "do" }, up, down, retry, pause, resume, cancel),
  );
  let shownName = "";
  let wasCancelled = false;
  const label = () => {
    const isCancelled = view.cancellations.has(entry.id);
    if (shownName === entry.file_path && wasCancelled === isCancelled) return;
    shownName = entry.file_path;
    if (wasCancelled !== isCancelled) {
      wasCancelled = isCancelled;
      cancel.title = isCancelled ? t("Undo") : t("Cancel");
      cancel.replaceChildren(...iconButton(isCancelled ? "undo" : "close", "", () => {}).children);
    }
    name.firstChild.textContent = entry.file_path || entry.url;
    name.title = entry.file_path;
    for (const button of [up, down, pause, resume, retry, cancel]) button.setAttribute("aria-label", `${button.title} ${entry.filename}`);
    bar.setAttribute("aria-label", t("Progress of {name}", { name: entry.filename }));
    select.setAttribute("aria-label", t("Select {name}", { name: entry.filename }));
  };
  return {
    element: row,
    update: (/** @type {any} */ latest) => {
      entry = latest;
      label();
      const { status } = entry;
      const isOver = "end_time" in entry;
      setAttribute(row, "data-status", wasCancelled ? "cancelled" : status);
      if (select.checked !== view.selection.has(entry.id)) select.checked = view.selection.has(entry.id);
      setText(state, wasCancelled ? t("Cancelled, can be undone") : STATES[status] ? t(STATES[status].title) : status);
      if (isOver) setAttribute(bar, "value", status === "completed" ? "100" : "0");
      else if (entry.progress_percentage !== null) setAttribute(bar, "value", String(entry.progress_percentage));
      else if (status === "downloading") bar.removeAttribute("value");
      else setAttribute(bar, "value", "0");
      setText(facts, isOver ? "" : formatProgress(entry));
      setText(reason, describeReason(entry, view.errors));
      const canAct = !isOver && !wasCancelled;
      setVisible(pause, canAct && status !== "paused");
      setVisible(resume, canAct && status === "paused");
      setVisible(retry, canAct && status === "retrying");
      setVisible(cancel, !isOver);
      for (const button of [up, down]) setVisible(button, canAct && isMovable(entry) && view.canMove);
    },
  };
}

/**
 * Returns the row that is above those of a group.
 * @param {any} first @param {import("./downloads.js").DownloadsView} view
 */
export function groupRow(first, view) {
  let item = first;
  const title = element("strong", {}, element("bdi"));
  const count = element("span", { class: "hint" });
  const select = element("input", {
    type: "checkbox",
    class: "select",
    change: () => view.selection.setAll(item.entries, select.checked),
  });
  const row = element("div", { class: "row group" }, select, element("div", { class: "what" }, title, count));
  return {
    element: row,
    update: (/** @type {any} */ latest) => {
      item = latest;
      setText(title.firstChild, item.group);
      setText(count, plural(item.entries.length, "{n} download", "{n} downloads"));
      setAttribute(select, "aria-label", t("Select all of {name}", { name: item.group }));
      const selected = item.entries.filter((/** @type {any} */ entry) => view.selection.has(entry.id)).length;
      select.checked = selected === item.entries.length;
      select.indeterminate = selected > 0 && selected < item.entries.length;
    },
  };
}
