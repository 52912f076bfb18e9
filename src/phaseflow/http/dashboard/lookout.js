/**
 * Looks for what the feed of jobs does not tell: knowledge bases that were made, changed, counted anew or deleted without
 * a job. One short question every few seconds says which of them to read again; less often while the page is hidden, where
 * it tells of the end of runs.
 *
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";

const EVERY_MS = 7000;
const HIDDEN_EVERY_MS = 30_000;
/** More than so many are read as one list. */
const FEW = 8;

export class Lookout {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** The revisions that what is shown has, or had when it was read. @type {Map<string, number>} */
    this.known = new Map();
    this.isLooking = false;
    /** Whether there was cause to look while it looked: what it was told then may be of before. */
    this.isDue = false;
    /** @type {AbortController | null} */
    this.leaving = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  open() {
    this.close();
    this.leaving = new AbortController();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.wait() : void this.look()), { signal: this.leaving.signal });
    this.wait();
  }

  close() {
    clearTimeout(this.timer);
    this.leaving?.abort();
    this.leaving = null;
  }

  wait() {
    clearTimeout(this.timer);
    if (this.leaving) this.timer = setTimeout(() => void this.look(), document.hidden ? HIDDEN_EVERY_MS : EVERY_MS);
  }

  /** Look now. */
  async look() {
    this.isDue = true;
    if (this.isLooking || !this.leaving) return this.wait();
    this.isLooking = true;
    try {
      while (this.isDue && this.leaving) {
        this.isDue = false;
        await this.compare();
      }
    } catch (error) {
      this.store.failed(error);
    } finally {
      this.isLooking = false;
      this.wait();
    }
  }

  async compare() {
    const { store, leaving } = this;
    if (!store.listed) return store.refresh();
    const before = [...store.kbs.keys()];
    const now = await api.revisions(store.base);
    if (leaving !== this.leaving) return;
    for (const kbId of before) if (!now.has(kbId) && store.kbs.has(kbId)) store.forget(kbId);
    // Those that the stream tells of are read again on its word; what is left is seen by the next look.
    const changed = [...now].filter(([kbId, revision]) => (this.known.get(kbId) !== revision || !store.kbs.has(kbId)) && !store.isTold(kbId));
    if (changed.length > FEW) return store.refresh();
    for (const [kbId, revision] of changed) {
      await store.fresh(kbId);
      this.known.set(kbId, revision);
    }
  }
}
