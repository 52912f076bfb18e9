/**
 * What a search is narrowed to: how passages are found, and in which documents.
 *
 * @import {Filter, SearchMode} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import { sourceName } from "./document-words.js";
import { el } from "./dom.js";

/** @type {Record<SearchMode, string>} */
const MODES = { hybrid: "By meaning and words", vectors: "By meaning", words: "By words" };
const PUSH = "push";
/** What every document has, by its kind; `size` is a number. */
const TEXTS = new Set(["uri", "source", "title", "media_type"]);
const TIMES = new Set(["modified_at", "indexed_at"]);
/** As people and programs write them. @type {Map<string, boolean>} */
const BOOLEANS = new Map([["true", true], ["yes", true], ["false", false], ["no", false]]);

export class SearchFilters {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {() => void} changed
   */
  constructor(store, kbId, changed) {
    this.store = store;
    this.kbId = kbId;
    this.mode = el("select", { name: "mode", "aria-label": "How to search" },
      ...Object.entries(MODES).map(([value, text]) => el("option", { value, text })));
    this.source = el("select", { name: "source", "aria-label": "Source", hidden: true });
    this.where = el("input", {
      type: "text", name: "where", maxlength: "500", autocomplete: "off", spellcheck: "false", "aria-label": "Only in documents",
      placeholder: "Only in guide/* or author=Ann",
      title: "Part of a name, a pattern such as guide/*, or metadata such as author=Ann",
    });
    for (const node of [this.mode, this.source]) node.addEventListener("change", changed);
    this.where.addEventListener("change", changed);
    this.node = el("div", { class: "narrow" }, this.mode, this.source, this.where);
    this.show();
  }

  /** The sources that there are; one alone is no choice. */
  show() {
    const chosen = this.source.value;
    const names = Object.keys(this.store.kbs.get(this.kbId)?.sources ?? {});
    const all = names.length > 1 || chosen ? [...new Set([...names, PUSH, chosen])].filter(Boolean) : [];
    this.source.replaceChildren(el("option", { value: "", text: "All sources" }),
      ...all.map((value) => el("option", { value, text: value === PUSH ? "Sent here" : sourceName(value) })));
    this.source.value = chosen;
    this.source.hidden = all.length === 0;
  }

  /** For an address; what is as usual is left out. */
  query() {
    return { mode: this.mode.value === "hybrid" ? "" : this.mode.value, source: this.source.value, where: this.where.value.trim() };
  }

  /**
   * Take what an address says.
   * @param {URLSearchParams} query
   */
  take(query) {
    const mode = query.get("mode") ?? "";
    this.mode.value = mode in MODES ? mode : "hybrid";
    this.where.value = query.get("where") ?? "";
    const source = query.get("source") ?? "";
    if (source && ![...this.source.options].some(({ value }) => value === source)) this.source.append(el("option", { value: source, text: source }));
    this.source.value = source;
    this.show();
  }

  /** For the service. @returns {{mode: SearchMode, filter: Filter | null}} */
  value() {
    return { mode: /** @type {SearchMode} */ (this.mode.value), filter: filterOf(this.source.value, this.where.value) };
  }
}

/**
 * @param {string} source empty for all
 * @param {string} where `author=Ann`, a glob of names, or a part of a name
 * @returns {Filter | null}
 */
export function filterOf(source, where) {
  /** @type {Filter[]} */
  const filters = source ? [{ type: "eq", key: "source", value: source }] : [];
  const text = where.trim();
  const [, key = "", value = ""] = /^([\p{L}\p{N}_.-]+)\s*=\s*(.+)$/u.exec(text) ?? [];
  if (key) filters.push(equal(key, value));
  else if (text) filters.push({ type: "glob", key: "uri", value: /[*?[]/.test(text) ? text : `*${text}*` });
  return filters.length < 2 ? (filters[0] ?? null) : { type: "and", filters };
}

/**
 * A value of metadata that is typed may be a text, a number or a boolean; what every document has is of one kind.
 * @param {string} key
 * @param {string} value
 * @returns {Filter}
 */
function equal(key, value) {
  /** @type {Filter} */
  const asText = { type: "eq", key, value };
  if (TEXTS.has(key)) return asText;
  if (TIMES.has(key)) return within(key, value) ?? asText;
  const meant = BOOLEANS.get(value.toLowerCase()) ?? Number(value);
  if (typeof meant === "number" && !Number.isFinite(meant)) return asText;
  /** @type {Filter} */
  const asMeant = { type: "eq", key, value: meant };
  return key === "size" ? asMeant : { type: "or", filters: [asText, asMeant] };
}

/**
 * A year, a month or a day of the reader's calendar.
 * @param {string} key
 * @param {string} value
 * @returns {Filter | null} null for anything else
 */
function within(key, value) {
  const [, year, month, day] = /^(\d{4})(?:-(\d\d)(?:-(\d\d))?)?$/.exec(value) ?? [];
  if (!year) return null;
  const first = [Number(year), month ? Number(month) - 1 : 0, day ? Number(day) : 1];
  const at = day ? 2 : month ? 1 : 0;
  const moment = (/** @type {number} */ more) => {
    const [y, m, d] = first.map((part, place) => (place === at ? part + more : part));
    return new Date(y, m, d).toISOString();
  };
  return { type: "and", filters: [{ type: "gte", key, value: moment(0) }, { type: "lt", key, value: moment(1) }] };
}
