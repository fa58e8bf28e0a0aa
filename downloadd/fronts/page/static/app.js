/** The page: wires its parts, signs in, and leads from view to view. */

import { Adding } from "./adding.js";
import { Chart } from "./chart.js";
import { Client } from "./client.js";
import { Details } from "./details.js";
import { DownloadsView, Herald } from "./downloads.js";
import { byId, mark, say, show } from "./element.js";
import { HistoryView } from "./history.js";
import { ImportsView } from "./imports.js";
import { Notices } from "./notices.js";
import { Store } from "./store.js";
import { Explanations } from "./words.js";

const TOKEN = "downloadd.token";
const THEME = "downloadd.theme";
/** Milliseconds that a connection may be away before it is shown: a restart of the daemon need not alarm anybody. */
const UNALARMED = 1500;

const client = new Client();
const store = new Store(client);
const words = new Explanations();
const notices = new Notices(byId("notices"), byId("voice"));
const details = new Details({ client, store, notices, words, onError });
const onOpen = details.open.bind(details);
const chart = new Chart(byId("chart"), { now: byId("speed-now"), peak: byId("speed-peak") });
const downloads = new DownloadsView({ client, store, words, chart, onError, onOpen });
const history_ = new HistoryView({ client, store, words, onError, onOpen });
const imports = new ImportsView({ client, store, notices, onError });
new Adding({
  client,
  store,
  notices,
  words,
  onError,
  onImport: (file, kind) => {
    location.hash = "#imports";
    lead();
    imports.offer(file, kind);
  },
});
new Herald(store, notices);

/** @type {Record<string, {open?: () => void, leave?: () => void, draw?: () => void}>} */
const views = {
  downloads: { open: () => downloads.draw() },
  history: { open: () => history_.open(), leave: () => history_.leave() },
  imports: { open: () => imports.open(), leave: () => imports.leave() },
};

/** Shows the view that the address names. */
function lead() {
  const name = location.hash.slice(1) in views ? location.hash.slice(1) : "downloads";
  for (const each of Object.keys(views)) {
    const chosen = each === name;
    show(byId(`view-${each}`), chosen);
    const link = byId(`to-${each}`);
    if (chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    if (!chosen) views[each].leave?.();
  }
  if (client.token) views[name].open?.();
}

/** @param {any} error of a call */
function onError(error) {
  if (error?.name === "AbortError") return;
  if (error?.status === 401) {
    askForToken("The token is not valid any more. Sign in again; what you typed is still there.");
    return;
  }
  const { what, todo } = words.ofError(error);
  notices.show(what, todo, "bad");
}

/** @param {string} [reason] */
function askForToken(reason = "") {
  store.stop();
  client.token = null;
  sessionStorage.removeItem(TOKEN);
  say(byId("sign-in-problem"), reason);
  show(byId("sign-in-problem"), reason !== "");
  document.body.classList.remove("signed-in");
  const dialog = byId("sign-in");
  if (!dialog.open) dialog.showModal();
  byId("token").focus();
}

/** @param {string} token */
async function signIn(token) {
  client.token = token;
  try {
    await client.files.downloads.listGlobal({ limit: 1 });
  } catch (error) {
    const failure = /** @type {any} */ (error);
    if (failure?.name === "ConnectionLost" && byId("sign-in").open === false) {
      // The token may be good; the events are asked for until somebody answers.
      enter(token);
      return;
    }
    const { what, todo } = words.ofError(failure);
    askForToken(failure.status === 401 ? "This token is not known here. Check that it was copied whole." : `${what} ${todo}`);
    return;
  }
  enter(token);
}

/** @param {string} token that is taken for good */
function enter(token) {
  sessionStorage.setItem(TOKEN, token);
  byId("token").value = "";
  byId("sign-in").close();
  document.body.classList.add("signed-in");
  store.start();
  lead();
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let alarm;
store.addEventListener("connection", () => {
  clearTimeout(alarm);
  if (store.connected) {
    showConnection(true);
    explain();
  } else alarm = setTimeout(() => client.token && showConnection(false), UNALARMED);
});
store.addEventListener("expired", () => askForToken("The token is not valid any more. Sign in again; what you typed is still there."));
store.addEventListener("refused", (/** @type {any} */ { detail }) => onError(detail));

/** @param {boolean} there */
function showConnection(there) {
  const pill = byId("connection");
  mark(pill, "data-there", String(there));
  say(pill, there ? "Live" : "Connection lost – trying again");
  document.body.classList.toggle("lost", !there);
}

/** Gets the words for errors, once. */
async function explain() {
  try {
    words.fill(await client.errors());
  } catch {
    // Codes are shown until it can be asked again.
  }
}

function setTheme(/** @type {string} */ theme) {
  document.documentElement.dataset.theme = theme;
  const button = byId("theme");
  button.title = `Colours: ${theme === "auto" ? "as the system" : theme}`;
  button.setAttribute("aria-label", `${button.title}. Change`);
  chart.draw();
}

byId("theme").addEventListener("click", () => {
  const themes = ["auto", "light", "dark"];
  const next = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % themes.length];
  localStorage.setItem(THEME, next);
  setTheme(next);
});
byId("sign-out").addEventListener("click", () => askForToken());
byId("sign-in").addEventListener("cancel", (/** @type {Event} */ event) => event.preventDefault());
byId("sign-in-form").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  const token = byId("token").value.trim();
  if (token) signIn(token);
});
addEventListener("hashchange", () => arrive());
addEventListener("visibilitychange", () => !document.hidden && downloads.draw());
addEventListener("keydown", (event) => {
  const typing = /** @type {Element} */ (event.target).closest("input, textarea, select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = { "/": location.hash === "#history" ? "search" : "search-active", n: "links" }[event.key];
  if (target && byId(target).offsetParent) {
    event.preventDefault();
    byId(target).focus();
  }
});

/** The link that the daemon prints has the token behind a #, which browsers send nowhere; it does not stay there. */
function arrive() {
  const given = /^#token=(.+)$/.exec(location.hash);
  if (!given) {
    lead();
    return;
  }
  history.replaceState(null, "", location.pathname + location.search);
  signIn(decodeURIComponent(given[1]));
  lead();
}

setTheme(localStorage.getItem(THEME) ?? "auto");
const kept = sessionStorage.getItem(TOKEN);
if (location.hash.startsWith("#token=")) arrive();
else if (kept) {
  signIn(kept);
  lead();
} else {
  lead();
  askForToken();
}
