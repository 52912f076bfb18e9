/**
 * Sends files to a knowledge base, some at a time, until all are there or somebody stops it. One that the server refuses
 * is told by name; the others are sent all the same.
 *
 * @import {Chosen} from "./dropped-files.js"
 * @import {Problem} from "./phaseflow.d.ts"
 */

import { ApiError, checkKb } from "./api.js";
import { saidOr } from "./request.js";

/** Files in one request: as many as the server takes. */
const FILES = 100;
/** Bytes in one request, unless one file has more: what is broken off is soon sent again. */
const BYTES = 32 * 1024 * 1024;
/** How often a request is sent that the network or a busy server has turned away. */
const TRIES = 5;
const FIRST_WAIT_MS = 1000;
/** So many refusals without a file between them that was taken are no matter of single files. */
const REFUSALS = 25;
/** Refusals that belong to a file. */
const OF_FILES = new Set([409, 413, 422]);
const PASSING = new Set([0, 408, 429, 502, 503, 504]);

/** @type {Map<string, Upload>} */
const underway = new Map();

/** The upload that is under way to a knowledge base. @param {string} base @param {string} kbId */
export const uploadTo = (base, kbId) => underway.get(`${base} ${kbId}`) ?? null;

/** The same, if it sends what is added to it. @param {string} base @param {string} kbId */
export function openUploadTo(base, kbId) {
  const one = uploadTo(base, kbId);
  return one?.isStopped ? null : one;
}

export class Upload {
  /**
   * @param {string} base
   * @param {string} kbId
   * @param {() => void} changed
   * @param {boolean} [makes] whether the first files make the knowledge base; else one that is gone stays gone
   */
  constructor(base, kbId, changed, makes = false) {
    this.base = base;
    this.kbId = kbId;
    this.changed = changed;
    this.makes = makes;
    /** @type {Chosen[]} */
    this.waiting = [];
    this.total = this.sent = this.bytes = this.bytesSent = this.bytesNow = 0;
    /** @type {{name: string, why: string}[]} */
    this.refused = [];
    /** Why it ended before its time. @type {ApiError | null} */
    this.error = null;
    this.inARow = 0;
    this.leaving = new AbortController();
  }

  get isStopped() {
    return this.leaving.signal.aborted;
  }

  /** From 0 to 1. */
  get progress() {
    return this.bytes === 0 ? 0 : Math.min(1, (this.bytesSent + this.bytesNow) / this.bytes);
  }

  /** @param {Chosen[]} chosen to be sent after those that wait */
  add(chosen) {
    this.waiting.push(...chosen);
    this.total += chosen.length;
    this.bytes += sizeOf(chosen);
    this.changed();
  }

  /** Send nothing more. What has been sent stays. */
  stop() {
    this.leaving.abort();
    this.changed();
  }

  /** Send all that waits, and what is added meanwhile. Resolves when it has ended, however. */
  async run() {
    const key = `${this.base} ${this.kbId}`;
    underway.set(key, this);
    try {
      while (this.waiting.length && !this.isStopped) await this.send(this.next());
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!this.isStopped) this.error = error;
    } finally {
      if (underway.get(key) === this) underway.delete(key); // one that was stopped may end after the next has begun
      this.changed();
    }
  }

  next() {
    let size = 0;
    const end = this.waiting.findIndex(({ file }, at) => at === FILES || ((size += file.size) > BYTES && at > 0));
    return this.waiting.splice(0, end === -1 ? this.waiting.length : end);
  }

  /**
   * Of several of which one is refused none is kept: then each half is sent by itself.
   * @param {Chosen[]} some
   */
  async send(some) {
    if (this.isStopped) return;
    try {
      await this.post(some);
      this.makes = false;
      this.sent += some.length;
      this.inARow = 0;
    } catch (error) {
      if (!(error instanceof ApiError) || !OF_FILES.has(error.status)) throw error;
      if (some.length > 1) {
        const middle = some.length >> 1;
        await this.send(some.slice(0, middle));
        await this.send(some.slice(middle));
        return;
      }
      this.refused.push({ name: some[0].name, why: error.message });
      this.inARow += 1;
      if (this.inARow === REFUSALS) throw error;
    }
    this.bytesSent += sizeOf(some);
    this.bytesNow = 0;
    this.changed();
  }

  /** @param {Chosen[]} some */
  async post(some) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        // The service would make one of the same name.
        if (!this.makes) await checkKb(this.kbId, this.base);
        return await this.postOnce(some);
      } catch (error) {
        const mayPass = error instanceof ApiError && PASSING.has(error.status) && attempt < TRIES;
        if (!mayPass || this.isStopped) throw error;
        await this.rest(FIRST_WAIT_MS * 2 ** (attempt - 1));
      }
    }
  }

  /** @param {number} ms until it is stopped, at most */
  rest(ms) {
    return new Promise((done) => {
      const timer = setTimeout(done, ms, null);
      this.leaving.signal.addEventListener("abort", () => (clearTimeout(timer), done(null)), { once: true });
    });
  }

  /**
   * `fetch` does not tell how much of a body has gone.
   * @param {Chosen[]} some
   * @returns {Promise<void>}
   */
  postOnce(some) {
    const form = new FormData();
    for (const { file, name } of some) form.append("files", file, name);
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    return /** @type {Promise<void>} */ (new Promise((done, fail) => {
      request.open("POST", new URL(`api/ingestion/kb/${encodeURIComponent(this.kbId)}/documents`, this.base));
      request.upload.onprogress = ({ loaded }) => {
        this.bytesNow = Math.min(loaded, sizeOf(some));
        this.changed();
      };
      request.onload = () => (request.status === 202 ? done() : fail(new ApiError(problemOf(request), request.status)));
      request.onabort = request.onerror = () => fail(new ApiError(silence, 0));
      // A signal tells nothing to those who listen from now on.
      if (this.isStopped) return fail(new ApiError(silence, 0));
      this.leaving.signal.addEventListener("abort", stop, { once: true });
      request.send(form);
    })).finally(() => {
      this.bytesNow = 0;
      this.leaving.signal.removeEventListener("abort", stop);
    });
  }
}

/** A file that was moved or changed after it was chosen looks the same. @type {Problem} */
const silence = {
  title: "", code: "unreachable",
  detail: "The server does not answer, or a file has been moved since it was chosen. Send the rest again.",
};

/**
 * @param {XMLHttpRequest} request
 * @returns {Problem}
 */
function problemOf({ status, responseText }) {
  try {
    return saidOr(JSON.parse(responseText), status);
  } catch {
    return saidOr(null, status);
  }
}

/** @param {Chosen[]} some */
const sizeOf = (some) => some.reduce((sum, { file }) => sum + file.size, 0);
