/**
 * The HTTP API as functions. Each takes the address of the server as its last argument; left out, it is the server
 * that these files came from. Each rejects with ApiError.
 *
 * @import {Failure, DocumentChunk, DocumentFilter, DocumentInfo, DocumentRetried, DocumentVerb, EmbedderAnswer, EmbeddingServers, Filter, FolderListing, IngestionJob, JobPhase, KnowledgeBase, Page,
 *   SearchMode, SearchResults, Settings, Source, StartOrder, Transition, Verb} from "./phaseflow.d.ts"
 */

import { all, ApiError, ask, page, problemOf, silence, unchanged } from "./request.js";

export { ApiError };

export const HERE = new URL("..", import.meta.url).href;

/**
 * @param {string} kbId
 * @param {string} [rest]
 */
const kbPath = (kbId, rest = "") => `api/ingestion/kb/${encodeURIComponent(kbId)}${rest}`;

/**
 * Start a job; with a source this creates or changes the knowledge base.
 * @param {string} kbId
 * @param {StartOrder} [order]
 * @returns {Promise<IngestionJob>}
 */
export const startIngestion = (kbId, order = {}, base = HERE) => ask(base, "POST", kbPath(kbId, "/start"), order);

/**
 * @param {Verb} verb
 * @param {string} kbId
 * @param {JobPhase | null} phase
 * @param {string} base
 * @returns {Promise<IngestionJob>}
 */
const act = (verb, kbId, phase, base) => ask(base, "POST", kbPath(kbId, phase ? `/phases/${phase}/${verb}` : `/${verb}`));

/**
 * Pause the job, or one phase of it, after the batch in hand.
 * @param {string} kbId
 * @param {JobPhase | null} [phase]
 */
export const pauseIngestion = (kbId, phase = null, base = HERE) => act("pause", kbId, phase, base);

/** Go on with the job, or one phase of it, from exactly where it stood. @param {string} kbId @param {JobPhase | null} [phase] */
export const resumeIngestion = (kbId, phase = null, base = HERE) => act("resume", kbId, phase, base);

/** End the job; what was indexed stays searchable. @param {string} kbId */
export const cancelIngestion = (kbId, base = HERE) => act("cancel", kbId, null, base);

/** Go on with a failed job. @param {string} kbId */
export const retryIngestion = (kbId, base = HERE) => act("retry", kbId, null, base);

/**
 * All knowledge bases, each with its newest job.
 * @returns {Promise<KnowledgeBase[]>}
 */
export const listKbs = (base = HERE) => all(base, "api/ingestion/kb");

/**
 * The names of all knowledge bases, each with a number that grows when it may have changed; cheap however many there are.
 * @returns {Promise<Map<string, number>>}
 */
export const revisions = async (base = HERE) => new Map(Object.entries((await ask(base, "GET", "api/ingestion/revisions")).revisions));

/**
 * @param {string} kbId
 * @returns {Promise<KnowledgeBase>}
 */
export const getKb = (kbId, base = HERE) => ask(base, "GET", kbPath(kbId));

/** Rejects when there is no such knowledge base; asks for no more than that. @param {string} kbId */
export const checkKb = (kbId, base = HERE) => page(base, kbPath(kbId, "/jobs"), 1, null).then(() => null);

/**
 * Create or change a knowledge base. What is left out stays. Given what was `seen` of it (null: that there is none), it
 * rejects with `precondition_failed` if that has been changed since.
 * @param {string} kbId
 * @param {{source?: Source, sources?: Record<string, Source>, settings?: Settings}} wanted
 * @param {string} [base]
 * @param {KnowledgeBase | null} [seen]
 * @returns {Promise<KnowledgeBase>}
 */
export const putKb = (kbId, wanted, base = HERE, seen = undefined) => ask(base, "PUT", kbPath(kbId), wanted, unchanged(seen));

/**
 * Send files to a knowledge base, which is created if there is none of that name. A job makes them searchable.
 * @param {string} kbId
 * @param {File[]} files
 * @returns {Promise<{documents: unknown[], job: IngestionJob | null}>}
 */
export function uploadDocuments(kbId, files, base = HERE) {
  const form = new FormData();
  for (const file of files) form.append("files", file);
  return ask(base, "POST", kbPath(kbId, "/documents"), form);
}

/**
 * Take one document out that was sent here.
 * @param {string} kbId
 * @param {string} uri
 * @returns {Promise<{documents: unknown[], job: IngestionJob | null}>}
 */
export const deleteDocument = (kbId, uri, base = HERE) =>
  ask(base, "DELETE", kbPath(kbId, `/documents?${new URLSearchParams({ uri })}`));

/**
 * Delete a knowledge base with its index and history.
 * @param {string} kbId
 * @returns {Promise<null>}
 */
export const deleteKb = (kbId, base = HERE) => ask(base, "DELETE", kbPath(kbId));

/**
 * The passages that answer best, best first.
 * @param {string} kbId
 * @param {string} query
 * @param {{mode?: SearchMode, filter?: Filter | null}} [narrowed]
 * @returns {Promise<SearchResults>}
 */
export async function search(kbId, query, limit = 10, base = HERE, narrowed = {}) {
  const { mode = "hybrid", filter = null } = narrowed;
  const asked = new URLSearchParams({ q: query, limit: String(limit), mode });
  if (filter) asked.set("filter", JSON.stringify(filter));
  return ask(base, "GET", kbPath(kbId, `/search?${asked}`));
}

/**
 * A page of the documents that failed.
 * @param {string} kbId
 * @param {string | null} [cursor]
 * @returns {Promise<Page<Failure>>}
 */
export const failures = (kbId, cursor = null, base = HERE) => page(base, kbPath(kbId, "/failures"), 100, cursor);

/**
 * A page of the documents, by uri. A page of a filtered list can be short although more follow.
 * @param {string} kbId
 * @param {DocumentFilter} [filter]
 * @param {string | null} [cursor]
 * @returns {Promise<Page<DocumentInfo>>}
 */
export const documents = (kbId, filter = {}, cursor = null, limit = 100, base = HERE) =>
  page(base, kbPath(kbId, "/documents"), limit, cursor, { ...filter });

/**
 * @param {string} kbId
 * @param {string} id
 * @param {string} [rest]
 */
const documentPath = (kbId, id, rest = "") => kbPath(kbId, `/documents/${encodeURIComponent(id)}${rest}`);

/**
 * One document, by its id.
 * @param {string} kbId
 * @param {string} id
 * @returns {Promise<DocumentInfo>}
 */
export const document = (kbId, id, base = HERE) => ask(base, "GET", documentPath(kbId, id));

/**
 * The beginning of a document's extracted text: at least `most` characters of it, when it has as many.
 * @param {string} kbId
 * @param {string} id
 * @returns {Promise<{text: string, isWhole: boolean}>}
 */
export async function documentText(kbId, id, most = Infinity, base = HERE) {
  const leaving = new AbortController();
  const answer = await fetch(new URL(documentPath(kbId, id, "/text"), base), { cache: "no-store", signal: leaving.signal }).catch(silence);
  if (!answer.ok || answer.body === null) throw new ApiError(await problemOf(answer), answer.status);
  const reader = answer.body.getReader();
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let text = "";
  for (;;) {
    const { done, value } = await reader.read().catch(silence);
    if (done) return { text: text + decoder.decode(), isWhole: true };
    text += decoder.decode(value, { stream: true });
    if (text.length >= most) break;
  }
  leaving.abort();
  return { text, isWhole: false };
}

/**
 * A page of a document's passages, in order.
 * @param {string} kbId
 * @param {string} id
 * @param {string | null} [cursor]
 * @returns {Promise<Page<DocumentChunk>>}
 */
export const documentChunks = (kbId, id, cursor = null, base = HERE) => page(base, documentPath(kbId, id, "/chunks"), 500, cursor);

/**
 * `retry` loads a document anew, even if it is unchanged; `skip` takes it out and leaves it out.
 * @param {string} kbId
 * @param {string} id
 * @param {DocumentVerb} verb
 * @returns {Promise<DocumentRetried>}
 */
export const actOnDocument = (kbId, id, verb, base = HERE) => ask(base, "POST", documentPath(kbId, id, `/${verb}`));

/**
 * Replace what is said about a document; nothing is embedded again. Given what was `seen` of it, it rejects with
 * `precondition_failed` if that has been changed since.
 * @param {string} kbId
 * @param {string} id
 * @param {DocumentInfo["metadata"]} metadata
 * @param {string} [base]
 * @param {DocumentInfo} [seen]
 * @returns {Promise<DocumentInfo>}
 */
export const setMetadata = (kbId, id, metadata, base = HERE, seen = undefined) =>
  ask(base, "PATCH", documentPath(kbId, id), { metadata }, unchanged(seen));

/**
 * A page of the jobs, newest first.
 * @param {string} kbId
 * @param {string | null} [cursor]
 * @returns {Promise<Page<IngestionJob>>}
 */
export const jobs = (kbId, cursor = null, base = HERE) => page(base, kbPath(kbId, "/jobs"), 20, cursor);

/**
 * @param {string} jobId
 * @returns {Promise<IngestionJob>}
 */
export const job = (jobId, base = HERE) => ask(base, "GET", `api/ingestion/jobs/${encodeURIComponent(jobId)}`);

/**
 * The whole log of a job, in order.
 * @param {string} jobId
 * @returns {Promise<Transition[]>}
 */
export const transitions = (jobId, base = HERE) =>
  all(base, `api/ingestion/jobs/${encodeURIComponent(jobId)}/transitions`);

/**
 * Exchange the token for a cookie.
 * @param {string} token
 * @returns {Promise<null>}
 */
export const login = (token, base = HERE) => ask(base, "POST", "login", { token });

/** What a folder of the server holds; null: where to begin. @param {string | null} path @returns {Promise<FolderListing>} */
export const folders = (path, base = HERE) => ask(base, "GET", `api/ingestion/folders${path === null ? "" : `?${new URLSearchParams({ path })}`}`);

/** @returns {Promise<EmbeddingServers>} */
export const embedders = (base = HERE) => ask(base, "GET", "api/ingestion/embedders");

/** Ask an embedder for one vector. @param {Settings["embedder"]} embedder @param {string} [kb_id] @returns {Promise<EmbedderAnswer>} */
export const tryEmbedder = (embedder, kb_id, base = HERE) => ask(base, "POST", "api/ingestion/embedders/try", { settings: { embedder }, kb_id });

/** @returns {Promise<null>} */
export const logout = (base = HERE) => ask(base, "POST", "logout");
