/**
 * A run with its phases, its numbers and its timeline; the same for the newest job and for those before it.
 *
 * @import {IngestionJob, Metrics, Transition} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { el, setText } from "./dom.js";
import { isOver } from "./store.js";
import { timeline } from "./timeline.js";
import { count } from "./words.js";

/** A drawing that grows need not be newer than this. */
const DRAW_EVERY_MS = 1000;
/** @type {[keyof Metrics, string][]} */
const NUMBERS = [
  ["documents_found", "Documents found"], ["documents_loaded", "New or changed"], ["documents_unchanged", "Unchanged"],
  ["documents_deleted", "Deleted"], ["documents_failed", "Failed"], ["chunks_created", "Chunks"],
  ["embeddings_computed", "Vectors computed"], ["embeddings_reused", "Vectors reused"], ["chunks_indexed", "Chunks indexed"],
];

export class RunView {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {IngestionJob | null} past null shows the newest job, live
   */
  constructor(store, kbId, past = null) {
    this.store = store;
    this.kbId = kbId;
    this.past = past;
    /** @type {Transition[]} */
    this.log = [];
    /** Whose log is shown or on its way; empty when it could not be read. */
    this.jobId = "";
    this.isUnread = false;
    this.drawnAt = 0;
    this.drawn = "";
    /** What was shown last, and when it came. @type {IngestionJob | null} */
    this.shown = null;
    this.shownAt = 0;
    this.chart = el("div", { class: "chart" });
    this.numbers = el("dl", { class: "tiles" });
    this.values = NUMBERS.map(([, title]) => this.tile(title));
    const caption = el("h3", { text: "Timeline" });
    this.figure = el("section", { class: "card figure", hidden: true }, caption, this.chart);
    this.counts = el("section", { class: "card", hidden: true }, el("h3", { text: "In numbers" }), this.numbers);
    this.node = el("div", { class: "run" }, el("phase-status", { kb: kbId, base: store.base, job: past?.job_id ?? false }), this.figure, this.counts);
    this.leave = past ? () => undefined : store.watch({
      kb: (one) => one === kbId && void this.show(),
      list: () => void this.show(),
      transition: (one) => this.hear(one),
      reset: () => void this.read(),
      back: () => this.jobId === "" && void this.show(),
    });
    void this.show();
  }

  /** @param {string} title */
  tile(title) {
    const value = el("dd");
    this.numbers.append(el("div", {}, el("dt", { text: title }), value));
    return value;
  }

  job() {
    return this.past ?? this.store.kbs.get(this.kbId)?.job ?? null;
  }

  async show() {
    const job = this.job();
    this.counts.hidden = job === null;
    this.figure.hidden = job === null || this.isUnread; // without a log nothing can be said of when
    if (job === null) return;
    if (job !== this.shown) [this.shown, this.shownAt] = [job, Date.now()];
    this.values.forEach((node, at) => setText(node, count(job.metrics[NUMBERS[at][0]])));
    if (job.job_id !== this.jobId) await this.read();
    else this.draw(statusesOf(job) !== this.drawn);
  }

  async read() {
    const job = this.job();
    if (job === null) return;
    if (this.jobId !== job.job_id) this.log = [];
    this.jobId = job.job_id;
    const log = await api.transitions(job.job_id, this.store.base).catch(() => null);
    if (this.jobId !== job.job_id) return;
    this.isUnread = this.figure.hidden = log === null && this.log.length === 0;
    if (log === null) return void (this.isUnread && (this.jobId = ""));
    const newer = this.log.filter((one) => one.job_id === job.job_id && one.seq > (log.at(-1)?.seq ?? 0));
    this.log = [...log, ...newer];
    this.draw(true);
  }

  /** @param {Transition} transition */
  hear(transition) {
    if (transition.job_id !== this.jobId || transition.seq <= (this.log.at(-1)?.seq ?? 0)) return;
    this.log.push(transition);
    this.draw(true);
  }

  draw(isNew = false) {
    const job = this.job();
    if (job === null || (!isNew && (isOver(job) || performance.now() - this.drawnAt < DRAW_EVERY_MS))) return;
    this.drawnAt = performance.now();
    this.drawn = statusesOf(job);
    this.chart.replaceChildren(timeline(this.log, job, this.past?.job_id ?? "now", Date.now(), this.shownAt));
  }
}

/**
 * What a drawing is made anew for at once: with it came the running times that were settled.
 * @param {IngestionJob} job
 */
const statusesOf = (job) => [job.job_id, ...job.phase_details.map((one) => one.status)].join(" ");
