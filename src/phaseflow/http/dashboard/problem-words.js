/**
 * A refusal of the server in words of people: the names of the JSON are those of programs.
 *
 * @import {Problem} from "./phaseflow.d.ts"
 */

/** As the page calls them. @type {Map<string, string>} */
const NAMES = new Map([
  ["q", "the question"], ["kb_id", "the name"], ["document_id", "the document"], ["job_id", "the run"],
  ["chunk_size", "the passage length"], ["chunk_overlap", "the overlap"], ["min_score", "the score"], ["base_url", "the address"],
  ["max_pages", "the number of pages"], ["max_depth", "the depth"], ["batch_size", "the number of passages a request"],
]);
const VERB = /^(?:must|is|are|has|have|holds|names|cannot|does) /;
/** Alone, and not a part of a path, an address or something quoted. */
const NAMED = new RegExp(`(?<![\\w./:'"“-])(?:${[...NAMES.keys()].filter((one) => one.includes("_")).join("|")})(?![\\w./:'"”-])`, "g");

/**
 * What is wrong, without the field in which it is.
 * @param {Problem} problem
 */
export function problemWords({ code, detail, field }) {
  if (code === "unauthorized" && detail.includes("Authorization")) return "the session has ended: log in, then try again";
  const text = field && detail.startsWith(`${field}: `) ? detail.slice(field.length + 2) : detail;
  return text.replace(NAMED, (name) => NAMES.get(name) ?? name);
}

/**
 * The whole of it, with the field as the page calls it.
 * @param {Problem} problem
 */
export function refusalWords(problem) {
  const { detail, field } = problem;
  const text = problemWords(problem);
  if (!field || !detail.startsWith(`${field}: `)) return text;
  if (/^filter\b/i.test(field)) return `what the documents are narrowed to ${text}`;
  const last = field.split(".").at(-1) ?? "";
  const name = NAMES.get(last) ?? (/^[a-z]+(?:_[a-z]+)+$/.test(last) ? `the ${last.replaceAll("_", " ")}` : null);
  return name && VERB.test(text) ? `${name} ${text}` : `${name ?? field}: ${text}`;
}
