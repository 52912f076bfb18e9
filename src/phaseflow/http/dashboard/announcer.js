/**
 * Says aloud what a reader of the page would see happen, and no more: how jobs end or are held, not each batch.
 *
 * @import {Transition} from "./phaseflow.d.ts"
 */

import { setText } from "./dom.js";
import { statusWord } from "./words.js";

const WORTH_SAYING = new Set(["paused", "completed", "failed", "cancelled"]);
/** What happens within this time is said in one go. */
const GATHER_MS = 700;
const MOST_AT_ONCE = 3;

export class Announcer {
  /** @param {HTMLElement} region a polite live region */
  constructor(region) {
    this.region = region;
    /** @type {Map<string, string>} */
    this.waiting = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** @param {Transition} transition */
  hear(transition) {
    if (transition.phase !== null || !WORTH_SAYING.has(transition.to)) return;
    this.say(transition.kb_id, `${transition.kb_id}: ${statusWord(transition.to).toLowerCase()}`);
  }

  /**
   * @param {string} subject the newest word on a subject wins
   * @param {string} text
   */
  say(subject, text) {
    this.waiting.set(subject, text);
    this.timer ??= setTimeout(() => this.speak(), GATHER_MS);
  }

  speak() {
    this.timer = undefined;
    const all = [...this.waiting.values()];
    const rest = all.length - MOST_AT_ONCE;
    setText(this.region, all.slice(0, MOST_AT_ONCE).join(". ") + (rest > 0 ? `. And ${rest} more` : ""));
    this.waiting.clear();
  }
}
