/**
 * The head of a job: its status, what it does, how long it may take, its controls.
 *
 * @import {IngestionJob, Verb} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import { Controls } from "./controls.js";
import { el, setAttribute, setText } from "./dom.js";
import { icon, setIcon } from "./icons.js";
import { RefusalLine } from "./refusal.js";
import { counted, duration, runSeconds, statusWord, timeLeft } from "./words.js";

export class JobHead {
  /**
   * @param {Store} store
   * @param {string} kbId
   */
  constructor(store, kbId) {
    this.store = store;
    this.kbId = kbId;
    this.mark = icon("never");
    this.word = el("span", { class: "word" });
    this.percent = el("span", { class: "percent" });
    this.message = el("p", { class: "message" });
    this.left = el("span", { class: "left" });
    this.failed = el("span", { class: "failed" });
    this.again = this.fullStart();
    this.controls = new Controls(store, kbId, null, this.again);
    this.refusal = new RefusalLine(() => store.verbs.forgive(kbId));
    this.node = el("header", { class: "head" },
      el("div", { class: "state" }, this.mark, this.word, this.percent),
      el("div", { class: "told" }, this.message, this.failed, this.left), this.controls.node);
  }

  /**
   * @param {IngestionJob | null} job
   * @param {boolean} isReadonly
   * @param {string} missing that there is no such thing, in words; empty while that is not known
   */
  show(job, isReadonly, missing = "") {
    const status = job?.status ?? "never";
    setAttribute(this.node, "data-status", status);
    setIcon(this.mark, status);
    setText(this.word, !isReadonly && this.store.verbs.verbOf(this.kbId) === "pause" ? "Pausing…" : missing ? "Not found" : statusWord(status));
    setText(this.percent, job ? `${Math.floor(job.progress)} %` : "");
    setText(this.message, job ? job.message : missing || this.nothingYet());
    setText(this.failed, job?.metrics.documents_failed ? `${counted(job.metrics.documents_failed, "document")} failed` : "");
    setText(this.left, job ? ending(job) : "");
    this.controls.show(isReadonly ? [] : this.allowed(job), isReadonly ? null : this.store.verbs.verbOf(this.kbId));
    if (job === null) this.again.hidden = true;
    this.refusal.show(isReadonly ? undefined : this.store.verbs.refusals.get(this.kbId));
  }

  /** Start without trust in sizes and times of change: what a job reads that is not the first. */
  fullStart() {
    const button = el("button", {
      type: "button", class: "quiet", "data-verb": "full", "aria-label": `Read all again, ${this.kbId}`, hidden: true,
      title: "Start a run that reads every document, also those that look unchanged", text: "Read all again",
    });
    button.addEventListener("click", () => void this.store.verbs.act("start", this.kbId, null, { full: true }));
    return button;
  }

  nothingYet() {
    return this.store.listed ? "Start it to load, chunk, embed and index its documents." : "Loading…";
  }

  /**
   * @param {IngestionJob | null} job
   * @returns {Verb[]}
   */
  allowed(job) {
    if (job) return job.allowed_actions;
    return this.store.kbs.has(this.kbId) ? ["start"] : [];
  }
}

/** @param {IngestionJob} job */
function ending(job) {
  const seconds = runSeconds(job);
  return seconds === null ? timeLeft(job.eta_seconds) : `took ${duration(seconds)}`;
}
