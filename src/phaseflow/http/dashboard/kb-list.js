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
import { isOver, storeOf } from "./store.js";
import { count, counted, statusWord } from "./words.js";

const SHEETS = await Promise.all([sheet("shared.css"), sheet("kb-list.css")]);
/** In the order in which they are shown. @type {[string, string][]} */
const GROUPS = [["failed", "Failed"], ["open", "Running"], ["paused", "Paused"], ["rest", "Idle"]];
/** Until somebody does something about them, each in the group of its name. */
const STANDS = new Set(["failed", "paused"]);
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
    /** @type {Map<string, HTMLUListElement>} */
    this.lists = new Map(GROUPS.map(([name, title]) => [name, el("ul", { class: "rows", "aria-label": title })]));
    this.groups = GROUPS.map(([name, title]) =>
      el("section", { class: "group", "data-group": name, hidden: true }, el("h2", { text: title }), /** @type {HTMLElement} */ (this.lists.get(name))));
    this.none = el("p", { class: "none", hidden: true });
    this.search = el("div", { class: "filter", hidden: true }, icon("search"), this.filter, this.tally);
    this.root.append(this.search, this.none, ...this.groups);
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
    let hasMoved = false;
    for (const kbId of this.stale) {
      const kb = this.store?.kbs.get(kbId);
      const row = this.rows.get(kbId);
      if (!kb || !row) continue;
      row.show(kb);
      hasMoved ||= row.node.parentElement !== this.listOf(kbId);
    }
    this.stale.clear();
    if (hasMoved) this.arrange();
    if (hasMoved || this.filter.value) this.sift();
  }

  drawList() {
    const kbs = this.store?.kbs ?? new Map();
    for (const [kbId, row] of this.rows) {
      if (kbs.has(kbId)) continue;
      row.node.remove();
      this.rows.delete(kbId);
    }
    for (const kbId of kbs.keys()) this.rowOf(kbId);
    this.arrange();
    for (const kbId of kbs.keys()) this.stale.add(kbId);
    this.drawRows();
    this.search.hidden = kbs.size < WORTH_A_FILTER;
    this.sift();
  }

  /** Each row into its group, by name; what has its place already is not touched, and the focus stays where it was. */
  arrange() {
    const focused = /** @type {HTMLElement | null} */ (this.root.activeElement);
    const places = new Map([...this.lists.values()].map((list) => [list, 0]));
    for (const kbId of [...this.rows.keys()].sort()) {
      const list = this.listOf(kbId);
      const at = places.get(list) ?? 0;
      const node = /** @type {KbRow} */ (this.rows.get(kbId)).node;
      if (list.children[at] !== node) list.insertBefore(node, list.children[at] ?? null);
      places.set(list, at + 1);
    }
    if (focused && this.root.activeElement !== focused) focused.focus({ preventScroll: true });
  }

  /** @param {string} kbId */
  listOf(kbId) {
    const job = this.store?.kbs.get(kbId)?.job;
    const group = job && STANDS.has(job.status) ? job.status : job && !isOver(job) ? "open" : "rest";
    return /** @type {HTMLUListElement} */ (this.lists.get(group));
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
    const full = this.groups.filter((group) => group.querySelector(".row:not([hidden])"));
    for (const group of this.groups) group.hidden = !full.includes(group);
    setAttribute(this, "data-groups", String(full.length));
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
