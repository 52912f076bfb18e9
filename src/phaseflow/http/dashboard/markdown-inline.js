/**
 * Markdown within a block: code, links, emphasis.
 *
 * @import {Line, Writer} from "./markdown.js"
 */

import { el } from "./dom.js";

const DEEP = 6;
/** How far the end of an emphasis or a link is looked for. */
const FAR = 1000;
const WEB = /^(?:https?:\/\/|mailto:)/i;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}]/u;

/** The text of one block, whose lines need not follow each other in the source. */
export class Inline {
  /**
   * @param {Writer} writer
   * @param {Line[]} lines
   */
  constructor(writer, lines) {
    this.writer = writer;
    this.lines = lines;
    this.raw = lines.map(({ text }) => text).join("\n");
    let from = 0;
    this.starts = lines.map(({ text }) => (from += text.length + 1) - text.length - 1);
    this.line = 0;
  }

  /**
   * Put a range as text: a node a line.
   * @param {Node} place
   * @param {number} from
   * @param {number} to
   */
  flush(place, from, to) {
    while (from < to) {
      while (this.line + 1 < this.starts.length && this.starts[this.line + 1] <= from) this.line += 1;
      const end = Math.min(to, this.starts[this.line + 1] ?? Infinity);
      this.writer.put(place, this.raw.slice(from, end), this.lines[this.line].at + from - this.starts[this.line]);
      from = end;
    }
  }

  /**
   * @param {Node} place
   * @param {number} from
   * @param {number} to
   * @param {number} depth
   */
  write(place, from, to, depth) {
    const end = Math.min(to, this.raw.length);
    let plain = from;
    for (let at = from; at < end; ) {
      const found = depth < DEEP ? this.special(at, end) : null;
      if (found === null) {
        at += 1;
        continue;
      }
      this.flush(place, plain, at);
      const node = found.node === null ? place : place.appendChild(found.node);
      if (found.isVerbatim) this.flush(node, found.from, found.to);
      else this.write(node, found.from, found.to, depth + 1);
      at = plain = found.end;
    }
    this.flush(place, plain, end);
  }

  /**
   * What begins at a place, if it is more than text.
   * @param {number} at
   * @param {number} end
   * @returns {{node: HTMLElement | null, from: number, to: number, end: number, isVerbatim?: boolean} | null}
   */
  special(at, end) {
    const { raw } = this;
    const sign = raw[at];
    if (sign === "\\" && PUNCTUATION.test(raw[at + 1] ?? "")) return { node: null, from: at + 1, to: at + 2, end: at + 2, isVerbatim: true };
    if (sign === "`") return this.codeAt(at, end);
    if (sign === "[" || (sign === "!" && raw[at + 1] === "[")) return this.linkAt(at, end);
    if (sign === "*" || sign === "_" || (sign === "~" && raw[at + 1] === "~")) return this.emphasisAt(at, end);
    return null;
  }

  /**
   * @param {string} mark
   * @param {number} from
   * @param {number} end
   */
  find(mark, from, end) {
    const found = this.raw.slice(from, Math.min(end, from + FAR)).indexOf(mark);
    return found < 0 ? null : from + found;
  }

  /**
   * @param {number} at
   * @param {number} end
   */
  codeAt(at, end) {
    let from = at;
    while (this.raw[from] === "`" && from - at < 8) from += 1;
    const to = this.find(this.raw.slice(at, from), from, end);
    return to === null ? null : { node: el("code"), from, to, end: to + from - at, isVerbatim: true };
  }

  /**
   * @param {number} at
   * @param {number} end
   */
  linkAt(at, end) {
    const isPicture = this.raw[at] === "!";
    const from = at + (isPicture ? 2 : 1);
    const to = this.find("](", from, end);
    const close = to === null ? null : this.closing(to + 2, end);
    if (to === null || close === null) return null;
    const target = this.raw.slice(to + 2, close).trim().split(/\s/, 1)[0].replace(/^<|>$/g, "");
    const isLink = !isPicture && !this.writer.isLight && WEB.test(target);
    const node = isLink ? el("a", { href: target, target: "_blank", rel: "noopener noreferrer" }) : el("span", { class: isPicture ? "picture" : "reference" });
    return { node, from, to, end: close + 1, isVerbatim: isPicture };
  }

  /**
   * Where the parenthesis before a place is closed.
   * @param {number} from
   * @param {number} end
   */
  closing(from, end) {
    let open = 1;
    for (let at = from; at < Math.min(end, from + FAR); at += 1) {
      open += this.raw[at] === "(" ? 1 : this.raw[at] === ")" ? -1 : 0;
      if (open === 0) return at;
    }
    return null;
  }

  /**
   * @param {number} at
   * @param {number} end
   */
  emphasisAt(at, end) {
    const { raw } = this;
    const isDouble = raw[at + 1] === raw[at];
    const mark = isDouble ? raw[at].repeat(2) : raw[at];
    const from = at + mark.length;
    if (/\s/.test(raw[from] ?? " ") || (raw[at] === "_" && WORD.test(raw[at - 1] ?? " "))) return null;
    const to = this.find(mark, from + 1, end);
    if (to === null || /\s/.test(raw[to - 1]) || (raw[at] === "_" && WORD.test(raw[to + mark.length] ?? " "))) return null;
    return { node: el(raw[at] === "~" ? "s" : isDouble ? "strong" : "em"), from, to, end: to + mark.length };
  }
}
