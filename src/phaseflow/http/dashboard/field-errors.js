/** What is wrong in the form for a knowledge base, said at the field; what belongs to none is said at its end. */

import { setAttribute, setText } from "./dom.js";

/** The fields that are folded away at first. */
const MORE = new Set(["chunk_size", "chunk_overlap", "base_url", "model", "server", "languages", "index_server"]);

export class FieldErrors {
  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.form = form;
  }

  /** @param {string} name of a field, with the suffix of its source; or `form` */
  placeOf(name) {
    return this.form.querySelector(name === "form" ? "[data-error=form]" : `#e-${name.replaceAll("_", "-")}`);
  }

  /** @param {string} name */
  fieldOf(name) {
    return name === "form" ? null : /** @type {HTMLElement | null} */ (this.form.querySelector(`[name="${name}"]`));
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  say(name, text) {
    const place = this.placeOf(name);
    if (!place) return;
    setText(place, text);
    setAttribute(place, "hidden", false);
    this.fieldOf(name)?.setAttribute("aria-invalid", "true");
  }

  /** Go to the field. @param {string} name */
  point(name) {
    const more = this.form.querySelector("details");
    if (more && MORE.has(name)) more.open = true;
    this.fieldOf(name)?.focus();
  }

  /** @param {string} name */
  clear(name) {
    const place = this.placeOf(name);
    if (place) setAttribute(place, "hidden", true);
    this.fieldOf(name)?.removeAttribute("aria-invalid");
  }

  clearAll() {
    for (const place of this.form.querySelectorAll("[data-error]")) setAttribute(place, "hidden", true);
    for (const field of this.form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  }
}
