/**
 * What the list of documents is narrowed to: a status, a part of the name, a source.
 *
 * @import {DocumentFilter, DocumentInfo, DocumentStatus} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { DOCUMENT_STATUSES, allDocuments, documentLook, documentWord, sourceName } from "./document-words.js";
import { el, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { count } from "./words.js";

/** A word that is being typed is asked for when it rests this long. */
const TYPING_MS = 200;
const PUSH = "push";

export class DocumentFilters {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {() => void} changed
   */
  constructor(store, kbId, changed) {
    this.store = store;
    this.kbId = kbId;
    this.changed = changed;
    /** @type {DocumentStatus | ""} */
    this.status = "";
    this.hasSent = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.typing = undefined;
    /** @type {Map<string, HTMLButtonElement>} */
    this.chips = new Map();
    const chips = el("div", { class: "chips", role: "group", "aria-label": "Status" }, ...["", ...DOCUMENT_STATUSES].map((status) => this.chip(status)));
    this.input = el("input", {
      type: "search", name: "q", maxlength: "200", autocomplete: "off", spellcheck: "false",
      "aria-label": `Filter the documents of ${kbId}`, placeholder: "Part of a name",
    });
    this.input.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.changed(), TYPING_MS);
    });
    this.source = el("select", { "aria-label": "Source", hidden: true });
    this.source.addEventListener("change", () => this.changed());
    const form = el("form", { class: "ask", role: "search" }, icon("search"), this.input, this.source);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(this.typing);
      this.changed();
    });
    this.node = el("div", { class: "sieve" }, chips, form);
    this.show();
  }

  /** @param {string} status empty for all */
  chip(status) {
    const word = status ? documentWord(/** @type {DocumentStatus} */ (status)) : "All";
    const look = status ? documentLook(/** @type {DocumentStatus} */ (status)) : "";
    const chip = el("button", { type: "button", "data-status": look, "data-chip": status || "all" },
      ...(look ? [icon(look)] : []), el("span", { text: word }), el("b"));
    chip.addEventListener("click", () => {
      this.status = /** @type {DocumentStatus | ""} */ (status);
      this.show();
      this.changed();
    });
    this.chips.set(status, chip);
    return chip;
  }

  /** Names of the sources that documents are of; none where there is no choice. */
  sources() {
    const named = Object.entries(this.store.kbs.get(this.kbId)?.sources ?? {}).filter(([, { type }]) => type !== "upload").map(([name]) => name);
    const all = this.hasSent ? [...named, PUSH] : named;
    return all.length > 1 ? all : [];
  }

  /** Ask once whether anything was sent here, beside what the sources hold. */
  async learn() {
    const { items } = await api.documents(this.kbId, { source: PUSH }, null, 1, this.store.base).catch(() => ({ items: [] }));
    this.hasSent = items.length > 0;
    this.show();
  }

  /** Do not ask for what was typed last until the list is shown again. */
  rest() {
    clearTimeout(this.typing);
  }

  /** @returns {DocumentFilter} */
  value() {
    return { status: this.status || undefined, q: this.input.value.trim() || undefined, source: this.source.value || undefined };
  }

  /** The same for an address. */
  query() {
    const { status = "", q = "", source = "" } = this.value();
    return { status, q, source };
  }

  /**
   * Take what an address says. True when that is another filter.
   * @param {URLSearchParams} query
   */
  take(query) {
    const before = JSON.stringify(this.value());
    const status = query.get("status") ?? "";
    this.status = this.chips.has(status) ? /** @type {DocumentStatus | ""} */ (status) : "";
    const q = query.get("q") ?? "";
    if (this.input.value.trim() !== q) this.input.value = q;
    this.show();
    const source = query.get("source") ?? "";
    if (source && !this.sources().includes(source)) this.source.append(el("option", { value: source, text: capitalSource(source) }));
    this.source.value = source;
    return JSON.stringify(this.value()) !== before;
  }

  /** @param {DocumentInfo} one */
  fits(one) {
    const { status, q, source } = this.value();
    return (!status || one.status === status) && (!source || one.source === source) && (!q || one.uri.toLowerCase().includes(q.toLowerCase()));
  }

  show() {
    const kb = this.store.kbs.get(this.kbId);
    for (const [status, chip] of this.chips) {
      const value = status ? (kb?.counts[/** @type {DocumentStatus} */ (status)] ?? 0) : allDocuments(kb);
      setText(/** @type {Element} */ (chip.lastElementChild), count(value));
      setAttribute(chip, "aria-pressed", String(status === this.status));
      setAttribute(chip, "data-none", value === 0);
    }
    this.showSources();
  }

  showSources() {
    const chosen = this.source.value;
    const names = [...new Set(["", ...this.sources(), chosen])];
    if (this.source.options.length !== names.length || names.some((name, at) => this.source.options[at].value !== name)) {
      this.source.replaceChildren(...names.map((name) => el("option", { value: name, text: name ? capitalSource(name) : "All sources" })));
      this.source.value = chosen;
    }
    this.source.hidden = names.length < 2;
  }
}

/** @param {string} name */
const capitalSource = (name) => (name === PUSH ? "Sent here" : sourceName(name));
