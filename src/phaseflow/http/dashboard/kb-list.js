/**
 * `<kb-list>`: all knowledge bases of a server, live, each with its controls.
 *
 * Attributes: `base` is the address of the server (default: where this file came from); `selected` names the knowledge
 * base that is marked. Events: `kb-select` (detail: {kb_id}), `phaseflow-refused` (detail: Refusal).
 */

import * as api from "./api.js";
import { el, framed, setAttribute, setText, sheet } from "./dom.js";
import { icon } from "./icons.js";
import { KbRow } from "./kb-row.js";
import { storeOf } from "./store.js";
import { count, counted, statusWord } from "./words.js";

const SHEETS = await Promise.all([sheet("shared.css"), sheet("kb-list.css")]);
/** Fewer than this are seen at a glance. */
const WORTH_A_FILTER = 8;
/** "3 minutes ago" grows old. */
const AGEING_MS = 30_000;

export class KbListElement extends HTMLElement {
  static observedAttributes = ["base", "selected"];

  constructor() {
    super();
    this.root = this.attachShadow({ mode: "open" });
    this.root.adoptedStyleSheets = SHEETS;
    /** @type {Map<string, KbRow>} */
    this.rows = new Map();
    /** @type {Set<string>} */
    this.stale = new Set();
    /** @type {(() => void) | null} */
    this.leave = null;
    this.filter = el("input", {
      type: "search", "aria-label": "Filter by name or status", placeholder: "Filter by name or status", autocomplete: "off", spellcheck: "false",
    });
    this.filter.addEventListener("input", () => this.sift());
    this.tally = el("span", { class: "tally" });
    this.list = el("ul", { class: "rows", "aria-label": "Knowledge bases" });
    this.none = el("p", { class: "none", hidden: true });
    this.search = el("div", { class: "filter", hidden: true }, icon("search"), this.filter, this.tally);
    this.root.append(this.search, this.none, this.list);
    this.drawStale = framed(() => this.drawRows());
  }

  connectedCallback() {
    this.store = storeOf(this.getAttribute("base") ?? api.HERE);
    this.leave = this.store.watch({
      list: () => this.drawList(),
      kb: (kbId) => this.touch(kbId),
      refused: (refusal) => this.emit("phaseflow-refused", refusal),
    });
    this.ageing = setInterval(() => this.age(), AGEING_MS);
    this.drawList();
  }

  disconnectedCallback() {
    clearInterval(this.ageing);
    this.leave?.();
    this.leave = null;
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} now
   */
  attributeChangedCallback(name, before, now) {
    if (name === "selected") {
      this.rows.get(before ?? "")?.select(false);
      this.rows.get(now ?? "")?.select(true);
    } else if (this.leave) {
      this.disconnectedCallback();
      this.connectedCallback();
    }
  }

  get selected() {
    return this.getAttribute("selected");
  }

  set selected(kbId) {
    setAttribute(this, "selected", kbId);
  }

  /**
   * Put the focus on one of the knowledge bases.
   * @param {string} kbId
   */
  focusOn(kbId) {
    this.rows.get(kbId)?.opener.focus();
  }

  /** @param {string} kbId */
  touch(kbId) {
    this.stale.add(kbId);
    this.drawStale();
  }

  age() {
    for (const kbId of this.rows.keys()) this.touch(kbId);
  }

  drawRows() {
    for (const kbId of this.stale) {
      const kb = this.store?.kbs.get(kbId);
      if (kb) this.rows.get(kbId)?.show(kb);
    }
    this.stale.clear();
    if (this.filter.value) this.sift();
  }

  drawList() {
    const kbs = this.store?.kbs ?? new Map();
    for (const [kbId, row] of this.rows) {
      if (kbs.has(kbId)) continue;
      row.node.remove();
      this.rows.delete(kbId);
    }
    const names = [...kbs.keys()].sort();
    names.forEach((kbId, at) => this.place(this.rowOf(kbId).node, at));
    for (const kbId of names) this.stale.add(kbId);
    this.drawRows();
    this.search.hidden = names.length < WORTH_A_FILTER;
    this.sift();
  }

  /**
   * @param {HTMLElement} node
   * @param {number} at
   */
  place(node, at) {
    const there = this.list.children[at] ?? null;
    if (there !== node) this.list.insertBefore(node, there);
  }

  /** @param {string} kbId */
  rowOf(kbId) {
    const known = this.rows.get(kbId);
    if (known) return known;
    const made = new KbRow(/** @type {import("./store.js").Store} */ (this.store), kbId, () => this.emit("kb-select", { kb_id: kbId }));
    made.select(kbId === this.selected);
    this.rows.set(kbId, made);
    return made;
  }

  /** Show the rows that have all the words of the filter in their name or status. */
  sift() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const [kbId, row] of this.rows) {
      const text = `${kbId} ${statusWord(this.store?.kbs.get(kbId)?.job?.status ?? "never")}`.toLowerCase();
      const isShown = words.every((word) => text.includes(word));
      if (row.node.hidden === isShown) row.node.hidden = !isShown;
      shown += isShown ? 1 : 0;
    }
    setText(this.tally, words.length ? `${count(shown)} of ${count(this.rows.size)}` : counted(this.rows.size, "base"));
    this.none.hidden = shown > 0 || this.rows.size === 0;
    setText(this.none, "No knowledge base has these words in its name or status.");
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

customElements.define("kb-list", KbListElement);
