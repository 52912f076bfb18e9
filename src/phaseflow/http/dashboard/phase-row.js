/**
 * One phase of a job: what it does, how far it is, why it waits, and the facts on demand.
 *
 * @import {IngestionJob, JobPhase, PhaseDetail, Verb} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import { Controls } from "./controls.js";
import { el, setAttribute, setProperty, setText } from "./dom.js";
import { icon, setIcon } from "./icons.js";
import { isOver } from "./store.js";
import { amount, capital, count, duration, failedWords, moment, note, rate, shownStatus, statusWord, unit } from "./words.js";

const FACTS = ["Started", "Completed", "Time running", "Reused", "Failed", "Error"];

export class PhaseRow {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {JobPhase} name
   */
  constructor(store, kbId, name) {
    this.name = name;
    this.mark = icon("not_started");
    this.word = el("span", { class: "word" });
    this.bar = el("div", { class: "bar", role: "progressbar", "aria-label": `${capital(name)} progress` },
      el("i", { class: "done" }), el("i", { class: "bad" }));
    this.amount = el("span", { class: "amount" });
    this.unit = el("span", { class: "unit" });
    this.failed = el("span", { class: "failed" });
    this.rate = el("span", { class: "rate" });
    this.percent = el("span", { class: "percent" });
    this.note = el("span", { class: "note" });
    this.controls = new Controls(store, kbId, name);
    this.facts = el("dl", { class: "facts", id: `facts-${name}`, hidden: true });
    /** @type {HTMLElement[]} */
    this.values = FACTS.map((fact) => this.fact(fact));
    this.node = el("li", { class: "phase", "data-phase": name },
      el("div", { class: "name" }, this.mark, el("strong", { text: capital(name) }), this.word),
      this.bar, this.percent,
      el("div", { class: "numbers" }, el("span", { class: "items" }, this.amount, this.unit), this.failed, this.rate, this.note),
      el("div", { class: "tools" }, this.controls.node, this.toggle()),
      this.facts);
  }

  /** @param {string} title */
  fact(title) {
    const value = el("dd");
    this.facts.append(el("div", {}, el("dt", { text: title }), value));
    return value;
  }

  toggle() {
    const button = el("button", {
      type: "button", class: "quiet more", "aria-expanded": "false", "aria-controls": this.facts.id,
      "aria-label": `Details of ${this.name}`,
    }, icon("open"));
    button.addEventListener("click", () => {
      this.facts.hidden = !this.facts.hidden;
      setAttribute(button, "aria-expanded", String(!this.facts.hidden));
    });
    return button;
  }

  /**
   * @param {IngestionJob} job
   * @param {PhaseDetail} phase
   * @param {Verb | null} underway
   * @param {boolean} isReadonly
   */
  show(job, phase, underway, isReadonly) {
    const isHeld = phase.status === "not_started" && phase.waiting_on === "pause";
    const status = shownStatus(job, phase);
    const shown = isHeld ? "paused" : status;
    const word = underway === "pause" && phase.status === "running" ? "Pausing…" : isHeld ? "On hold" : statusWord(status);
    setAttribute(this.node, "data-status", shown);
    setIcon(this.mark, shown);
    setText(this.word, word);
    setText(this.amount, amount(phase));
    setText(this.unit, unit(phase));
    setText(this.failed, failedWords(phase.items_failed));
    setAttribute(this.unit, "hidden", amount(phase) === "");
    setText(this.rate, phase.status === "running" && phase.waiting_on === null ? rate(phase.items_per_second) : "");
    setText(this.percent, phase.status === "running" && phase.items_total === null ? "" : `${phase.progress} %`);
    this.showBar(phase, word);
    const said = note(job, phase);
    setText(this.note, said);
    setAttribute(this.note, "title", said || null);
    this.controls.show(isReadonly ? [] : verbsOf(job, phase, underway), isReadonly ? null : phaseVerb(underway));
    this.showFacts(phase);
  }

  /**
   * @param {PhaseDetail} phase
   * @param {string} word
   */
  showBar(phase, word) {
    const known = phase.items_total ?? 0;
    const bad = known > 0 ? Math.min(100, (phase.items_failed / known) * 100) : 0;
    setProperty(this.bar, "--done", String(phase.progress / 100));
    setProperty(this.bar, "--bad", String(bad > 0 ? Math.max(bad, 0.8) / 100 : 0));
    const isOpen = phase.status === "running" && phase.items_total === null;
    setAttribute(this.bar, "data-open", isOpen && phase.waiting_on === null);
    setAttribute(this.bar, "aria-valuenow", isOpen ? null : String(phase.progress));
    const items = amount(phase) && `${amount(phase).replace("/", "of")} ${unit(phase)}`;
    setAttribute(this.bar, "aria-valuetext", [word, items, failedWords(phase.items_failed)].filter(Boolean).join(", "));
  }

  /** @param {PhaseDetail} phase */
  showFacts(phase) {
    const told = [
      moment(phase.started_at), moment(phase.completed_at),
      phase.started_at === null ? "–" : duration(phase.active_seconds),
      count(phase.items_reused), count(phase.items_failed), phase.error ?? "–",
    ];
    told.forEach((text, at) => setText(this.values[at], text));
    setAttribute(/** @type {Element} */ (this.values[FACTS.indexOf("Error")].parentElement), "hidden", phase.error === null);
  }
}

/**
 * The verbs that a phase takes. A phase that is done or failed takes none; its job does. A pause can be taken back while it
 * waits for the batch in hand.
 * @param {IngestionJob} job
 * @param {PhaseDetail} phase
 * @param {Verb | null} underway
 * @returns {Verb[]}
 */
function verbsOf(job, phase, underway) {
  if (isOver(job) || phase.status === "completed" || phase.status === "failed") return [];
  const isHeld = phase.status === "paused" || phase.waiting_on === "pause" || underway === "pause";
  if (isHeld) return job.allowed_actions.includes("resume") ? ["resume"] : [];
  return job.allowed_actions.includes("pause") ? ["pause"] : [];
}

/**
 * @param {Verb | null} underway
 * @returns {Verb | null}
 */
const phaseVerb = (underway) => (underway === "pause" || underway === "resume" ? underway : null);
