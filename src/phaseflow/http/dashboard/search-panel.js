/**
 * Search in one knowledge base: passages with what was asked for marked in them.
 *
 * @import {SearchHit, SearchResults} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { el, setText } from "./dom.js";
import { icon } from "./icons.js";
import { capital, count, counted } from "./words.js";

/** Words shorter than this are in every passage. */
const WORTH_A_MARK = 3;
const TOO_COMMON = new Set(
  ("the and for are was were you your his her its our they them this that these those there here with from into not but how " +
    "what when where which who why can could does did has have had will would should may about any all").split(" "));

/** @param {string} word */
const isWorthAMark = (word) => [...word].length >= WORTH_A_MARK && !TOO_COMMON.has(word.toLowerCase());

/**
 * The words of a query as one expression that finds them at the beginning of words.
 * @param {string} query
 */
export function wordsOf(query) {
  const words = query.match(/[\p{L}\p{N}]+/gu)?.filter(isWorthAMark) ?? [];
  return words.length ? new RegExp(`(?<![\\p{L}\\p{N}])(?:${words.join("|")})[\\p{L}\\p{N}]*`, "giu") : null;
}

/**
 * The text with the words of the query in `<mark>`.
 * @param {string} text
 * @param {RegExp | null} words
 * @returns {(Node | string)[]}
 */
export function marked(text, words) {
  if (words === null) return [text];
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(words)) {
    parts.push(text.slice(end, found.index), el("mark", { text: found[0] }));
    end = found.index + found[0].length;
  }
  return [...parts, text.slice(end)];
}

export class SearchPanel {
  /**
   * @param {Store} store
   * @param {string} kbId
   */
  constructor(store, kbId) {
    this.store = store;
    this.kbId = kbId;
    this.asked = 0;
    this.input = el("input", {
      type: "search", name: "q", maxlength: "2000", autocomplete: "off", "aria-label": `Search in ${kbId}`,
      placeholder: "Ask in your own words",
    });
    this.told = el("p", { class: "told", role: "status" });
    this.hits = el("ol", { class: "hits" });
    const form = el("form", { class: "ask", role: "search" }, icon("search"), this.input,
      el("button", { type: "submit", class: "primary", text: "Search" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.ask();
    });
    this.node = el("div", { class: "card search" }, form, this.told, this.hits);
  }

  open() {
    this.input.focus({ preventScroll: true });
  }

  async ask() {
    const query = this.input.value.trim();
    if (!query) return;
    const mine = (this.asked += 1);
    setText(this.told, "Searching…");
    try {
      const found = await api.search(this.kbId, query, 20, this.store.base);
      if (mine === this.asked) this.show(found, query);
    } catch (error) {
      this.store.failed(error);
      this.hits.replaceChildren();
      setText(this.told, capital(/** @type {Error} */ (error).message));
    }
  }

  /**
   * @param {SearchResults} found
   * @param {string} query
   */
  show({ hits, degraded }, query) {
    const words = wordsOf(query);
    const told = hits.length ? `${counted(hits.length, "passage")}, best first` : "Nothing found. Has the run got as far as indexing?";
    setText(this.told, degraded ? `${told}. ${capital(degraded)}` : told);
    this.hits.replaceChildren(...hits.map((hit) => this.hit(hit, words)));
  }

  /**
   * @param {SearchHit} hit
   * @param {RegExp | null} words
   */
  hit(hit, words) {
    const passage = el("blockquote", { dir: "auto" }, ...marked(hit.text.trim(), words));
    const more = el("button", { type: "button", class: "quiet unfold", "aria-expanded": "false", text: "Show all of it" });
    more.addEventListener("click", () => {
      const isOpen = passage.classList.toggle("whole");
      more.setAttribute("aria-expanded", String(isOpen));
      setText(more, isOpen ? "Show less" : "Show all of it");
    });
    const place = `characters ${count(hit.start)}–${count(hit.end)}`;
    return el("li", { class: "hit" },
      el("h3", {}, el("bdi", { text: hit.title || hit.uri })),
      el("p", { class: "place" }, el("bdi", { class: "uri", text: hit.uri }), el("span", { text: place }),
        el("span", { class: "score", title: "Score", text: `score ${hit.score.toFixed(3)}` })),
      passage, ...(hit.text.length > 320 ? [more] : []));
  }
}
