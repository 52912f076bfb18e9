/**
 * Addresses within the page: `#/kb/NAME/TAB/…?…`, and `#/service`.
 *
 * @typedef {object} Place
 * @property {boolean} isKnown there is such a page
 * @property {string} view `kb`, `service`, or empty for the list
 * @property {string | null} kbId
 * @property {string} tab empty when the address names none
 * @property {string[]} rest what follows the tab
 * @property {URLSearchParams} query
 */

/** How many names may follow a tab. `failures` is where the documents that failed were. @type {Map<string, number>} */
const TABS = new Map([["", 0], ["search", 0], ["documents", 2], ["run", 0], ["runs", 0], ["failures", 0]]);

/**
 * @param {string} hash
 * @returns {Place}
 */
export function placeIn(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?", 2);
  const [root, view = "", ...names] = path.replace(/\/$/, "").split("/").map(decoded);
  const [kbId, tab = "", ...rest] = view === "kb" ? names : [];
  const isKnown = root === "" && (view === "kb" ? Boolean(kbId) && rest.length <= (TABS.get(tab) ?? -1) : ["", "service"].includes(view) && names.length === 0);
  return { isKnown, view, kbId: kbId || null, tab, rest, query: new URLSearchParams(query) };
}

/**
 * @param {string} kbId
 * @param {string[]} names the tab and what follows it
 * @param {Record<string, string>} [query] values that are empty are left out
 */
export function addressOf(kbId, names = [], query = {}) {
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  return `#/${["kb", kbId, ...names].map(encodeURIComponent).join("/")}${given && `?${given}`}`;
}

/** What follows the tab, as one text that can be compared. @param {Place} place */
export const addressText = ({ rest, query }) => JSON.stringify([rest, query.toString()]);

/** @param {string} name */
function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
