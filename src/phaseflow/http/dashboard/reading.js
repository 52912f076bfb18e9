/**
 * Reads knowledge bases for a store: one, or the list of all. Answers come in any order, while the stream and the user go
 * on: what was asked for later stays, and what was asked for before the page was locked is not shown any more.
 *
 * @import {KnowledgeBase} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { isMissing } from "./request.js";

export class Reading {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** Counts what was asked for, saved or forgotten, in this order. */
    this.asked = 0;
    /** Of which of these is what is shown of a knowledge base. @type {Map<string, number>} */
    this.shown = new Map();
    /** The same of the newest list that was shown, or of the last lock. */
    this.least = 0;
    /** How often its job was told of otherwise. @type {Map<string, number>} */
    this.heard = new Map();
    /** When the counts of a knowledge base were read. @type {Map<string, number>} */
    this.readAt = new Map();
  }

  /** A job is known better than any answer that is on its way can say. @param {string} kbId */
  hear(kbId) {
    this.heard.set(kbId, (this.heard.get(kbId) ?? 0) + 1);
  }

  /** It was saved or deleted just now. @param {string} kbId */
  overtake(kbId) {
    this.shown.set(kbId, (this.asked += 1));
  }

  /** Nothing that is on its way is shown. */
  drop() {
    this.least = this.asked += 1;
  }

  /** Read the list. The stream says nothing of knowledge bases that have never run, or are gone. */
  async all() {
    const mine = (this.asked += 1);
    const heard = new Map(this.heard);
    try {
      const revisions = await api.revisions(this.store.base); // before the list: what changes in between is seen by the next look
      const listed = new Map((await api.listKbs(this.store.base)).map((kb) => [kb.kb_id, kb]));
      if (mine > this.least) this.take(mine, revisions, listed, heard);
    } catch (error) {
      this.store.failed(error);
    }
  }

  /**
   * @param {number} mine
   * @param {Map<string, number>} revisions
   * @param {Map<string, KnowledgeBase>} listed
   * @param {Map<string, number>} heard
   */
  take(mine, revisions, listed, heard) {
    const before = this.store.kbs;
    const isNewer = (/** @type {string} */ kbId) => (this.shown.get(kbId) ?? 0) > mine;
    const kbs = new Map([...before].filter(([kbId]) => isNewer(kbId)));
    for (const [kbId, kb] of listed) {
      if (isNewer(kbId)) continue;
      this.readAt.set(kbId, performance.now());
      kbs.set(kbId, this.newer(kb, heard));
    }
    this.least = mine;
    this.store.lookout.known = revisions;
    this.store.placeAll(kbs);
  }

  /**
   * What was told of a job while an answer was on its way is newer than the answer.
   * @param {KnowledgeBase} kb
   * @param {Map<string, number>} heard
   */
  newer(kb, heard) {
    const known = this.store.kbs.get(kb.kb_id);
    const overtaken = known?.job && this.heard.get(kb.kb_id) !== heard.get(kb.kb_id);
    return overtaken ? { ...kb, job: known.job } : kb;
  }

  /**
   * A knowledge base as the server has it now; null when it has none of that name. Rejects when it cannot be asked.
   * @param {string} kbId
   * @returns {Promise<KnowledgeBase | null>}
   */
  async one(kbId) {
    const mine = (this.asked += 1);
    const heard = new Map(this.heard);
    this.readAt.set(kbId, performance.now());
    /** @type {KnowledgeBase | null} */
    const kb = await api.getKb(kbId, this.store.base).catch((error) => {
      if (isMissing(error)) return null;
      throw error;
    });
    if (mine < Math.max(this.least, this.shown.get(kbId) ?? 0)) return kb;
    if (kb === null) {
      if (this.store.kbs.has(kbId)) this.store.forget(kbId);
      return null;
    }
    this.shown.set(kbId, mine);
    const now = this.newer(kb, heard);
    this.store.place(now);
    return now;
  }
}
