/**
 * What a page knows of one server: its knowledge bases, live. All elements of a page share one store, so one stream. It
 * is open while anything on the page looks at it.
 *
 * @import {Connection, DocumentInfo, IngestionJob, KnowledgeBase, Refusal, Transition} from "./phaseflow.d.ts"
 */

import * as api from "./api.js";
import { Lookout } from "./lookout.js";
import { Reading } from "./reading.js";
import { isMissing } from "./request.js";
import { SeenFeed } from "./seen-feed.js";
import { Verbs } from "./verbs.js";

/** @typedef {{connection: Connection, list: null, kb: string, transition: Transition, ended: IngestionJob, document: DocumentInfo, reset: null, back: null, refused: Refusal}} Told */

/** While a job runs its statuses bring the counts of what can be searched up to date, at most so often. */
const COUNTS_AGE_MS = 5000;

/** @type {Map<string, Store>} */
const stores = new Map();

/** The store of a server, the same for all who ask. */
export function storeOf(base = api.HERE) {
  const known = stores.get(base) ?? new Store(base);
  stores.set(base, known);
  return known;
}

export class Store {
  /** @param {string} base */
  constructor(base) {
    this.base = base;
    /** @type {Map<string, KnowledgeBase>} */
    this.kbs = new Map();
    /** @type {Connection} */
    this.connection = "connecting";
    this.listed = false;
    /** @type {Date | null} */
    this.seenAt = null;
    /** Since when the page is hidden, and has no stream. @type {Date | null} */
    this.restsSince = null;
    this.verbs = new Verbs(this);
    this.reading = new Reading(this);
    /** When it was opened last, on the clock of `performance`. */
    this.openedAt = 0;
    this.lookout = new Lookout(this);
    this.watchers = 0;
    /** The knowledge base whose documents are told of. @type {string | null} */
    this.documentsOf = null;
    this.events = new EventTarget();
    this.stream = new SeenFeed({
      base,
      status: (job) => this.take(job),
      transition: (transition) => this.tell("transition", transition),
      document: (one) => this.tell("document", one),
      reset: () => this.tell("reset", null),
      connection: (connection) => this.connected(connection),
      refused: ({ code }) => this.declined(code),
    }, {
      rests: () => (this.restsSince = this.connection === "live" ? new Date() : null),
      wakes: () => this.connected("connecting"),
    });
  }

  /**
   * Listen until the returned function is called.
   * @template {keyof Told} Name
   * @param {{[Key in Name]: (detail: Told[Key]) => void}} listeners
   */
  watch(listeners) {
    const leaving = new AbortController();
    for (const [name, hear] of Object.entries(listeners)) {
      const listener = (/** @type {Event} */ event) => /** @type {any} */ (hear)(/** @type {CustomEvent} */ (event).detail);
      this.events.addEventListener(name, listener, { signal: leaving.signal });
    }
    this.watchers += 1;
    if (this.watchers === 1) this.open();
    return () => {
      if (leaving.signal.aborted) return;
      leaving.abort();
      this.watchers -= 1;
      if (this.watchers === 0) this.close();
    };
  }

  /** Read everything again and connect; after a login too. */
  open() {
    this.openedAt = performance.now();
    void this.refresh();
    this.stream.open();
    this.lookout.open();
  }

  close() {
    this.stream.close();
    this.lookout.close();
  }

  /**
   * @template {keyof Told} Name
   * @param {Name} name
   * @param {Told[Name]} detail
   */
  tell(name, detail) {
    this.events.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Read the list. */
  refresh() {
    return this.reading.all();
  }

  /** Show what all of them are now. @param {Map<string, KnowledgeBase>} kbs */
  placeAll(kbs) {
    const before = this.kbs;
    this.kbs = kbs;
    for (const [kbId, kb] of kbs) this.notice(before.get(kbId), kb);
    const isSame = this.listed && before.size === kbs.size && [...before.keys()].every((kbId) => kbs.has(kbId));
    this.listed = true;
    if (!isSame) return this.tell("list", null);
    for (const [kbId, kb] of kbs) if (JSON.stringify(kb) !== JSON.stringify(before.get(kbId))) this.tell("kb", kbId);
  }

  /** Whether the stream brings it up to date: it runs, and was read lately. @param {string} kbId */
  isTold(kbId) {
    const job = this.kbs.get(kbId)?.job;
    return job !== null && job !== undefined && !isOver(job) && this.isFresh(kbId);
  }

  /** @param {string} kbId */
  isFresh(kbId) {
    return performance.now() - (this.reading.readAt.get(kbId) ?? -Infinity) <= COUNTS_AGE_MS;
  }

  /** @param {unknown} error */
  failed(error) {
    if (!(error instanceof api.ApiError)) throw error;
    // One that was on its way during the login was asked without its pass.
    if (error.code === "unauthorized" && error.askedAt >= this.openedAt) this.lock();
    if (isMissing(error)) void this.lookout.look();
  }

  /** The server will not serve the stream. @param {string} code */
  declined(code) {
    if (code === "unauthorized") return this.lock();
    if (code !== "kb_not_found") return this.connected("lost");
    // That whose documents are told is gone, and nothing else is wrong.
    this.tellDocumentsOf(null);
    this.stream.open();
    void this.lookout.look();
  }

  /**
   * Tell of the documents of one knowledge base, too, or of none: a page shows those of one at a time.
   * @param {string | null} kbId
   */
  tellDocumentsOf(kbId) {
    this.documentsOf = kbId;
    this.stream.feed.tellDocumentsOf(kbId);
  }

  /** The server wants its token: nothing is asked any more until `open`. */
  lock() {
    this.close();
    this.reading.drop();
    this.kbs.clear();
    this.connected("locked");
    this.tell("list", null);
  }

  /** @param {Connection} connection */
  connected(connection) {
    const back = connection === "live" && this.connection === "lost";
    if (connection === "lost" && this.connection !== "lost") this.seenAt = this.connection === "live" ? new Date() : (this.restsSince ?? this.seenAt);
    if (back) void this.refresh();
    if (connection === this.connection) return;
    this.connection = connection;
    this.tell("connection", connection);
    if (back) this.tell("back", null); // what could not be read meanwhile can be read now
    if (connection === "live") this.seenAt = this.restsSince = null;
  }

  /** @param {IngestionJob} job */
  take(job) {
    this.reading.hear(job.kb_id);
    const known = this.kbs.get(job.kb_id);
    if (!known) {
      void this.reread(job.kb_id);
      return;
    }
    const ended = isOver(job) && known.job !== null && (!isOver(known.job) || known.job.job_id !== job.job_id);
    this.place({ ...known, job });
    if (ended || (!isOver(job) && !this.isFresh(job.kb_id))) void this.reread(job.kb_id);
  }

  /** Show the whole of a knowledge base, as it was just saved. @param {KnowledgeBase} kb */
  show(kb) {
    this.reading.overtake(kb.kb_id);
    this.lookout.known.delete(kb.kb_id); // others may have changed it since
    this.place(kb);
  }

  /**
   * Tell of a job that is over now and was not before, however that was learned.
   * @param {KnowledgeBase | undefined} before
   * @param {KnowledgeBase | undefined} now
   */
  notice(before, now) {
    if (!before || !now?.job || !isOver(now.job)) return;
    if (!before.job || !isOver(before.job) || before.job.job_id !== now.job.job_id) this.tell("ended", now.job);
  }

  /** @param {KnowledgeBase} kb */
  place(kb) {
    const isNew = !this.kbs.has(kb.kb_id);
    this.notice(this.kbs.get(kb.kb_id), kb);
    this.kbs.set(kb.kb_id, kb);
    this.verbs.settle(kb);
    this.tell(isNew ? "list" : "kb", /** @type {any} */ (isNew ? null : kb.kb_id));
  }

  /**
   * Read one knowledge base again: its counts and source are not in the stream.
   * @param {string} kbId
   */
  async reread(kbId) {
    await this.fresh(kbId).catch((error) => this.failed(error));
  }

  /** As the server has it now; null when it has none of that name. Rejects when it cannot be asked. @param {string} kbId */
  fresh(kbId) {
    return this.reading.one(kbId);
  }

  /**
   * A knowledge base that has been deleted.
   * @param {string} kbId
   */
  forget(kbId) {
    this.reading.overtake(kbId);
    this.kbs.delete(kbId);
    this.verbs.forget(kbId);
    this.tell("list", null);
  }
}

/** @param {IngestionJob} job */
export const isOver = (job) => job.status === "completed" || job.status === "failed" || job.status === "cancelled";
