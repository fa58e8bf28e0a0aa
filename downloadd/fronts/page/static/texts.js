/**
 * Texts in the language of the browser. The English text is the key; each other language is one file, `texts.<tag>.json`,
 * from English to that language. A text with `{n}` may have one form for each plural category of the language.
 */

import { LANGUAGES } from "./languages.js";

/** Returns the first language that the user prefers and that there are texts for. @param {readonly string[]} wanted */
export function chooseLanguage(wanted) {
  for (const tag of wanted) {
    const base = tag.toLowerCase().split("-")[0];
    if (base === "en" || LANGUAGES.includes(base)) return base;
  }
  return "en";
}

/** @param {string} tag @returns {Promise<Record<string, string | Record<string, string>>>} */
async function load(tag) {
  try {
    return await (await fetch(new URL(`./texts.${tag}.json`, import.meta.url))).json();
  } catch {
    // The page works in English.
    return {};
  }
}

export const language = globalThis.document ? chooseLanguage(navigator.languages) : "en";
const table = language === "en" ? {} : await load(language);
const plurals = new Intl.PluralRules(language);

/** @param {string} text @param {Record<string, unknown>} values */
function insert(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/**
 * Returns a text in the language of the page.
 * @param {string} text in English; `{name}` stands for a value
 * @param {Record<string, unknown>} [values]
 */
export function t(text, values = {}) {
  const translated = table[text];
  return insert(typeof translated === "string" ? translated : text, values);
}

/**
 * Returns a text with a number, which stands at `{n}`.
 * @param {number} number
 * @param {string} one in English, for the number 1
 * @param {string} many in English, for all others; the key
 * @param {Record<string, unknown>} [values]
 */
export function plural(number, one, many, values = {}) {
  const forms = table[many];
  const english = number === 1 ? one : many;
  const form = typeof forms === "object" ? (forms[plurals.select(number)] ?? forms.other ?? english) : (forms ?? english);
  return insert(form, { n: number.toLocaleString(), ...values });
}

/** Attributes with texts. */
const ATTRIBUTES = ["placeholder", "aria-label", "title"];

/** Translates the texts of the page as it was loaded. @param {Element} root */
export function translatePage(root) {
  document.documentElement.lang = language;
  if (language === "en") return;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const whole = node.textContent ?? "";
    const text = whole.trim();
    // The spaces around a part of a sentence stay.
    if (text) node.textContent = whole.replace(text, () => t(text));
  }
  for (const name of ATTRIBUTES) {
    for (const each of root.querySelectorAll(`[${name}]`)) each.setAttribute(name, t(each.getAttribute(name) ?? ""));
  }
}
