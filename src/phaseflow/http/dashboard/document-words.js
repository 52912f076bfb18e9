/**
 * What is said of documents: pure functions from values to text.
 *
 * @import {DocumentFilter, DocumentInfo, DocumentStatus, JobPhase, KnowledgeBase} from "./phaseflow.d.ts"
 */

/** In the order in which they are shown. @type {DocumentStatus[]} */
export const DOCUMENT_STATUSES = ["queued", "processing", "indexed", "failed", "skipped"];
/** @type {Record<DocumentStatus, string>} */
const STATUS = { queued: "Queued", processing: "Processing", indexed: "Indexed", failed: "Failed", skipped: "Skipped" };
/** The icon and colour of the job status that says the same. @type {Record<DocumentStatus, string>} */
const LOOK = { queued: "pending", processing: "running", indexed: "completed", failed: "failed", skipped: "cancelled" };
/** @type {Record<JobPhase, string>} */
const STEP = { loading: "loading", chunking: "chunking", embedding: "embedding", indexing: "indexing" };
const UNITS = ["bytes", "KB", "MB", "GB", "TB"];

/** @param {DocumentStatus} status */
export const documentWord = (status) => STATUS[status];
/** @param {DocumentStatus} status */
export const documentLook = (status) => LOOK[status];

/**
 * What there is to say beside the status.
 * @param {DocumentInfo} one
 */
export function documentNote(one) {
  const older = one.searchable ? "an older version is searchable" : "";
  if (one.status === "processing") return [STEP[one.phase ?? "loading"], older].filter(Boolean).join(", ");
  if (one.status === "failed") return [one.error ?? one.code ?? "", older].filter(Boolean).join("; ");
  return one.status === "queued" ? older : one.status === "skipped" ? "left out until it is retried" : "";
}

/** @param {number | null} bytes */
export function sizeWords(bytes) {
  if (bytes === null) return "";
  let [value, at] = [bytes, 0];
  for (; value >= 1000 && at < UNITS.length - 1; at += 1) value /= 1000;
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${at === 0 && bytes === 1 ? "byte" : UNITS[at]}`;
}

/** @param {KnowledgeBase | undefined} kb */
export const allDocuments = (kb) => (kb ? DOCUMENT_STATUSES.reduce((sum, status) => sum + kb.counts[status], 0) : 0);

/**
 * No source holds it: it was sent here, or its source is gone. So it can be removed; what a source holds is skipped.
 * @param {DocumentInfo} one
 * @param {KnowledgeBase | undefined} kb
 */
export const isRemovable = (one, kb) => kb !== undefined && (kb.sources[one.source]?.type ?? "upload") === "upload";

/**
 * Whether its title says more than its name.
 * @param {DocumentInfo} one
 */
export const isNamed = (one) => one.title !== one.uri && !one.uri.endsWith(`/${one.title}`);

/** @param {string} source */
export const sourceName = (source) => (source === "push" ? "sent here" : source);

/**
 * That no document fits a filter, in words that name all of it.
 * @param {DocumentFilter} filter
 */
export function noneOf({ status, q, source }) {
  const place = source === "push" ? " sent here" : source ? ` of the source ${source}` : "";
  const word = status ? STATUS[status].toLowerCase() : "";
  if (q) return `No document${place}${word && ` that is ${word}`} has “${q}” in its name.`;
  if (word) return `No document${place} is ${word}.`;
  if (source) return source === "push" ? "No document was sent here." : `The source ${source} has no document.`;
  return "There is no document yet. A run brings them here, and so do files that you drop.";
}
