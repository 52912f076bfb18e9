/** A part of a passage round what was asked for, with it marked. */

import { el } from "./dom.js";
import { folded, placesOf } from "./folding.js";
import { rendered } from "./markdown.js";

/** Characters of a part; a passage that is hardly longer is shown whole. */
const PART = 340;
const HARDLY = 420;
/** How much of what is before the first match is shown. */
const LEAD = 70;
/** Words shorter than this are in every passage, but for those of scripts that write without spaces. */
const WORTH_A_MARK = 3;
const SCRIPTS = "[\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}]";
const NO_SPACES = new RegExp(SCRIPTS, "u");
/** A letter or digit of a word that ends at a space. */
const LETTER = `(?!${SCRIPTS})[\\p{L}\\p{N}]`;
const TOO_COMMON = new Set(
  ("the and for are was were you your his her its our they them this that these those there here with from into not but how " +
    "what when where which who why can could does did has have had will would should may about any all").split(" "));

/** @param {string} word */
const isWorthAMark = (word) => NO_SPACES.test(word) || ([...word].length >= WORTH_A_MARK && !TOO_COMMON.has(word.toLowerCase()));

/**
 * The words of a query as one expression that finds them at the beginning of words. What is written without a space, as
 * `1.2.3-rc1`, is one thing.
 * @param {string} query
 */
export function wordsOf(query) {
  const things = folded(query).text.match(/[\p{L}\p{N}](?:[^\s"“”]*[\p{L}\p{N}])?/gu) ?? [];
  const words = things.flatMap((thing) => [thing, ...(thing.match(/[\p{L}\p{N}]+/gu) ?? [])]).filter(isWorthAMark);
  const each = [...new Set(words)].sort((one, other) => other.length - one.length).map((word) =>
    NO_SPACES.test(word) ? escaped(word) : `(?<!${LETTER})${escaped(stem(word))}(?:${LETTER})*`);
  return each.length ? new RegExp(each.join("|"), "giu") : null;
}

/** Without the commonest endings, so that `pause` marks `pausing`, too. @param {string} word */
const stem = (word) => (/^\p{L}{5,}$/u.test(word) ? word.replace(/(?:ing|es|ed|e|s)$/i, "") : word);

/** @param {string} word */
const escaped = (word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

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
  for (const found of placesOf(text, words)) {
    parts.push(text.slice(end, found.from), el("mark", { text: text.slice(found.from, found.to) }));
    end = found.to;
  }
  return [...parts, text.slice(end)];
}

/**
 * Where the part begins and ends that holds most of the words.
 * @param {string} text
 * @param {RegExp | null} words
 * @returns {[number, number]}
 */
export function partOf(text, words) {
  if (text.length <= HARDLY) return [0, text.length];
  const found = words === null ? [] : placesOf(text, words).map(({ from, word }) => ({ at: from, word }));
  let [best, most] = [0, 0];
  found.forEach((one, number) => {
    const within = new Set();
    for (let next = number; next < found.length && found[next].at < one.at + PART - LEAD; next += 1) within.add(found[next].word);
    if (within.size > most) [best, most] = [one.at, within.size];
  });
  const from = best <= LEAD ? 0 : beginning(text, best);
  const end = Math.min(text.length, from + PART);
  const space = text.slice(end).search(/\s/);
  return [from, space < 0 || space > 40 ? end : end + space];
}

/**
 * The beginning of the line, or else of a word, a little before a place.
 * @param {string} text
 * @param {number} at
 */
function beginning(text, at) {
  const lead = text.slice(at - LEAD, at);
  const line = lead.lastIndexOf("\n");
  if (line >= 0) return at - LEAD + line + 1;
  const space = lead.search(/\s/);
  return space < 0 ? at : at - LEAD + space + 1;
}

/**
 * What a cut has left of a table is cells without one, and of bold text its one end.
 * @param {string} text
 */
function whole(text) {
  const isTable = /^ *\|.*\|\s*\n *\|[\s:|-]*-/m.test(text) || !/^(?:… )?[ \t]*\|/m.test(text);
  const plain = isTable ? text : text.replace(/^[ \t]*\|[\s:|-]*-[\s:|-]*\|?[ \t]*$/gm, "").replace(/(?<=^(?:… )?) *\| *| *\| *(?=…|$)/gm, "").replace(/(?<=\S) *\|+ *(?=\S)/g, " · ");
  const stars = plain.match(/\*\*/g)?.length ?? 0;
  return stars % 2 === 1 ? plain.replace(/\*\*(?!.*\*\*)/s, "") : plain;
}

/**
 * @param {string} text
 * @param {RegExp | null} words
 */
export function shown(text, words) {
  text = whole(text);
  const { nodes, pieces } = rendered(text, { isLight: true });
  if (words !== null) for (const { node } of pieces) node.replaceWith(...marked(node.data, words));
  return nodes;
}
