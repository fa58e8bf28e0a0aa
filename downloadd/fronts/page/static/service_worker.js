/**
 * Service worker of the installed page: opens the page also while the daemon cannot be reached, with the files of the
 * last visit, and shows notifications. Data of the daemon is never kept.
 */

const CACHE = "downloadd-page";
const worker = /** @type {any} */ (self);
/** Address of the page; this file is in `api/v1/page/` below it. */
const PAGE = new URL("../../../", worker.location);
const FILES = new URL("api/v1/page/", PAGE);

worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(worker.clients.claim()));

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const url = new URL(request.url);
  const isPage = request.mode === "navigate" && url.origin === PAGE.origin && url.pathname === PAGE.pathname;
  if (request.method !== "GET" || !(isPage || url.href.startsWith(FILES.href))) return;
  event.respondWith(load(request, isPage ? PAGE.href : url.href));
});

/** Returns the file of the server, or without an answer that of the last visit. @param {Request} request @param {string} key */
async function load(request, key) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(key, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(key);
    if (kept) return kept;
    throw error;
  }
}

worker.addEventListener("notificationclick", (/** @type {any} */ event) => {
  event.notification.close();
  event.waitUntil(showPage());
});

async function showPage() {
  const windows = await worker.clients.matchAll({ type: "window" });
  await (windows.length ? windows[0].focus() : worker.clients.openWindow(PAGE.href));
}
