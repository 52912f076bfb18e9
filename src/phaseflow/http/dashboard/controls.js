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
/** How long a cancel waits to be confirmed. */
const ASKING_MS = 6000;
/** What is pressed sooner after the question was not an answer to it: a second click, or tap, came with the first. */
const READING_MS = 500;

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
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.asking = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} set while nobody can have read the question */
    this.reading = undefined;
  }

  /**
   * Every verb that applies has its button, also while another one is under way.
   * @param {Verb[]} allowed
   * @param {Verb | null} underway its button says so and waits
   */
  show(allowed, underway) {
    const focused = [...this.node.querySelectorAll("button")].find((button) => button.matches(":focus"));
    for (const verb of VERBS) {
      const isShown = verb === underway || allowed.includes(verb);
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
    // Until the server has answered this page, what it allows is of before.
    const isSent = this.store.verbs.isSent(this.kbId, this.phase) && (underway === "cancel" || verb !== "cancel");
    const isAsking = button.hasAttribute("data-asking");
    const waits = (isAsking && this.reading !== undefined) || (underway !== null && (underway === verb || isSent));
    const word = underway === verb ? doingWord(verb) : isAsking ? "Cancel it?" : verbWord(verb);
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
    if (verb === "cancel") {
      made.addEventListener("blur", () => this.stopAsking(made));
      made.addEventListener("keydown", (event) => event.key === "Escape" && this.stopAsking(made));
    }
    const after = VERBS.slice(VERBS.indexOf(verb) + 1).map((one) => this.buttons.get(one)).find(Boolean);
    this.node.insertBefore(made, after ?? this.other);
    this.buttons.set(verb, made);
    return made;
  }

  /**
   * A cancel asks first, in its place: the second press does it, unless it comes with the first.
   * @param {HTMLButtonElement} button
   * @param {Verb} verb
   */
  press(button, verb) {
    if (button.getAttribute("aria-disabled") === "true") return;
    if (verb === "cancel" && !button.hasAttribute("data-asking")) return this.startAsking(button);
    this.stopAsking(button);
    void this.store.verbs.act(verb, this.kbId, this.phase);
  }

  /** @param {HTMLButtonElement} button */
  startAsking(button) {
    setAttribute(button, "data-asking", true);
    this.reading = setTimeout(() => this.listen(button), READING_MS);
    this.showOne(button, "cancel", true, null);
    this.asking = setTimeout(() => this.stopAsking(button), ASKING_MS);
  }

  /** @param {HTMLButtonElement} button */
  listen(button) {
    clearTimeout(this.reading);
    this.reading = undefined;
    this.showOne(button, "cancel", !button.hidden, this.store.verbs.verbOf(this.kbId, this.phase));
  }

  /** @param {HTMLButtonElement} button */
  stopAsking(button) {
    clearTimeout(this.asking);
    clearTimeout(this.reading);
    this.reading = undefined;
    if (!button.hasAttribute("data-asking")) return;
    setAttribute(button, "data-asking", false);
    this.showOne(button, "cancel", !button.hidden, this.store.verbs.verbOf(this.kbId, this.phase));
  }
}
