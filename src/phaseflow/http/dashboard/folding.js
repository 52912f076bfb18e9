/** Latin letters without their accents and all letters in one case, as search compares them: `istanbul` finds `İstanbul`. */

const FOLDED = /\p{Script=Latin}/u;
const ACCENT = /[\u0300-\u036f]/g;

/**
 * The text folded, and for each of its code units where its letter begins in the text; one more for the end.
 * @param {string} text
 * @returns {{text: string, at: number[] | null}} `at` is null when all places are the same
 */
export function folded(text) {
  if (/^[\x00-\x7f]*$/.test(text)) return { text: text.toLowerCase(), at: null };
  /** @type {number[]} */
  const at = [];
  let [made, place] = ["", 0];
  for (const letter of text) {
    const bare = FOLDED.test(letter) ? letter.normalize("NFKD") : letter;
    const plain = bare.replace(ACCENT, "").toLowerCase().replace(ACCENT, "");
    for (let unit = 0; unit < plain.length; unit += 1) at.push(place);
    made += plain;
    place += letter.length;
  }
  at.push(text.length);
  return { text: made, at };
}

/**
 * Where words that were folded are in a text that was not, in order.
 * @param {string} text
 * @param {RegExp} words
 * @returns {{from: number, to: number, word: string}[]}
 */
export function placesOf(text, words) {
  const { text: plain, at } = folded(text);
  return [...plain.matchAll(words)].map(({ index, 0: word }) => {
    const end = index + word.length;
    return at === null ? { from: index, to: end, word } : { from: at[index], to: at[end], word };
  });
}
