/** The page: creates its parts, signs the user in, and switches views. */

import { AddForm } from "./add_form.js";
import { Chart } from "./chart.js";
import { Client } from "./client.js";
import { Details } from "./details.js";
import { DownloadsView, EndAnnouncer } from "./downloads.js";
import { byId, setAttribute, setText, setVisible } from "./element.js";
import { ErrorMessages } from "./error_messages.js";
import { bookmarklet, handlerAddress, LINK_SCHEME, readHandedText, readSharedText } from "./handed_links.js";
import { FilesView } from "./files.js";
import { HistoryView } from "./history.js";
import { HostsView } from "./hosts.js";
import { QuotaView } from "./quota.js";
import { ImportsView } from "./imports.js";
import { LimitsForm } from "./limits.js";
import { Notices } from "./notices.js";
import { Notifications } from "./notifications.js";
import { SchedulesView } from "./schedules.js";
import { StorageView } from "./storage.js";
import { Store } from "./store.js";
import { t, translatePage } from "./texts.js";

const TOKEN_KEY = "downloadd.token";
const THEME_KEY = "downloadd.theme";
/** Milliseconds before a lost connection is shown; a restart of the daemon is shorter. */
const LOST_CONNECTION_DELAY = 1500;

const TOKEN_EXPIRED = t("The token is no longer valid. Sign in again; your input is kept.");

translatePage(document.body);

const client = new Client();
const store = new Store(client);
const errors = new ErrorMessages();
const notices = new Notices(byId("notices"), byId("announcements"));
const details = new Details({ client, store, notices, errors, onError, onDirectory: showDirectory, onMove: () => downloads.rearrange() });
const onOpen = details.open.bind(details);
const chart = new Chart(byId("chart"), { now: byId("speed-now"), peak: byId("speed-peak") });
const downloads = new DownloadsView({ client, store, errors, notices, chart, onError, onOpen });
const saveFile = (/** @type {any} */ entry) => details.preview.save(entry);
const history_ = new HistoryView({ client, store, errors, notices, onError, onOpen, saveFile });
const hosts = new HostsView({ client });
const quota = new QuotaView({ client });
const files = new FilesView({ client, store, errors, onError, onOpen, saveFile, onHistory: showDownloads });
const schedules = new SchedulesView({ client, store, notices, errors, onError });
const storage = new StorageView({
  client,
  onKept: () => {
    history_.showKept();
    location.hash = "#history";
  },
});
const imports = new ImportsView({ client, store, notices, onError });
const addForm = new AddForm({
  client,
  store,
  notices,
  errors,
  onError,
  onImport: (file, kind) => {
    location.hash = "#imports";
    showView();
    imports.selectForUpload(file, kind);
  },
});
new LimitsForm({ client, store, notices, onError });
const notifications = new Notifications({ baseUrl: client.baseUrl, notices });
new EndAnnouncer(store, (sentence) => {
  notices.announce(sentence);
  notifications.show(sentence);
});

/** @type {Record<string, {open?: () => void, close?: () => void, draw?: () => void}>} */
const views = {
  downloads: {
    open: () => {
      downloads.draw();
      hosts.open();
      quota.open();
      schedules.open();
      storage.open();
    },
    close: () => {
      hosts.close();
      quota.close();
      schedules.close();
      storage.close();
    },
  },
  history: { open: () => history_.open(), close: () => history_.close() },
  files: { open: () => files.open(), close: () => files.close() },
  imports: { open: () => imports.open(), close: () => imports.close() },
};

/** Shows the view that the fragment of the address names. */
function showView() {
  const name = location.hash.slice(1) in views ? location.hash.slice(1) : "downloads";
  for (const one of Object.keys(views)) {
    const selected = one === name;
    setVisible(byId(`view-${one}`), selected);
    const link = byId(`to-${one}`);
    if (selected) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    if (!selected) views[one].close?.();
  }
  if (client.token) views[name].open?.();
}

/** Shows the files of a directory. @param {string} directory */
function showDirectory(directory) {
  files.show(directory);
  location.hash = "#files";
}

/** Shows the finished downloads of a directory. @param {string} directory */
function showDownloads(directory) {
  history_.showDirectory(directory);
  location.hash = "#history";
}

/** @param {any} error of a call */
function onError(error) {
  if (error?.name === "AbortError") return;
  if (error?.status === 401) {
    requestSignIn(TOKEN_EXPIRED);
    return;
  }
  const { problem, resolution } = errors.describe(error);
  notices.show(problem, resolution, "bad");
}

/** @param {string} [reason] */
function requestSignIn(reason = "") {
  store.stop();
  client.token = null;
  for (const storage of [sessionStorage, localStorage]) storage.removeItem(TOKEN_KEY);
  setText(byId("sign-in-problem"), reason);
  setVisible(byId("sign-in-problem"), reason !== "");
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
      // The token may be valid; the event stream reconnects until the daemon answers.
      completeSignIn(token);
      return;
    }
    const { problem, resolution } = errors.describe(failure);
    requestSignIn(failure.status === 401 ? t("The daemon does not know this token. Check that you copied all of it.") : `${problem} ${resolution}`);
    return;
  }
  completeSignIn(token);
}

/** @param {string} token a valid one */
function completeSignIn(token) {
  sessionStorage.setItem(TOKEN_KEY, token);
  if (byId("remember").checked) localStorage.setItem(TOKEN_KEY, token);
  byId("token").value = "";
  byId("sign-in").close();
  document.body.classList.add("signed-in");
  store.start();
  showView();
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let lostTimer;
store.addEventListener("connection", () => {
  clearTimeout(lostTimer);
  if (store.connected) {
    showConnection(true);
    loadErrorMessages();
  } else lostTimer = setTimeout(() => client.token && showConnection(false), LOST_CONNECTION_DELAY);
});
store.addEventListener("expired", () => requestSignIn(TOKEN_EXPIRED));
store.addEventListener("refused", (/** @type {any} */ { detail }) => onError(detail));

/** @param {boolean} connected */
function showConnection(connected) {
  const status = byId("connection");
  setAttribute(status, "data-connected", String(connected));
  setText(status, connected ? t("Live") : t("Connection lost – reconnecting"));
  document.body.classList.toggle("lost", !connected);
}

/** Loads the error table. */
async function loadErrorMessages() {
  try {
    errors.load(await client.errors());
  } catch {
    // Messages show the codes until the next connection.
  }
}

function setTheme(/** @type {string} */ theme) {
  document.documentElement.dataset.theme = theme;
  const button = byId("theme");
  button.title = t("Colours: {theme}", { theme: { auto: t("as the system"), light: t("light"), dark: t("dark") }[theme] });
  button.setAttribute("aria-label", t("{title}. Change", { title: button.title }));
  chart.draw();
}

byId("theme").addEventListener("click", () => {
  const themes = ["auto", "light", "dark"];
  const next = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % themes.length];
  localStorage.setItem(THEME_KEY, next);
  setTheme(next);
});
byId("sign-out").addEventListener("click", () => requestSignIn());
byId("sign-in").addEventListener("cancel", (/** @type {Event} */ event) => event.preventDefault());
byId("sign-in-form").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  const token = byId("token").value.trim();
  if (token) signIn(token);
});
addEventListener("hashchange", () => openLocation());
// A page that the browser kept while another was shown has missed events.
addEventListener("pageshow", (event) => event.persisted && client.token && store.start());
addEventListener("visibilitychange", () => !document.hidden && downloads.draw());
addEventListener("keydown", (event) => {
  const isTyping = /** @type {Element} */ (event.target).closest("input, textarea, select, dialog");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = { "/": location.hash === "#history" ? "search" : "search-active", n: "links" }[event.key];
  if (target && byId(target).offsetParent) {
    event.preventDefault();
    byId(target).focus();
  }
});

/** Puts links that another page handed over into the form, and removes them from the address. */
function takeHandedLinks() {
  const text = readHandedText(location.hash) ?? readSharedText(location.search);
  if (text === null) return;
  history.replaceState(null, "", `${location.pathname}#downloads`);
  // A hidden form cannot have the focus.
  showView();
  addForm.receive(text);
}

/** Opens the view of the address. The link that the daemon prints has the token in the fragment, which browsers do not send;
 * it is removed from the address. */
function openLocation() {
  takeHandedLinks();
  const match = /^#token=(.+)$/.exec(location.hash);
  if (!match) {
    showView();
    return;
  }
  history.replaceState(null, "", location.pathname + location.search);
  signIn(decodeURIComponent(match[1]));
  showView();
}

// On a phone, these are below a list of any length.
byId("to-speed").addEventListener("click", () => {
  byId("speed-title").scrollIntoView({ block: "center" });
  byId("speed-title").focus({ preventScroll: true });
});
byId("bookmarklet").href = bookmarklet(client.baseUrl);
byId("bookmarklet").addEventListener("click", (/** @type {Event} */ event) => {
  event.preventDefault();
  notices.show(t("Drag this link to the bookmarks bar."), t("It works on other pages."));
});
// Browsers offer this on pages with TLS or on localhost only, and some not at all.
setVisible(byId("link-scheme"), "registerProtocolHandler" in navigator);
byId("register-scheme").addEventListener("click", () => {
  navigator.registerProtocolHandler(LINK_SCHEME, handlerAddress(client.baseUrl));
  notices.show(t("The browser was asked."), t("It may want you to confirm that this page opens such links."));
});

setTheme(localStorage.getItem(THEME_KEY) ?? "auto");
takeHandedLinks();
const storedToken = sessionStorage.getItem(TOKEN_KEY) ?? localStorage.getItem(TOKEN_KEY);
if (location.hash.startsWith("#token=")) openLocation();
else if (storedToken) {
  signIn(storedToken);
  showView();
} else {
  showView();
  requestSignIn();
}
