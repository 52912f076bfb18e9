/**
 * Markdown as nodes. Nothing of a text becomes markup: every character is set as text, links go to the web only, pictures
 * are their descriptions. The time follows from the length of the text, whatever it holds.
 *
 * @typedef {object} Piece a text node, and the range of the source that it shows
 * @property {Text} node
 * @property {number} start
 * @property {number} end
 *
 * @typedef {object} Line of the source, without the marks of the quotes and lists around it
 * @property {string} text
 * @property {number} at where it stands in the source
 */

import { el } from "./dom.js";
import { Inline } from "./markdown-inline.js";

const DEEP = 6;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+|$)/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,12})([-*+]|\d{1,9}[.)])([ \t]+|$)/;
const TABLE_RULE = /^[ \t]*(?:\|[ \t]*)?:?-[-:| \t]*$/;

/**
 * @param {string} text
 * @param {{isLight?: boolean, isPlain?: boolean}} [options] light: links are their words alone, headings are no headings
 *   of the page
 * @returns {{nodes: DocumentFragment, pieces: Piece[]}} `pieces` in the order of the source
 */
export function rendered(text, { isLight = false, isPlain = false } = {}) {
  const nodes = document.createDocumentFragment();
  const writer = new Writer(isLight);
  if (isPlain) {
    const place = el("pre", { class: "plain" });
    writer.put(place, text, 0);
    nodes.append(place);
  } else {
    writer.blocks(linesOf(text), nodes, 0);
  }
  return { nodes, pieces: writer.pieces };
}

/**
 * @param {string} text
 * @returns {Line[]}
 */
function linesOf(text) {
  let at = 0;
  return text.split("\n").map((line) => {
    const one = { text: line, at };
    at += line.length + 1;
    return one;
  });
}

/**
 * @param {Line} line
 * @param {number} length
 */
const without = (line, length) => ({ text: line.text.slice(length), at: line.at + length });

export class Writer {
  /** @param {boolean} isLight */
  constructor(isLight) {
    this.isLight = isLight;
    /** @type {Piece[]} */
    this.pieces = [];
  }

  /**
   * @param {Node} place
   * @param {string} text
   * @param {number} at
   */
  put(place, text, at) {
    if (text === "") return;
    const node = document.createTextNode(text);
    this.pieces.push({ node, start: at, end: at + text.length });
    place.appendChild(node);
  }

  /**
   * @param {Line[]} lines
   * @param {ParentNode} place
   * @param {number} depth
   */
  blocks(lines, place, depth) {
    for (let at = this.frontMatter(lines, place, depth); at < lines.length; ) {
      const { text } = lines[at];
      if (text.trim() === "") at += 1;
      else if (FENCE.test(text)) at = this.code(lines, at, place);
      else if (HEADING.test(text)) at = this.heading(lines[at], at, place);
      else if (RULE.test(text)) at = this.rule(at, place);
      else if (QUOTE.test(text) && depth < DEEP) at = this.quote(lines, at, place, depth);
      else if (ITEM.test(text) && depth < DEEP) at = this.list(lines, at, place, depth);
      else if (isTable(lines, at)) at = this.table(lines, at, place);
      else at = this.paragraph(lines, at, place);
    }
  }

  /**
   * @param {Line[]} lines
   * @param {ParentNode} place
   * @param {number} depth
   */
  frontMatter(lines, place, depth) {
    if (depth > 0 || lines[0]?.at !== 0 || lines[0].text.trim() !== "---") return 0;
    const end = lines.slice(1, 200).findIndex(({ text }) => text.trim() === "---") + 1;
    if (end < 1) return 0;
    this.verbatim(lines.slice(1, end), place);
    return end + 1;
  }

  /**
   * @param {number} at
   * @param {ParentNode} place
   */
  rule(at, place) {
    place.append(el("hr"));
    return at + 1;
  }

  /**
   * @param {Line[]} lines
   * @param {ParentNode} place
   */
  verbatim(lines, place) {
    const code = el("code");
    for (const { text, at } of lines) this.put(code, `${text}\n`, at);
    place.append(el("pre", { tabindex: "0" }, code));
  }

  /**
   * @param {Line[]} lines
   * @param {number} from
   * @param {ParentNode} place
   */
  code(lines, from, place) {
    const fence = FENCE.exec(lines[from].text)?.[1] ?? "```";
    let end = from + 1;
    while (end < lines.length && !isFenceEnd(lines[end].text, fence)) end += 1;
    this.verbatim(lines.slice(from + 1, end), place);
    return end + 1;
  }

  /**
   * @param {Line} line
   * @param {number} at
   * @param {ParentNode} place
   */
  heading(line, at, place) {
    const [marks, { length }] = HEADING.exec(line.text) ?? ["", ""];
    const node = el(this.isLight ? "p" : "h4", { class: `level-${length}` });
    this.inline([without(line, marks.length)], node);
    place.append(node);
    return at + 1;
  }

  /**
   * @param {Line[]} lines
   * @param {number} from
   * @param {ParentNode} place
   * @param {number} depth
   */
  quote(lines, from, place, depth) {
    let end = from;
    const inner = [];
    for (; end < lines.length && QUOTE.test(lines[end].text); end += 1) {
      inner.push(without(lines[end], QUOTE.exec(lines[end].text)?.[0].length ?? 0));
    }
    const node = el("blockquote");
    this.blocks(inner, node, depth + 1);
    place.append(node);
    return end;
  }

  /**
   * @param {Line[]} lines
   * @param {number} from
   * @param {ParentNode} place
   * @param {number} depth
   */
  list(lines, from, place, depth) {
    const isNumbered = /\d/.test(ITEM.exec(lines[from].text)?.[2] ?? "");
    const indent = ITEM.exec(lines[from].text)?.[1].length ?? 0;
    const node = el(isNumbered ? "ol" : "ul");
    let at = from;
    while (at < lines.length) {
      const mark = ITEM.exec(lines[at].text);
      if (!mark || mark[1].length > indent + 3 || /\d/.test(mark[2]) !== isNumbered || RULE.test(lines[at].text)) break;
      const width = Math.min(mark[0].length, mark[1].length + mark[2].length + 4);
      const inner = [without(lines[at], mark[0].length)];
      for (at += 1; at < lines.length; at += 1) {
        const { text } = lines[at];
        const indented = text.length - text.trimStart().length;
        const isMine = indented >= width || (text.trim() === "" ? isIndented(lines[at + 1], width) : isLazy(lines, at));
        if (!isMine) break;
        inner.push(without(lines[at], Math.min(indented, width)));
      }
      const item = el("li");
      this.blocks(inner, item, depth + 1);
      node.append(item);
      while (at + 1 < lines.length && lines[at].text.trim() === "" && ITEM.test(lines[at + 1].text)) at += 1;
    }
    place.append(node);
    return Math.max(at, from + 1);
  }

  /**
   * @param {Line[]} lines
   * @param {number} from
   * @param {ParentNode} place
   */
  table(lines, from, place) {
    let end = from + 2;
    while (end < lines.length && lines[end].text.includes("|")) end += 1;
    const row = (/** @type {Line} */ line, /** @type {"th" | "td"} */ tag) => {
      const node = el("tr");
      for (const cell of cellsOf(line)) this.inline([cell], node.appendChild(el(tag)));
      return node;
    };
    const body = lines.slice(from + 2, end).map((line) => row(line, "td"));
    place.append(el("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "Table" },
      el("table", {}, el("thead", {}, row(lines[from], "th")), el("tbody", {}, ...body))));
    return end;
  }

  /**
   * @param {Line[]} lines
   * @param {number} from
   * @param {ParentNode} place
   */
  paragraph(lines, from, place) {
    let end = from + 1;
    while (end < lines.length && isLazy(lines, end)) end += 1;
    const node = el("p");
    this.inline(lines.slice(from, end), node);
    place.append(node);
    return end;
  }

  /**
   * @param {Line[]} lines
   * @param {Node} place
   */
  inline(lines, place) {
    new Inline(this, lines).write(place, 0, Infinity, 0);
  }
}

/**
 * @param {string} text
 * @param {string} fence
 */
const isFenceEnd = (text, fence) => text.trim().startsWith(fence) && text.trim().split(fence[0]).join("") === "";

/**
 * @param {Line[]} lines
 * @param {number} at
 */
const isTable = (lines, at) => lines[at].text.includes("|") && at + 1 < lines.length && lines[at + 1].text.includes("|") && TABLE_RULE.test(lines[at + 1].text);

/**
 * @param {Line | undefined} line
 * @param {number} width
 */
const isIndented = (line, width) => line !== undefined && line.text.trim() !== "" && line.text.length - line.text.trimStart().length >= width;

/**
 * The line goes on with the paragraph before it.
 * @param {Line[]} lines
 * @param {number} at
 */
function isLazy(lines, at) {
  const { text } = lines[at];
  return text.trim() !== "" && ![FENCE, HEADING, RULE, QUOTE, ITEM].some((begin) => begin.test(text)) && !isTable(lines, at);
}

/**
 * @param {Line} line
 * @returns {Line[]}
 */
function cellsOf(line) {
  const cells = [];
  let from = 0;
  for (let at = 0; at <= line.text.length; at += 1) {
    if (at < line.text.length && (line.text[at] !== "|" || line.text[at - 1] === "\\")) continue;
    const text = line.text.slice(from, at);
    const isEdge = text.trim() === "" && (from === 0 || at === line.text.length);
    const lead = text.length - text.trimStart().length;
    if (!isEdge) cells.push({ text: text.trim(), at: line.at + from + lead });
    from = at + 1;
  }
  return cells;
}
