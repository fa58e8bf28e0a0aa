/** Creation and change of elements; text is never parsed as markup. */

/**
 * Returns a new element. A property that is a function listens to the event of its name; a name with a hyphen is an
 * attribute.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any}
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name === "class") node.className = value;
    else if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Paths of the icons; not every system has fonts with these characters. @type {Record<string, string>} */
const ICONS = {
  pause: "M5 3v10M11 3v10",
  resume: "M5 3l8 5-8 5z",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13 2v3.2H9.8",
  close: "M4 4l8 8M12 4l-8 8",
  up: "M8 13V3M4 7l4-4 4 4",
  down: "M8 3v10M4 9l4 4 4-4",
  undo: "M3 7h7a3.5 3.5 0 0 1 0 7H6M6 3.5L2.5 7 6 10.5",
  save: "M8 2v8M4.5 7L8 10.5 11.5 7M3 13.5h10",
};

/**
 * Returns a button with an icon.
 * @param {keyof typeof ICONS} icon
 * @param {string} name
 * @param {() => void} onClick
 * @returns {HTMLButtonElement}
 */
export function iconButton(icon, name, onClick) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[icon]);
  svg.append(path);
  return element("button", { class: "icon", type: "button", title: name, "aria-label": name, click: onClick }, svg);
}

/**
 * Sets the text of an element; does nothing if it has that text.
 * @param {Element} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Shows or hides an element.
 * @param {HTMLElement} node
 * @param {boolean} visible
 */
export function setVisible(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

/**
 * Sets an attribute; does nothing if it has that value.
 * @param {Element} node
 * @param {string} name
 * @param {string} value
 */
export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/**
 * Returns the element with this id.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  return document.getElementById(id);
}
