/**
 * Changes what is said about a document: names and values, in place of all that was said before.
 *
 * @import {DocumentInfo, MetadataValue} from "./phaseflow.d.ts"
 */

import { el, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { MeanwhileLine, unlessChanged } from "./meanwhile.js";
import { capital, count } from "./words.js";

/** What the server keeps at most (INGESTION_API.md, Sending texts). */
export const MOST_NAMES = 64;
export const MOST_BYTES = 16 * 1024;
const BUILT_IN = new Set(["uri", "source", "title", "media_type", "size", "modified_at", "indexed_at"]);
const KINDS = /** @type {const} */ (["text", "number", "yes or no", "list"]);
/** @typedef {typeof KINDS[number]} Kind */

/** @param {MetadataValue} value @returns {Kind} */
const kindOf = (value) => (Array.isArray(value) ? "list" : typeof value === "number" ? "number" : typeof value === "boolean" ? "yes or no" : "text");

/** @param {MetadataValue} value */
const written = (value) => (Array.isArray(value) ? value.join("\n") : typeof value === "boolean" ? (value ? "yes" : "no") : String(value));

export class MetadataForm {
  /**
   * @param {() => Promise<DocumentInfo>} read the document as it is now
   * @param {(metadata: Record<string, MetadataValue>, seen: DocumentInfo) => Promise<void>} save only while it is still
   *   what was seen; both reject with what the server says
   * @param {() => void} closed
   */
  constructor(read, save, closed) {
    this.read = read;
    this.save = save;
    this.closed = closed;
    this.isBusy = false;
    /** Counts how often it was opened or closed: what was sent before is nothing to what is typed after. */
    this.turns = 0;
    this.filledFrom = "";
    this.meanwhile = new MeanwhileLine();
    this.rows = el("div", { class: "rows" });
    this.told = el("p", { class: "field-error", role: "alert", hidden: true });
    this.size = el("p", { class: "hint" });
    const add = el("button", { type: "button" }, icon("add"), el("span", { text: "Add a name" }));
    add.addEventListener("click", () => this.add("", "", "text").querySelector("input")?.focus());
    const close = el("button", { type: "button" }, el("span", { text: "Close" }));
    close.addEventListener("click", () => this.close());
    this.node = el("form", { class: "metadata", novalidate: true, hidden: true, "aria-label": "Metadata" }, this.rows, this.size, this.meanwhile.node, this.told,
      el("div", { class: "controls" }, add, close, el("button", { type: "submit", class: "primary" }, el("span", { text: "Save" }))));
    this.node.addEventListener("input", () => this.measure());
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    this.node.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  /** @param {DocumentInfo} one */
  open(one) {
    this.turns += 1;
    this.isBusy = false;
    this.filledFrom = JSON.stringify(one.metadata);
    this.meanwhile.hide();
    this.rows.replaceChildren();
    for (const [name, value] of Object.entries(one.metadata)) this.add(name, written(value), kindOf(value));
    if (this.rows.children.length === 0) this.add("", "", "text");
    this.node.hidden = false;
    this.measure();
    this.rows.querySelector("input")?.focus();
  }

  close() {
    this.turns += 1;
    this.node.hidden = true;
    this.closed();
  }

  /**
   * @param {string} name
   * @param {string} value
   * @param {Kind} kind
   */
  add(name, value, kind) {
    const remove = el("button", { type: "button", class: "quiet", "aria-label": name ? `Take ${name} out` : "Take it out" }, icon("close"));
    const row = el("div", { class: "row" },
      el("input", { name: "name", "aria-label": "Name", maxlength: "200", autocomplete: "off", spellcheck: "false", placeholder: "Name", value: name }),
      el("select", { name: "kind", "aria-label": "Kind" }, ...KINDS.map((one) => el("option", { value: one, text: one, selected: one === kind }))),
      el("textarea", { name: "value", "aria-label": "Value", rows: String(Math.min(6, value.split("\n").length)), placeholder: "Value", text: value }), remove);
    remove.addEventListener("click", () => {
      const next = /** @type {HTMLElement | null} */ ((row.nextElementSibling ?? row.previousElementSibling)?.querySelector("input") ?? null);
      row.remove();
      this.measure();
      next?.focus();
    });
    this.rows.append(row);
    return row;
  }

  /**
   * What the form says, or what is wrong with it.
   * @returns {Record<string, MetadataValue> | string}
   */
  value() {
    /** @type {Record<string, MetadataValue>} */
    const found = Object.create(null); // names such as __proto__ are names
    for (const row of this.rows.children) {
      const part = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (row.querySelector(`[name=${name}]`)).value;
      const name = part("name").trim();
      const text = part("value");
      if (!name && !text.trim()) continue;
      if (!name) return `Give “${text.trim().slice(0, 40)}” a name.`;
      if (Object.hasOwn(found, name)) return `“${name}” is there twice.`;
      if (BUILT_IN.has(name)) return `“${name}” is a field of every document; choose another name.`;
      const value = read(/** @type {Kind} */ (part("kind")), text);
      if (value === null) return `“${text.trim().slice(0, 40)}” of “${name}” is not a ${part("kind") === "number" ? "number" : "yes or no"}.`;
      found[name] = value;
    }
    if (Object.keys(found).length > MOST_NAMES) return `There are ${Object.keys(found).length} names; at most ${MOST_NAMES} are kept.`;
    if (bytesOf(found) > MOST_BYTES) return `It has ${count(bytesOf(found))} bytes; at most ${count(MOST_BYTES)} are kept.`;
    return found;
  }

  measure() {
    const value = this.value();
    const isWrong = typeof value === "string";
    setText(this.size, isWrong ? value : `${Object.keys(value).length} of ${MOST_NAMES} names, ${count(bytesOf(value))} of ${count(MOST_BYTES)} bytes. Nothing is embedded again.`);
    setAttribute(this.size, "data-refused", isWrong);
    this.told.hidden = true;
  }

  async send() {
    const value = this.value();
    if (typeof value === "string" || this.isBusy) return this.measure();
    this.isBusy = true;
    this.meanwhile.hide();
    const mine = this.turns;
    const { filledFrom } = this;
    try {
      const seen = await this.read();
      const isStill = JSON.stringify(seen.metadata) === filledFrom;
      const saved = isStill ? await unlessChanged(this.save(value, seen).then(() => true)) : null;
      const now = isStill && !saved ? await this.read() : seen;
      if (mine !== this.turns) return;
      if (saved) return this.close();
      this.meanwhile.say(now.title || now.uri, () => this.open(now));
      this.meanwhile.button.focus();
    } catch (error) {
      if (mine !== this.turns) return;
      setText(this.told, capital(/** @type {Error} */ (error).message));
      this.told.hidden = false;
    } finally {
      if (mine === this.turns) this.isBusy = false;
    }
  }
}

/**
 * Null for what is not of its kind.
 * @param {Kind} kind
 * @param {string} text
 * @returns {MetadataValue | null}
 */
function read(kind, text) {
  if (kind === "list") return text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (kind === "text") return text;
  const word = text.trim().toLowerCase();
  if (kind === "number") return word !== "" && Number.isFinite(Number(word)) ? Number(word) : null;
  return ["yes", "true"].includes(word) ? true : ["no", "false"].includes(word) ? false : null;
}

/** @param {Record<string, MetadataValue>} value */
const bytesOf = (value) => new TextEncoder().encode(JSON.stringify(value)).length;
