/** Elements, made and changed without ever reading text as markup. */

/**
 * A new element; a property that is a function listens to the event of its name, `data` and `aria` are attributes.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (name === "class") made.className = value;
    else if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Drawn by hand, because not every system has these signs in its fonts. @type {Record<string, string>} */
const SIGNS = {
  pause: "M5 3v10M11 3v10",
  resume: "M5 3l8 5-8 5z",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13 2v3.2H9.8",
  close: "M4 4l8 8M12 4l-8 8",
};

/**
 * A button with a sign and a name.
 * @param {keyof typeof SIGNS} sign
 * @param {string} name
 * @param {() => void} press
 * @returns {HTMLButtonElement}
 */
export function signButton(sign, name, press) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 16 16");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SIGNS[sign]);
  drawing.append(path);
  return element("button", { class: "icon", type: "button", title: name, "aria-label": name, click: press }, drawing);
}

/**
 * Shows a text; touches nothing when it is shown already.
 * @param {Element} node
 * @param {string} text
 */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * @param {HTMLElement} node
 * @param {boolean} shown
 */
export function show(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

/**
 * @param {Element} node
 * @param {string} name
 * @param {string} value
 */
export function mark(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/**
 * The element of the page with this id.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  return document.getElementById(id);
}
