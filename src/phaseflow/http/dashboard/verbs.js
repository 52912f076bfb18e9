/**
 * The verbs that a page has asked a server for: which are under way, and why one was refused.
 *
 * @import {JobPhase, KnowledgeBase, StartOrder, Verb} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";

/**
 * @typedef {object} Underway
 * @property {Verb} verb
 * @property {boolean} answered
 */

export class Verbs {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** @type {Map<string, Underway>} */
    this.underway = new Map();
    /** Why the last verb was refused, by knowledge base. @type {Map<string, string>} */
    this.refusals = new Map();
  }

  /**
   * Carry out a verb and say what became of it. False when it was refused; `refusals` then says why.
   * @param {Verb} verb
   * @param {string} kbId
   * @param {JobPhase | null} [phase]
   * @param {StartOrder} [order]
   */
  async act(verb, kbId, phase = null, order = {}) {
    const key = keyOf(kbId, phase);
    const sent = this.underway.get(key);
    // A second press can come before its button shows that it waits. A cancel waits for no other verb.
    if (sent?.answered === false && (verb !== "cancel" || sent.verb === verb)) return false;
    const one = { verb, answered: false };
    this.underway.set(key, one);
    this.refusals.delete(kbId);
    this.store.tell("kb", kbId);
    const { reading } = this.store;
    const heard = reading.heard.get(kbId);
    try {
      const job = await this.send(verb, kbId, phase, order);
      one.answered = true;
      const known = this.store.kbs.get(kbId);
      if (known && reading.heard.get(kbId) === heard) {
        reading.hear(kbId);
        this.store.place({ ...known, job });
      }
      return true;
    } catch (error) {
      if (this.underway.get(key) === one) this.underway.delete(key);
      this.refuse(error, { kb_id: kbId, verb, phase });
      return false;
    } finally {
      const known = this.store.kbs.get(kbId);
      if (known) this.settle(known);
      this.store.tell("kb", kbId);
    }
  }

  /**
   * @param {Verb} verb
   * @param {string} kbId
   * @param {JobPhase | null} phase
   * @param {StartOrder} order
   */
  send(verb, kbId, phase, order) {
    if (verb === "start") return api.startIngestion(kbId, order, this.store.base);
    if (verb === "pause") return api.pauseIngestion(kbId, phase, this.store.base);
    if (verb === "resume") return api.resumeIngestion(kbId, phase, this.store.base);
    return verb === "cancel" ? api.cancelIngestion(kbId, this.store.base) : api.retryIngestion(kbId, this.store.base);
  }

  /**
   * @param {unknown} error
   * @param {{kb_id: string, verb: Verb, phase: JobPhase | null}} asked
   */
  refuse(error, asked) {
    this.store.failed(error);
    const { code, message } = /** @type {api.ApiError} */ (error);
    this.refusals.set(asked.kb_id, message);
    this.store.tell("refused", { ...asked, code, detail: message });
  }

  /** A knowledge base has been deleted. @param {string} kbId */
  forget(kbId) {
    this.refusals.delete(kbId);
  }

  /** @param {string} kbId */
  forgive(kbId) {
    if (this.refusals.delete(kbId)) this.store.tell("kb", kbId);
  }

  /**
   * Forget verbs that have taken effect. A pause of a phase is answered before its batch in hand is done.
   * @param {KnowledgeBase} kb
   */
  settle(kb) {
    for (const phase of [null, ...(kb.job?.phase_details ?? [])]) {
      const key = keyOf(kb.kb_id, phase?.name ?? null);
      const one = this.underway.get(key);
      const pausing = phase?.status === "running" && one?.verb === "pause" && kb.job?.requested === "pause";
      if (one?.answered && !pausing) this.underway.delete(key);
    }
  }

  /**
   * The verb that is under way for a job, asked for here or elsewhere, or for one of its phases, asked for here; null
   * when there is none.
   * @param {string} kbId
   * @param {JobPhase | null} [phase]
   * @returns {Verb | null}
   */
  verbOf(kbId, phase = null) {
    const one = this.underway.get(keyOf(kbId, phase));
    if (one) return one.verb;
    if (phase !== null || this.phasesUnderway(kbId).length > 0) return null;
    return this.store.kbs.get(kbId)?.job?.requested ?? null;
  }

  /**
   * A verb of this page is on its way to the server, which has not answered yet.
   * @param {string} kbId
   * @param {JobPhase | null} phase
   */
  isSent(kbId, phase) {
    return this.underway.get(keyOf(kbId, phase))?.answered === false;
  }

  /** @param {string} kbId */
  phasesUnderway(kbId) {
    const job = this.store.kbs.get(kbId)?.job;
    return (job?.phase_details ?? []).map((each) => each.name).filter((name) => this.underway.has(keyOf(kbId, name)));
  }
}

/**
 * @param {string} kbId
 * @param {JobPhase | null} phase
 */
const keyOf = (kbId, phase) => `${kbId}/${phase ?? ""}`;
