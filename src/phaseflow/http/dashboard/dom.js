/** Building and changing nodes. Text is always set as text; what has not changed is not touched. */

const SVG = "http://www.w3.org/2000/svg";

/** Controls, and marks that turn the direction of writing or cannot be seen, but for those that join letters. */
const STEERING = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/**
 * What others have named, as `bdi` shows it: a name that would look like another one shows what makes it so.
 *
 * @param {string} text
 */
function plain(text) {
  return text.replace(STEERING, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | boolean>} [attributes] `text` is the text; true sets an empty attribute
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  const { text, ...others } = attributes;
  for (const [name, value] of Object.entries(others)) setAttribute(node, name, value);
  if (typeof text === "string") setText(node, text);
  node.append(...children);
  return node;
}

/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...Node} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/**
 * A part of the page that is always there.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {string} id
 * @param {Tag} tag
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function part(id, tag) {
  const found = document.getElementById(id);
  if (found?.localName !== tag) throw new Error(`the page has no <${tag} id="${id}">`);
  return /** @type {HTMLElementTagNameMap[Tag]} */ (found);
}

/**
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  const shown = node.nodeName === "BDI" ? plain(text) : text;
  if (node.textContent !== shown) node.textContent = shown;
}

/**
 * @param {Element} node
 * @param {string} name
 * @param {string | boolean | null} value false and null take the attribute away
 */
export function setAttribute(node, name, value) {
  const wanted = value === true ? "" : value === false ? null : value;
  if (node.getAttribute(name) === wanted) return;
  if (wanted === null) node.removeAttribute(name);
  else node.setAttribute(name, wanted);
}

/**
 * @param {HTMLElement} node
 * @param {string} name of a custom property
 * @param {string} value
 */
export function setProperty(node, name, value) {
  if (node.style.getPropertyValue(name) !== value) node.style.setProperty(name, value);
}

/**
 * A `<time>` that shows what it is given.
 * @param {HTMLTimeElement} node
 * @param {string | null} at
 * @param {string} text
 * @param {string} title
 */
export function setTime(node, at, text, title) {
  setText(node, text);
  setAttribute(node, "datetime", at);
  setAttribute(node, "title", at && title);
}

/**
 * Call `draw` at most once a frame, however often the returned function is called.
 * @param {() => void} draw
 */
export function framed(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

/**
 * A style sheet of this folder, for a shadow root.
 * @param {string} name
 */
export async function sheet(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  return new CSSStyleSheet().replace(await answer.text());
}
