/**
 * The buttons of a job or of one phase. Each verb has its button for good, shown while it can be used: so the focus can
 * go on to the next one, and nothing is built anew at each status.
 *
 * @import {JobPhase, Verb} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import { el, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { doingWord, verbWord } from "./words.js";

/** @type {Verb[]} */
const VERBS = ["retry", "start", "resume", "pause", "cancel"];

export class Controls {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {JobPhase | null} [phase]
   * @param {HTMLButtonElement | null} [other] goes with Start
   */
  constructor(store, kbId, phase = null, other = null) {
    this.store = store;
    this.kbId = kbId;
    this.phase = phase;
    this.other = other;
    this.subject = phase === null ? kbId : `${phase} of ${kbId}`;
    this.node = el("div", { class: "controls", role: "group", "aria-label": `Controls of ${this.subject}` }, ...(other ? [other] : []));
    /** @type {Map<Verb, HTMLButtonElement>} */
    this.buttons = new Map();
  }

  /**
   * @param {Verb[]} allowed
   * @param {Verb | null} underway its button says so and waits
   */
  show(allowed, underway) {
    const focused = [...this.node.querySelectorAll("button")].find((button) => button.matches(":focus"));
    for (const verb of VERBS) {
      const isShown = verb === underway || (allowed.includes(verb) && (underway === null || verb === "cancel"));
      if (isShown || this.buttons.has(verb)) this.showOne(this.button(verb), verb, isShown, underway);
    }
    if (this.other) this.other.hidden = underway !== null || !allowed.includes("start");
    if (focused?.hidden) this.first()?.focus();
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {Verb} verb
   * @param {boolean} isShown
   * @param {Verb | null} underway
   */
  showOne(button, verb, isShown, underway) {
    const waits = underway !== null && (underway === verb || underway === "cancel" || verb !== "cancel");
    const word = underway === verb ? doingWord(verb) : verbWord(verb);
    if (button.hidden === isShown) button.hidden = !isShown;
    setAttribute(button, "aria-disabled", waits ? "true" : null);
    setAttribute(button, "aria-label", `${word} ${this.subject}`);
    setText(/** @type {Element} */ (button.lastElementChild), word);
  }

  /** The button that is seen first: in the order of VERBS, so never Cancel while there is another. */
  first() {
    return VERBS.map((verb) => this.buttons.get(verb)).find((button) => button && !button.hidden);
  }

  /** @param {Verb} verb */
  button(verb) {
    const known = this.buttons.get(verb);
    if (known) return known;
    const made = el("button", { type: "button", class: "verb", "data-verb": verb, hidden: true }, icon(verb), el("span"));
    made.addEventListener("click", () => this.press(made, verb));
    const after = VERBS.slice(VERBS.indexOf(verb) + 1).map((one) => this.buttons.get(one)).find(Boolean);
    this.node.insertBefore(made, after ?? this.other);
    this.buttons.set(verb, made);
    return made;
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {Verb} verb
   */
  press(button, verb) {
    if (button.getAttribute("aria-disabled") !== "true") void this.store.act(verb, this.kbId, this.phase);
  }
}
