/** Links that other pages hand over in the fragment of the address, which browsers do not send. Without access to the page or the
 * network. */

/** Scheme of links that a browser opens with this page, once the user has allowed it. */
export const LINK_SCHEME = "web+downloadd";

const ADD = "#add=";
/** Forms of AriaNg: the links in base64. The second one starts a download there, and here fills the form only. */
const ARIANG_NEW = /^#!\/new(?:\/task)?\?(.*)$/s;
const SCHEME_PREFIX = new RegExp(`^${LINK_SCHEME.replace("+", "\\+")}:(?:\\/\\/)?`, "i");

/**
 * Returns the text that another page handed over, which should hold links; null if the fragment is not for that.
 * @param {string} fragment
 * @returns {string | null}
 */
export function readHandedText(fragment) {
  if (fragment.startsWith(ADD)) {
    return decodePercent(fragment.slice(ADD.length)).split("\n").map(removeScheme).join("\n");
  }
  const query = ARIANG_NEW.exec(fragment)?.[1];
  return query === undefined ? null : decodeBase64(new URLSearchParams(query).get("url") ?? "");
}

/** Returns what another app shared with the installed page; null if nothing was. @param {string} search query of the address */
export function readSharedText(search) {
  const query = new URLSearchParams(search);
  const parts = ["url", "text", "title"].map((name) => query.get(name)).filter(Boolean);
  return parts.length ? parts.join("\n") : null;
}

/**
 * Returns the address that hands over links to the page at `base`; the browser replaces `%s` in it.
 * @param {string} base
 */
export function handlerAddress(base) {
  return `${base}${ADD}%s`;
}

/**
 * Returns a bookmarklet that hands over the selected links of the page it runs in, or the address of that page.
 * @param {string} base address of this page
 */
export function bookmarklet(base) {
  const code = `(() => {
    const selection = getSelection();
    const selected = selection.isCollapsed ? [] : [...document.links].filter((link) => selection.containsNode(link, true));
    const text = selected.map((link) => link.href).join("\\n") || location.href;
    open(${JSON.stringify(base + ADD)} + encodeURIComponent(text), "_blank", "noopener");
  })()`;
  return `javascript:${encodeURIComponent(code.replace(/\n\s+/g, " "))}`;
}

/** @param {string} text */
function removeScheme(text) {
  if (!SCHEME_PREFIX.test(text)) return text;
  const link = text.replace(SCHEME_PREFIX, "");
  return /^https?:/i.test(link) ? link : decodePercent(link);
}

/** @param {string} text */
function decodePercent(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {string} text in either alphabet of base64, with or without padding */
function decodeBase64(text) {
  try {
    // A plus sign in a query stands for a space.
    const bytes = atob(text.replace(/[ -]/g, "+").replace(/_/g, "/"));
    return new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
  } catch {
    return "";
  }
}
