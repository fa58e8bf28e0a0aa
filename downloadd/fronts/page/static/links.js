/** Links in pasted text, and the importer for a file. Without access to the page or the network. */

const LINK_PATTERN = /\bhttps?:\/\/[^\s<>"'`\\^{|}\u0000-\u001f]+/giu;

/**
 * Returns the distinct links of a text in order, and the number of lines without a link.
 * @param {string} text
 * @returns {{links: string[], linesWithout: number}}
 */
export function findLinks(text) {
  const links = new Set();
  let linesWithout = 0;
  for (const line of text.split(/\r\n|\r|\n/)) {
    const found = line.match(LINK_PATTERN) ?? [];
    for (const link of found) links.add(trimLink(link));
    if (!found.length && line.trim()) linesWithout += 1;
  }
  return { links: [...links], linesWithout };
}

/** Removes the punctuation of the surrounding sentence from the end of a link. @param {string} link */
function trimLink(link) {
  let end = link.replace(/[.,;:!?…*_]+$/u, "");
  while (/[)\]]$/.test(end) && endsWithUnmatchedBracket(end)) end = end.slice(0, -1).replace(/[.,;:!?]+$/u, "");
  return end;
}

/** @param {string} link */
function endsWithUnmatchedBracket(link) {
  const [open, close] = link.endsWith(")") ? ["(", ")"] : ["[", "]"];
  return link.split(close).length > link.split(open).length;
}

/** Keys of the importers. */
export const KINDS = /** @type {const} */ ({ slack: "slack", csv: "csv", urls: "urls", metalink: "metalink" });

/**
 * @param {string} name
 * @param {Uint8Array} head
 * @returns {"slack" | "csv" | "urls" | "metalink" | null} the importer for a file by its name and first bytes; null if it cannot be imported
 */
export function guessKind(name, head) {
  const extension = name.toLowerCase().split(".").pop() ?? "";
  if (head[0] === 0x50 && head[1] === 0x4b) return KINDS.slack;
  if (extension === "meta4" || extension === "metalink") return KINDS.metalink;
  const start = new TextDecoder().decode(head).trimStart();
  if (start.startsWith("<?xml") || start.startsWith("<metalink")) return KINDS.metalink;
  if (extension === "csv") return KINDS.csv;
  const wide = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  return head.includes(0) && !wide ? null : KINDS.urls;
}
