/**
 * A request to the service, its answer or its refusal.
 *
 * @import {Problem} from "./phaseflow.d.ts"
 */

import { problemWords, refusalWords } from "./problem-words.js";

const MOST = 1000;

/** A refusal, in the words of the server. `code` is stable; `field` is the dotted path of a value it cannot use. */
export class ApiError extends Error {
  /**
   * @param {Problem} problem
   * @param {number} status of HTTP; 0 when there was no answer
   * @param {number} [askedAt] when the request was sent, on the clock of `performance`
   */
  constructor(problem, status, askedAt = performance.now()) {
    super(refusalWords(problem));
    this.name = "ApiError";
    this.status = status;
    this.askedAt = askedAt;
    this.code = problem.code;
    this.field = problem.field ?? null;
    /** What is wrong with the field, without its name. */
    this.problem = problemWords(problem);
    this.allowedActions = problem.allowed_actions ?? [];
  }
}

/**
 * What it answers; with the tag of what can be edited of it, where it has one.
 * @param {string} base
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @param {Record<string, string>} [conditions] headers
 * @returns {Promise<any>}
 */
export async function ask(base, method, path, body, conditions = {}) {
  const isJson = body !== undefined && !(body instanceof FormData);
  const headers = { ...(isJson ? { "Content-Type": "application/json" } : {}), ...conditions };
  const content = isJson ? JSON.stringify(body) : /** @type {FormData | undefined} */ (body);
  const askedAt = performance.now();
  const sent = fetch(new URL(path, base), { method, headers, body: content, cache: "no-store" });
  const answer = await sent.catch(silence);
  if (!answer.ok) throw new ApiError(await problemOf(answer), answer.status, askedAt);
  if (answer.status === 204) return null;
  const value = await answer.json().catch(silence); // the server may go away in the middle of it
  const etag = answer.headers.get("ETag")?.replace(/^W\//, ""); // a proxy that compresses an answer weakens its tag
  return etag ? { ...value, etag } : value;
}

/**
 * The condition that something is still what was seen of it, or still not there (null). Without a tag there is none.
 * @param {{etag?: string} | null | undefined} seen
 * @returns {Record<string, string>}
 */
export function unchanged(seen) {
  if (seen === null) return { "If-None-Match": "*" };
  return seen?.etag ? { "If-Match": seen.etag } : {};
}

/** An answer that there is no such knowledge base. @param {unknown} error */
export const isMissing = (error) => error instanceof ApiError && error.code === "kb_not_found";

/** @returns {never} */
export function silence() {
  throw new ApiError({ title: "", code: "unreachable", detail: "The server does not answer. Is it running?" }, 0);
}

/**
 * @param {Response} answer
 * @returns {Promise<Problem>}
 */
export async function problemOf(answer) {
  return saidOr(await answer.json().catch(() => null), answer.status);
}

/**
 * What a refusal says; a proxy has words of its own, or none.
 * @param {any} said
 * @param {number} status
 * @returns {Problem}
 */
export function saidOr(said, status) {
  const isProblem = typeof said?.detail === "string";
  return isProblem ? said : { title: "", code: "http_error", detail: `The server answered ${status}. Its log says why.` };
}

/**
 * @param {string} base
 * @param {string} path
 * @param {number} limit
 * @param {string | null} cursor
 * @param {Record<string, string | undefined>} [others] what is empty is left out
 */
export function page(base, path, limit, cursor, others = {}) {
  const query = new URLSearchParams({ limit: String(limit), ...(cursor === null ? {} : { cursor }) });
  for (const [name, value] of Object.entries(others)) if (value) query.set(name, value);
  return ask(base, "GET", `${path}?${query}`);
}

/**
 * @param {string} base
 * @param {string} path
 */
export async function all(base, path) {
  const items = [];
  /** @type {string | null} */
  let cursor = null;
  do {
    const part = await page(base, path, MOST, cursor);
    items.push(...part.items);
    cursor = part.next_cursor;
  } while (cursor !== null);
  return items;
}
