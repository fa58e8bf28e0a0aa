/** Links in pasted text, and the importer for a file. Without access to the page or the network. */

import { IMPORTERS } from "./importers.js";

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

/** Byte order mark of UTF-8, and white space. */
const BLANK_START = /^[\ufeff \t\r\n]+/;

/**
 * Returns the key of the importer for a file by its name and first bytes; null if no importer can read it.
 * @param {string} name
 * @param {Uint8Array} head
 * @returns {string | null}
 */
export function guessKind(name, head) {
  const suffix = name.toLowerCase().split(".").pop() ?? "";
  const start = new TextDecoder("utf-8", { ignoreBOM: true }).decode(head).replace(BLANK_START, "");
  const isUtf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  const isText = isUtf16 || !head.includes(0);
  /** @type {((one: any) => boolean)[]} */
  const conditions = [
    (one) => one.signatures.some((signature) => signature.every((byte, position) => head[position] === byte)),
    (one) => one.markup.some((text) => start.startsWith(text)),
    (one) => one.suffixes.includes(suffix),
    (one) => one.acceptsText && isText,
  ];
  for (const condition of conditions) {
    const found = Object.entries(IMPORTERS).find(([, importer]) => condition(importer));
    if (found) return found[0];
  }
  return null;
}

/** Returns a sentence with the kinds of files that can be imported. */
export function describeKinds() {
  return Object.values(IMPORTERS).map((importer) => importer.uploadHint).join("; ");
}
