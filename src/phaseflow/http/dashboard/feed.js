/**
 * The live feed of a phaseflow service, for any page: it reconnects by itself and misses no transition.
 *
 * One file without imports, served at `/feed.js`; you may also copy it. An `EventSource` gives up for good when a proxy
 * answers 502 while the service restarts, cannot say why it was refused, and does not notice a connection that has died
 * silently. This does the same work with `fetch`.
 *
 * @import {DocumentInfo, IngestionJob, Problem, Transition} from "./phaseflow.d.ts"
 */

/** Grows when something that callers rely on changes. What is added does not count. */
export const VERSION = 1;

/** The service that this file came from. */
const HERE = new URL(import.meta.url.replace(/(static\/)?feed\.js.*$/, "")).href;
const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 3000;
/** What the service may ask for with `Retry-After`. */
const LONGEST_ASKED_MS = 60_000;
/** A comment comes every 15 s. */
const SILENCE_MS = 45_000;
/** Characters of one event; none of the service comes near. */
const LONGEST_EVENT = 1_000_000;
/** Refusals that pass. */
const PASSING = new Set([408, 425, 429]);

/**
 * @typedef {object} FeedOptions
 * @property {string} [base] address of the service, ending in `/`; default: where this file came from
 * @property {string | null} [kb] one knowledge base; default: all
 * @property {boolean} [documents] with `kb`: its documents, too
 * @property {string | null} [documentsOf] without `kb`: the knowledge base whose documents are reported, too
 * @property {string | null} [after] the id behind which to begin, such as a `lastId` that was kept; `"0"` replays everything;
 *   default: from now on
 * @property {Record<string, string>} [headers] such as `Authorization`. The cookie of `/login` is sent anyway
 * @property {(job: IngestionJob) => void} [status] the latest status of a job
 * @property {(transition: Transition) => void} [transition] each transition once, in order, with no gap
 * @property {(document: DocumentInfo) => void} [document] a document that changed
 * @property {(reset: {oldest: number}) => void} [reset] transitions before `oldest` are gone, or the log is another one
 * @property {(connection: "live" | "lost") => void} [connection] `lost`: it is reconnecting
 * @property {(problem: Problem & {status: number}) => void} [refused] the service will not serve this feed (no such knowledge base, token
 *   wanted); it has stopped until `open` is called
 */

/**
 * A feed. Nothing happens before `open`. A listener that throws is reported to the console and does not end the feed.
 */
export class Feed {
  /** @param {FeedOptions} options */
  constructor({ base = HERE, kb = null, documents = false, documentsOf = null, after = null, headers = {}, ...listeners }) {
    const path = kb === null ? "api/ingestion/events" : `api/ingestion/kb/${encodeURIComponent(kb)}/events`;
    this.url = new URL(path, base);
    this.url.searchParams.set("log_ids", "true");
    if (documents) this.url.searchParams.set("documents", "true");
    if (documentsOf !== null) this.url.searchParams.set("documents_of", documentsOf);
    this.headers = headers;
    /** @type {Partial<FeedOptions>} */
    this.listeners = listeners;
    /** The id of the last event that was heard. Kept, and given as `after`, it continues without a gap. @type {string | null} */
    this.lastId = after;
    this.lastSeq = 0;
    this.wait_ms = FIRST_WAIT_MS;
    /** Ends the connection that is open, or the wait for the next. @type {AbortController | null} */
    this.leaving = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** Connect, behind `lastId`. An open connection is replaced. */
  open() {
    this.close();
    const leaving = (this.leaving = new AbortController());
    void this.run(leaving);
  }

  /**
   * Report the documents of another knowledge base, or of none. A feed that is open goes on behind `lastId`.
   * @param {string | null} kbId
   */
  tellDocumentsOf(kbId) {
    if (this.url.searchParams.get("documents_of") === kbId) return;
    if (kbId === null) this.url.searchParams.delete("documents_of");
    else this.url.searchParams.set("documents_of", kbId);
    if (this.leaving) this.open();
  }

  /** End the connection and do not reconnect. Nothing is heard any more. */
  close() {
    clearTimeout(this.timer);
    this.leaving?.abort();
    this.leaving = null;
  }

  /** @param {AbortController} leaving */
  async run(leaving) {
    let asked_ms = 0;
    try {
      asked_ms = await this.listen(leaving);
    } catch {
      // The network, a proxy or silence: the way back is the same whatever it was.
    }
    if (leaving === this.leaving) this.reconnect(asked_ms);
  }

  /**
   * Connect once and listen to the end. Returns how long the service asked to wait. Throws what `fetch` throws.
   * @param {AbortController} leaving
   */
  async listen(leaving) {
    const { signal } = leaving;
    const url = new URL(this.url);
    if (this.lastId !== null) url.searchParams.set("last_event_id", this.lastId);
    const current = new AbortController();
    signal.addEventListener("abort", () => current.abort(), { once: true, signal: current.signal });
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let silence;
    const awake = () => {
      clearTimeout(silence);
      silence = setTimeout(() => current.abort(), SILENCE_MS);
    };
    awake();
    try {
      const answer = await fetch(url, { headers: { Accept: "text/event-stream", ...this.headers }, cache: "no-store", signal: current.signal });
      if (signal.aborted) return 0;
      const kind = answer.headers.get("Content-Type") ?? "";
      if (!answer.ok || !kind.startsWith("text/event-stream") || answer.body === null) return await this.declined(answer, kind, signal);
      this.wait_ms = FIRST_WAIT_MS;
      this.tell("connection", "live");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const events = new Events();
      for (;;) {
        awake();
        const { done, value } = await reader.read();
        if (done || signal.aborted) return 0;
        for (const event of events.in(value)) {
          if (signal.aborted) return 0;
          this.hear(event);
        }
      }
    } finally {
      clearTimeout(silence);
      current.abort();
    }
  }

  /**
   * An answer that is no feed: in the service's own words it is final, unless it passes; what a proxy says never is.
   * @param {Response} answer
   * @param {string} kind
   * @param {AbortSignal} signal of the connection
   */
  async declined(answer, kind, signal) {
    const isOwn = kind.startsWith("application/problem+json");
    if (isOwn && answer.status < 500 && !PASSING.has(answer.status)) {
      const problem = await answer.json();
      if (signal.aborted) return 0; // it is open anew, or closed
      this.close();
      this.tell("refused", { ...problem, status: answer.status });
    }
    const asked_ms = 1000 * Number(answer.headers.get("Retry-After"));
    return asked_ms > 0 ? Math.min(asked_ms, LONGEST_ASKED_MS) : 0;
  }

  /** @param {number} least_ms */
  reconnect(least_ms) {
    const waiting = (this.leaving = new AbortController());
    const again = () => waiting === this.leaving && this.open();
    const seen = () => document.hidden || again();
    // So many pages do not come back at once. Timers of a hidden page are slow, and of one that slept, late.
    this.timer = setTimeout(again, Math.max(least_ms, this.wait_ms * (0.8 + 0.4 * Math.random())));
    this.wait_ms = Math.min(this.wait_ms * 1.6, LONGEST_WAIT_MS);
    globalThis.addEventListener("online", again, { signal: waiting.signal });
    globalThis.document?.addEventListener("visibilitychange", seen, { signal: waiting.signal });
    this.tell("connection", "lost");
  }

  /** @param {{name: string, data: string, id: string | null}} event */
  hear({ name, data, id }) {
    if (id !== null) this.lastId = id;
    if (!data) return;
    const value = JSON.parse(data);
    if (name === "reset") this.lastSeq = value.oldest - 1;
    // While a client is told which documents it has missed, events have no id: after a break they come again.
    if (name === "transition" && value.seq <= this.lastSeq) return;
    if (name === "transition") this.lastSeq = value.seq;
    this.tell(/** @type {any} */ (name), value);
  }

  /**
   * @template {"status" | "transition" | "document" | "reset" | "connection" | "refused"} Name
   * @param {Name} name
   * @param {Parameters<NonNullable<FeedOptions[Name]>>[0]} value
   */
  tell(name, value) {
    try {
      /** @type {((value: unknown) => void) | undefined} */ (this.listeners[name])?.(value);
    } catch (error) {
      globalThis.reportError(error);
    }
  }
}

/** Takes Server-Sent Events apart as they come (HTML, 9.2.6). */
class Events {
  constructor() {
    this.rest = "";
    this.name = "message";
    /** @type {string[]} */
    this.data = [];
    /** @type {string | null} */
    this.id = null;
    this.size = 0;
  }

  clear() {
    [this.name, this.data, this.id, this.size] = ["message", [], null, 0];
  }

  /** @param {string} text */
  *in(text) {
    // What ends in a carriage return waits: a line feed may follow, and both are one end of a line.
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    if (this.rest.length + this.size > LONGEST_EVENT) throw new Error("an event without an end");
    for (const line of lines) {
      if (line) this.take(line);
      else {
        if (this.data.length || this.id !== null) yield { name: this.name, data: this.data.join("\n"), id: this.id };
        this.clear();
      }
    }
  }

  /** @param {string} line */
  take(line) {
    this.size += line.length;
    const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? ["", "", ""];
    if (field === "event") this.name = value;
    else if (field === "data") this.data.push(value ?? "");
    else if (field === "id" && !value?.includes("\0")) this.id = value ?? "";
  }
}
