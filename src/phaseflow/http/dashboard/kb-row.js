/**
 * One knowledge base in the list.
 *
 * @import {IngestionJob, KnowledgeBase, Verb} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import { Controls } from "./controls.js";
import { el, setAttribute, setProperty, setText, setTime } from "./dom.js";
import { icon, setIcon } from "./icons.js";
import { RefusalLine } from "./refusal.js";
import { isOver } from "./store.js";
import { PHASES, ago, capital, counted, failedWords, moment, shownStatus, statusWord, summary, timeLeft } from "./words.js";

/** @type {Verb[]} */
const FIRST = ["start"];

export class KbRow {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {() => void} select
   */
  constructor(store, kbId, select) {
    this.store = store;
    this.kbId = kbId;
    this.mark = icon("never");
    this.word = el("span", { class: "word" });
    this.percent = el("span", { class: "percent" });
    this.segments = PHASES.map((name) => el("span", { class: "segment", "data-phase": name }, el("i")));
    this.strip = el("div", { class: "strip", role: "progressbar", "aria-label": `Progress of ${kbId}` }, ...this.segments);
    this.told = el("p", { class: "told" });
    this.when = el("time", { class: "when" });
    this.failed = el("span", { class: "failed" });
    this.controls = new Controls(store, kbId);
    this.refusal = new RefusalLine(() => store.verbs.forgive(kbId));
    this.opener = el("button", { type: "button", class: "opener", text: kbId, title: kbId });
    this.opener.addEventListener("click", select);
    this.node = el("li", { class: "row", "data-kb": kbId },
      el("div", { class: "top" }, this.opener, el("span", { class: "state" }, this.mark, this.word)),
      el("div", { class: "middle" }, this.strip, this.percent),
      this.told, el("div", { class: "bottom" }, this.failed, this.when, this.controls.node),
      this.refusal.node);
  }

  /** @param {KnowledgeBase} kb */
  show(kb) {
    const { job } = kb;
    const status = job?.status ?? "never";
    setAttribute(this.node, "data-status", status);
    setAttribute(this.node, "data-idle", job === null || (isOver(job) && status !== "failed"));
    setIcon(this.mark, status);
    setText(this.word, this.underwayWord() ?? statusWord(status));
    setText(this.percent, job ? `${Math.floor(job.progress)} %` : "");
    this.showStrip(job);
    const said = status === "completed" ? counted(kb.documents, "document") : summary(kb);
    setText(this.told, said);
    setAttribute(this.told, "title", said);
    setText(this.failed, failedWords(Math.max(kb.counts.failed, job?.metrics.documents_failed ?? 0)));
    this.showWhen(job);
    this.controls.show(job?.allowed_actions ?? FIRST, this.store.verbs.verbOf(this.kbId));
    this.refusal.show(this.store.verbs.refusals.get(this.kbId));
  }

  underwayWord() {
    if (this.store.verbs.verbOf(this.kbId) === "pause") return "Pausing…";
    return this.store.verbs.phasesUnderway(this.kbId).some((name) => this.store.verbs.verbOf(this.kbId, name) === "pause")
      ? "Pausing…" : null;
  }

  /** @param {IngestionJob | null} job */
  showStrip(job) {
    this.segments.forEach((segment, at) => {
      const phase = job?.phase_details[at];
      const isHeld = phase?.status === "not_started" && phase.waiting_on === "pause";
      const status = job && phase ? shownStatus(job, phase) : "not_started";
      setAttribute(segment, "data-status", isHeld ? "paused" : status);
      setAttribute(segment, "title", `${capital(PHASES[at])}: ${isHeld ? "On hold" : statusWord(status)}`);
      setProperty(segment, "--done", String((phase?.progress ?? 0) / 100));
    });
    setAttribute(this.strip, "aria-valuenow", String(Math.floor(job?.progress ?? 0)));
  }

  /** @param {IngestionJob | null} job */
  showWhen(job) {
    if (job === null) return setTime(this.when, null, "", "");
    const at = job.completed_at ?? job.started_at ?? job.created_at;
    const text = isOver(job) ? ago(at) : timeLeft(job.eta_seconds);
    setTime(this.when, at, text, `Last run: ${moment(at)}`);
  }

  /** @param {boolean} isSelected */
  select(isSelected) {
    setAttribute(this.opener, "aria-current", isSelected ? "true" : null);
  }
}
