/**
 * Search in one knowledge base: passages with what was asked for marked in them, those of one document together.
 *
 * @import {SearchHit, SearchResults} from "./phaseflow.d.ts"
 * @import {Place} from "./place.js"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { el, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { addressOf, placeIn } from "./place.js";
import { SearchFilters } from "./search-filters.js";
import { partOf, shown, wordsOf } from "./snippet.js";
import { capital, count, counted } from "./words.js";

const MOST = 20;
/** From which score on a passage is called so; below all it is loosely related. @type {[number, string][]} */
const CLOSE = [[0.5, "very close"], [0.25, "close"]];
const LOOSE = "loosely related";

/** @param {number} score */
export const scoreWords = (score) => CLOSE.find(([least]) => score >= least)?.[1] ?? LOOSE;

export class SearchPanel {
  /**
   * @param {Store} store
   * @param {string} kbId
   */
  constructor(store, kbId) {
    this.store = store;
    this.kbId = kbId;
    this.asked = 0;
    this.shown = "";
    /** What was asked for last, for an address. @type {Record<string, string>} */
    this.last = {};
    this.filters = new SearchFilters(store, kbId, () => this.submit());
    this.input = el("input", {
      type: "search", name: "q", maxlength: "2000", autocomplete: "off", "aria-label": `Search in ${kbId}`,
      placeholder: "Ask in your own words",
    });
    this.told = el("p", { class: "told", role: "status" });
    this.degraded = el("p", { class: "degraded", hidden: true });
    this.hits = el("ol", { class: "hits" });
    const form = el("form", { class: "ask", role: "search" }, icon("search"), this.input,
      el("button", { type: "submit", class: "primary", text: "Search" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.node = el("div", { class: "card search" }, form, this.filters.node, this.told, this.degraded, this.hits);
  }

  focus() {
    this.input.focus({ preventScroll: true });
  }

  /** The query goes through the address, so that it can be sent to others and the way back leads to it. */
  submit() {
    const query = this.input.value.trim();
    if (!query) return;
    const address = addressOf(this.kbId, ["search"], { q: query, ...this.filters.query() });
    location.hash = address; // the page hears of it later, and what has been typed by then stays
    this.shown = placeIn(address).query.toString();
    void this.ask(query);
  }

  /** @param {Place} place */
  open(place) {
    const query = place.query.get("q") ?? "";
    this.filters.show();
    if (!query || place.query.toString() === this.shown) return;
    this.input.value = query;
    this.filters.take(place.query);
    this.shown = place.query.toString();
    void this.ask(query);
  }

  /** @param {string} query */
  async ask(query) {
    this.last = { q: query, ...this.filters.query() };
    const mine = (this.asked += 1);
    setText(this.told, "Searching…");
    setAttribute(this.hits, "aria-busy", "true");
    try {
      const found = await api.search(this.kbId, query, MOST, this.store.base, this.filters.value());
      if (mine === this.asked) this.show(found, query);
    } catch (error) {
      if (mine !== this.asked) return;
      this.store.failed(error);
      this.hits.replaceChildren();
      this.degraded.hidden = true;
      setText(this.told, capital(/** @type {Error} */ (error).message));
    } finally {
      if (mine === this.asked) setAttribute(this.hits, "aria-busy", null);
    }
  }

  /**
   * @param {SearchResults} found
   * @param {string} query
   */
  show({ hits, degraded }, query) {
    const words = wordsOf(query);
    /** @type {Map<string, SearchHit[]>} */
    const together = new Map();
    for (const hit of hits) together.set(hit.document_id, [...(together.get(hit.document_id) ?? []), hit]);
    setText(this.told, this.words(hits, together.size));
    setText(this.degraded, degraded ? capital(degraded) : "");
    this.degraded.hidden = !degraded;
    this.hits.replaceChildren(...[...together.values()].map((those) => this.document(those, words)));
  }

  /**
   * @param {SearchHit[]} hits
   * @param {number} documents
   */
  words(hits, documents) {
    if (hits.length === 0) return this.filters.value().filter ? "Nothing found in these documents." : "Nothing found. Has the run got as far as indexing?";
    const told = `${counted(hits.length, "passage")} in ${counted(documents, "document")}, best first`;
    return scoreWords(hits[0].score) === LOOSE ? `${told}. None is close to what you asked.` : told;
  }

  /**
   * @param {SearchHit[]} hits of one document
   * @param {RegExp | null} words
   */
  document(hits, words) {
    const [{ document_id: id, title, uri }] = hits;
    const name = el("a", { href: addressOf(this.kbId, ["documents", id]) }, el("bdi", { text: title || uri }));
    return el("li", { class: "found" }, el("h3", {}, name),
      ...(title && title !== uri ? [el("p", { class: "place" }, el("bdi", { class: "uri", text: uri }))] : []),
      el("ol", {}, ...hits.map((hit) => this.hit(hit, words))));
  }

  /**
   * @param {SearchHit} hit
   * @param {RegExp | null} words
   */
  hit(hit, words) {
    const address = addressOf(this.kbId, ["documents", hit.document_id, `${hit.start}-${hit.end}`]);
    const [from, to] = partOf(hit.text, words);
    const isPart = from > 0 || to < hit.text.length;
    const passage = el("div", { class: "markdown passage", dir: "auto" });
    const draw = (/** @type {boolean} */ isWhole) => {
      const text = isWhole ? hit.text : `${from > 0 ? "… " : ""}${hit.text.slice(from, to).trim()}${to < hit.text.length ? " …" : ""}`;
      passage.replaceChildren(shown(text.trim(), words));
    };
    draw(false);
    passage.addEventListener("click", () => {
      if (getSelection()?.isCollapsed !== false) location.hash = address;
    });
    const more = el("button", { type: "button", class: "quiet unfold", "aria-expanded": "false", text: "Show all of it" });
    more.addEventListener("click", () => {
      const isOpen = more.getAttribute("aria-expanded") !== "true";
      more.setAttribute("aria-expanded", String(isOpen));
      setText(more, isOpen ? "Show less" : "Show all of it");
      draw(isOpen);
    });
    const also = hit.also_in ?? [];
    return el("li", { class: "hit" }, passage, el("p", { class: "place" },
      el("span", { class: "score", title: `Score ${hit.score.toFixed(3)}`, text: capital(scoreWords(hit.score)) }),
      el("a", { href: address, text: `characters ${count(hit.start)} to ${count(hit.end)}` }),
      ...(also.length ? [el("span", { title: also.map(({ uri }) => uri).join("\n"), text: `and in ${counted(also.length, "other place")}` })] : []),
      ...(isPart ? [more] : [])));
  }
}
