/**
 * A feed for what somebody looks at. A browser has six connections to a server for all its windows: one that is hidden
 * lets go of its own after a few seconds, and goes on behind its last event when it is seen again.
 *
 * @import {FeedOptions} from "./feed.js"
 */

import { Feed } from "./feed.js";

/** Whoever only turns to another window and back costs no new connection. */
const HIDDEN_MS = 3000;

export class SeenFeed {
  /**
   * @param {FeedOptions} options
   * @param {{rests?: () => void, wakes?: () => void}} [told]
   */
  constructor(options, told = {}) {
    this.feed = new Feed(options);
    this.told = told;
    this.isResting = false;
    /** @type {AbortController | null} */
    this.leaving = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** Connect, or as soon as the page is seen. */
  open() {
    this.close();
    this.leaving = new AbortController();
    document.addEventListener("visibilitychange", () => this.look(), { signal: this.leaving.signal });
    this.isResting = document.hidden;
    if (!this.isResting) this.feed.open();
  }

  close() {
    clearTimeout(this.timer);
    this.leaving?.abort();
    this.leaving = null;
    this.feed.close();
  }

  look() {
    clearTimeout(this.timer);
    if (document.hidden && !this.isResting) this.timer = setTimeout(() => this.rest(), HIDDEN_MS);
    if (document.hidden || !this.isResting) return;
    this.isResting = false;
    this.told.wakes?.();
    this.feed.open();
  }

  rest() {
    this.isResting = true;
    this.feed.close();
    this.told.rests?.();
  }
}
