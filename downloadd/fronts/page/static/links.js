/** Finding links in whatever somebody pastes or drops. No page and no network in here. */

const LINK = /\bhttps?:\/\/[^\s<>"'`\\^{|}\u0000-\u001f]+/giu;

/**
 * The links of a text, each once, in their order; and how many lines held none.
 * @param {string} text
 * @returns {{links: string[], linesWithout: number}}
 */
export function findLinks(text) {
  const links = new Set();
  let linesWithout = 0;
  for (const line of text.split(/\r\n|\r|\n/)) {
    const found = line.match(LINK) ?? [];
    for (const link of found) links.add(trimmed(link));
    if (!found.length && line.trim()) linesWithout += 1;
  }
  return { links: [...links], linesWithout };
}

/** What belongs to the sentence around a link is taken off its end. @param {string} link */
function trimmed(link) {
  let end = link.replace(/[.,;:!?…*_]+$/u, "");
  while (/[)\]]$/.test(end) && unbalanced(end)) end = end.slice(0, -1).replace(/[.,;:!?]+$/u, "");
  return end;
}

/** @param {string} link */
function unbalanced(link) {
  const [open, close] = link.endsWith(")") ? ["(", ")"] : ["[", "]"];
  return link.split(close).length > link.split(open).length;
}

/** What a dropped file is, by its name and its first bytes. */
export const KINDS = /** @type {const} */ ({ slack: "slack", csv: "csv", urls: "urls", metalink: "metalink" });

/**
 * @param {string} name
 * @param {Uint8Array} head
 * @returns {"slack" | "csv" | "urls" | "metalink" | null} the importer for it; null when it can be no list
 */
export function kindOf(name, head) {
  const extension = name.toLowerCase().split(".").pop() ?? "";
  if (head[0] === 0x50 && head[1] === 0x4b) return KINDS.slack;
  if (extension === "meta4" || extension === "metalink") return KINDS.metalink;
  const start = new TextDecoder().decode(head).trimStart();
  if (start.startsWith("<?xml") || start.startsWith("<metalink")) return KINDS.metalink;
  if (extension === "csv") return KINDS.csv;
  const wide = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  return head.includes(0) && !wide ? null : KINDS.urls;
}
