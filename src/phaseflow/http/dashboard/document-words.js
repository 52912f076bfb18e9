/**
 * What is said of documents: pure functions from values to text.
 *
 * @import {DocumentFilter, DocumentInfo, DocumentStatus, JobPhase, KnowledgeBase} from "./phaseflow.d.ts"
 */

import { count, counted } from "./words.js";

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
 * What the stream told of a document while an answer was on its way, or the answer: what is newer.
 * @template {DocumentInfo} Answer
 * @param {DocumentInfo | null | undefined} told
 * @param {Answer} answered
 */
export const newest = (told, answered) => (told && told.updated_at >= answered.updated_at ? told : answered);

/**
 * How many documents are listed, and of how many.
 * @param {object} list
 * @param {number} list.shown
 * @param {number} list.before how many are on the pages before this one
 * @param {boolean} list.isLast no more follow
 * @param {DocumentFilter} list.filter
 * @param {KnowledgeBase | undefined} list.kb
 */
export function listWords({ shown, before, isLast, filter, kb }) {
  if (shown === 0) return isLast ? noDocument(filter, kb) : "None so far. Next looks further.";
  const { status, q, source } = filter;
  const isAll = before === 0 && isLast;
  if (q || source) return isAll ? `${count(shown)} found` : `Found ${count(before + 1)} to ${count(before + shown)}${isLast ? "" : ", more follow"}`;
  const total = Math.max(before + shown, status ? (kb?.counts[status] ?? 0) : allDocuments(kb));
  return isAll ? counted(shown, "document") : `${count(before + 1)} to ${count(before + shown)} of ${counted(total, "document")}`;
}

/**
 * @param {DocumentFilter} filter
 * @param {KnowledgeBase | undefined} kb
 */
function noDocument(filter, kb) {
  const { source } = filter;
  if (source && source !== "push" && kb && !Object.hasOwn(kb.sources, source)) return `There is no source ${source}.`;
  return noneOf(filter);
}

/**
 * That no document fits a filter, in words that name all of it.
 * @param {DocumentFilter} filter
 */
function noneOf({ status, q, source }) {
  const place = source === "push" ? " sent here" : source ? ` of the source ${source}` : "";
  const word = status ? STATUS[status].toLowerCase() : "";
  if (q) return `No document${place}${word && ` that is ${word}`} has “${q}” in its name.`;
  if (word) return `No document${place} is ${word}.`;
  if (source) return source === "push" ? "No document was sent here." : `The source ${source} has no document.`;
  return "There is no document yet. A run brings them here, and so do files that you drop.";
}
