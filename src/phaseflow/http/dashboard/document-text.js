/**
 * The extracted text of a document, rendered, with its passages marked: where each begins, and the one that is chosen.
 *
 * @import {DocumentChunk, DocumentInfo} from "./phaseflow.d.ts"
 * @import {Piece} from "./markdown.js"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { el, setText } from "./dom.js";
import { rendered } from "./markdown.js";
import { addressOf } from "./place.js";
import { capital, count, counted } from "./words.js";

/** Characters that are shown at first, and with each "Show more". */
export const PART = 200_000;
/** What is shown before a place that is far into the text. */
const BEFORE = 2_000;
/** What is extracted as Markdown; the text of all else is shown as it is. */
const RENDERED = /markdown|html|csv|tab-separated|officedocument|ms-excel|opendocument|epub|rtf|ipynb/;
const CHOSEN = "passage-chosen";
const ODD = "passage-odd";

export class DocumentText {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {string} id
   */
  constructor(store, kbId, id) {
    this.store = store;
    this.kbId = kbId;
    this.id = id;
    this.asked = 0;
    this.isPlain = false;
    this.text = "";
    this.isWhole = false;
    /** What is shown of it, in UTF-16 units. */
    this.from = 0;
    this.to = PART;
    /** The passage that the address names, in characters. @type {[number, number] | null} */
    this.chosen = null;
    /** @type {Piece[]} */
    this.pieces = [];
    /** @type {DocumentChunk[]} */
    this.chunks = [];
    this.told = el("p", { class: "told", role: "status", text: "Loading…" });
    this.body = el("div", { class: "markdown", dir: "auto" });
    this.before = this.more("Show what comes before", () => this.widen(-PART));
    this.after = this.more("Show more", () => this.widen(PART));
    this.node = el("section", { class: "card text" }, el("h3", { text: "Text and passages" }), this.told, this.before, this.body, this.after);
  }

  /**
   * @param {string} text
   * @param {() => void} press
   */
  more(text, press) {
    const node = el("button", { type: "button", text, hidden: true });
    node.addEventListener("click", press);
    return node;
  }

  /** @param {number} by */
  widen(by) {
    if (by < 0) this.from = Math.max(0, this.from + by);
    else this.to += by;
    void this.read(false);
  }

  /**
   * Read it, for the first time or since there is a newer version.
   * @param {DocumentInfo} one
   */
  async show(one) {
    this.isPlain = one.media_type !== null && !RENDERED.test(one.media_type);
    this.node.hidden = one.status === "skipped" || (one.chunks === 0 && !one.searchable && one.status !== "processing");
    if (!this.node.hidden) await this.read(true);
  }

  /**
   * Choose the passage at a place, or none.
   * @param {string} range `START-END` in characters
   */
  choose(range) {
    const [start, end] = range.split("-").map(Number);
    this.chosen = range && start >= 0 && end > start ? [start, end] : null;
    if (!this.chosen) return;
    if (!this.text) return void (this.asked > 0 && this.read(true)); // what is on its way may not reach there
    const isShown = unitOf(this.text, start) >= this.from && unitOf(this.text, end) <= Math.min(this.to, this.text.length);
    if (isShown) this.mark();
    else void this.read(true);
  }

  /** @param {boolean} anew false keeps what is shown in view */
  async read(anew) {
    const mine = (this.asked += 1);
    if (anew) {
      // Characters are at most as many as units, so this reaches the chosen place unless most of it is beyond the BMP.
      this.from = this.chosen && this.chosen[1] > PART ? this.chosen[0] - BEFORE : 0;
      this.to = this.from + PART;
    }
    try {
      const read = await api.documentText(this.kbId, this.id, this.to + 1, this.store.base);
      const chunks = await this.readChunks(read.text);
      if (mine !== this.asked) return;
      this.text = read.text;
      this.isWhole = read.isWhole;
      this.chunks = chunks;
    } catch (error) {
      if (mine !== this.asked) return;
      this.store.failed(error);
      const { code, message } = /** @type {api.ApiError} */ (error);
      setText(this.told, code === "no_text" ? "No text has been extracted yet." : capital(message));
      return;
    }
    this.draw();
  }

  /**
   * The passages of what is shown.
   * @param {string} text
   */
  async readChunks(text) {
    const end = unitsBefore(text, this.to);
    const found = [];
    /** @type {string | null} */
    let cursor = null;
    do {
      const page = await api.documentChunks(this.kbId, this.id, cursor, this.store.base);
      found.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null && (found.at(-1)?.start ?? 0) < end);
    return found;
  }

  draw() {
    const end = Math.min(this.to, this.text.length);
    const from = this.from > 0 ? Math.max(0, this.text.lastIndexOf("\n", this.from) + 1) : 0;
    const { nodes, pieces } = rendered(this.text.slice(from, end), { isPlain: this.isPlain });
    for (const piece of pieces) {
      piece.start += from;
      piece.end += from;
    }
    this.from = from;
    this.pieces = pieces;
    this.placeMarks(end);
    this.body.replaceChildren(nodes);
    this.before.hidden = from === 0;
    this.after.hidden = this.isWhole && end >= this.text.length;
    setText(this.told, this.words(end));
    this.mark();
  }

  /** @param {number} end */
  words(end) {
    const isAll = this.from === 0 && this.isWhole && end >= this.text.length;
    if (isAll && this.text === "") return "There is no text in it.";
    const shown = isAll ? counted(this.text.length, "character") : `Characters ${count(this.from)} to ${count(end)}`;
    return `${shown}, cut into ${counted(this.chunks.length, "passage")}${isAll ? "" : " so far"}. A number marks where each begins.`;
  }

  /**
   * Put a number where each passage begins.
   * @param {number} end
   */
  placeMarks(end) {
    let at = 0;
    const place = placesIn(this.text);
    this.chunks.forEach((chunk, number) => {
      const start = place(chunk.start);
      if (start < this.from || start >= end) return;
      while (at + 1 < this.pieces.length && this.pieces[at].end <= start) at += 1;
      const piece = this.pieces[at];
      if (piece === undefined) return;
      const mark = el("a", {
        class: "cut", href: addressOf(this.kbId, ["documents", this.id, `${chunk.start}-${chunk.end}`]),
        title: `Passage ${number + 1}: characters ${count(chunk.start)} to ${count(chunk.end)}`,
        "aria-label": `Passage ${number + 1}`, text: String(number + 1),
      });
      if (start <= piece.start) return void piece.node.before(mark);
      const rest = { node: piece.node.splitText(start - piece.start), start, end: piece.end };
      piece.end = start;
      this.pieces.splice(at + 1, 0, rest);
      rest.node.before(mark);
    });
  }

  /** Colour every other passage and the chosen one; bring that into view. */
  mark() {
    const place = placesIn(this.text);
    const odd = this.chunks.filter((_, number) => number % 2 === 1).map(({ start, end }) => this.rangeOf(place(start), place(end)));
    const chosen = this.chosen && this.rangeOf(place(this.chosen[0]), place(this.chosen[1]));
    // Older browsers have the numbers alone.
    if (globalThis.CSS?.highlights) {
      CSS.highlights.set(ODD, new Highlight(...odd.filter((range) => range !== null)));
      CSS.highlights.set(CHOSEN, new Highlight(...(chosen ? [chosen] : [])));
    }
    chosen?.startContainer.parentElement?.scrollIntoView({ block: "center" });
  }

  /**
   * @param {number} start
   * @param {number} end
   */
  rangeOf(start, end) {
    const first = this.pieces[firstBehind(this.pieces, start)];
    const last = this.pieces[firstBehind(this.pieces, end - 1)] ?? this.pieces.at(-1);
    if (!first || !last || last.start < first.start || first.start >= end) return null;
    const range = new Range();
    range.setStart(first.node, Math.max(0, start - first.start));
    range.setEnd(last.node, Math.max(0, Math.min(end, last.end) - last.start));
    return range;
  }

  close() {
    this.asked += 1;
    globalThis.CSS?.highlights?.delete(ODD);
    globalThis.CSS?.highlights?.delete(CHOSEN);
  }
}

/**
 * The first piece that ends behind a place.
 * @param {Piece[]} pieces in order
 * @param {number} at
 */
function firstBehind(pieces, at) {
  let [low, high] = [0, pieces.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (pieces[middle].end > at) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * From characters, as the server counts them, to the units of a string, for places that grow.
 * @param {string} text
 */
function placesIn(text) {
  const pairs = [...text.matchAll(/[\u{10000}-\u{10ffff}]/gu)].map(({ index }, number) => index - number);
  return (/** @type {number} */ at) => {
    let [low, high] = [0, pairs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pairs[middle] < at) low = middle + 1;
      else high = middle;
    }
    return at + low;
  };
}

/**
 * @param {string} text
 * @param {number} at
 */
const unitOf = (text, at) => placesIn(text)(at);

/**
 * How many characters a number of units is, at least.
 * @param {string} text
 * @param {number} units
 */
const unitsBefore = (text, units) => Math.min(units, text.length);
