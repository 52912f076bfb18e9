/**
 * Addresses within the page: `#/kb/NAME/TAB/…?…`, and `#/service`.
 *
 * @typedef {object} Place
 * @property {string} view `kb`, `service`, or empty for the list
 * @property {string | null} kbId
 * @property {string} tab empty when the address names none
 * @property {string[]} rest what follows the tab
 * @property {URLSearchParams} query
 */

/**
 * @param {string} hash
 * @returns {Place}
 */
export function placeIn(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?", 2);
  const [, view = "", ...names] = path.split("/").map(decoded);
  const [kbId, tab = "", ...rest] = view === "kb" ? names : [];
  return { view, kbId: kbId || null, tab, rest, query: new URLSearchParams(query) };
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

/** @param {string} name */
function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
