/**
 * The runs of a knowledge base, newest first, each with the view of the newest.
 *
 * @import {IngestionJob} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { el, setText } from "./dom.js";
import { icon } from "./icons.js";
import { RunView } from "./run-view.js";
import { capital, counted, duration, failedWords, moment, runSeconds, statusWord } from "./words.js";

export class RunsPanel {
  /**
   * @param {Store} store
   * @param {string} kbId
   */
  constructor(store, kbId) {
    this.store = store;
    this.kbId = kbId;
    this.seen = "";
    this.asked = 0;
    /** @type {string | null} */
    this.cursor = null;
    this.list = el("ul", { class: "runs" });
    this.told = el("p", { class: "told", text: "Loading…" });
    this.more = el("button", { type: "button", text: "Show more", hidden: true });
    this.more.addEventListener("click", () => void this.read(this.cursor));
    this.node = el("div", { class: "card past" }, this.told, this.list, this.more);
    this.leave = store.watch({ kb: (one) => one === kbId && this.look(), list: () => this.look(), back: () => this.look() });
    this.look();
  }

  look() {
    const job = this.store.kbs.get(this.kbId)?.job;
    const state = job ? `${job.job_id} ${job.status}` : "none";
    if (state === this.seen) return;
    this.seen = state;
    void this.read(null);
  }

  /** @param {string | null} cursor */
  async read(cursor) {
    const mine = (this.asked += 1);
    try {
      const page = await api.jobs(this.kbId, cursor, this.store.base);
      if (mine !== this.asked) return;
      if (cursor === null) this.list.replaceChildren();
      this.list.append(...page.items.map((job) => this.run(job)));
      this.cursor = page.next_cursor;
    } catch (error) {
      if (mine !== this.asked) return;
      this.seen = ""; // so that it is asked for again
      this.store.failed(error);
      setText(this.told, capital(/** @type {Error} */ (error).message));
      return;
    }
    const shown = this.list.childElementCount;
    this.more.hidden = this.cursor === null;
    setText(this.told, shown ? "Every run keeps its phases and its timeline." : "It has never run.");
  }

  /** @param {IngestionJob} job */
  run(job) {
    const seconds = runSeconds(job);
    const facts = [
      counted(job.metrics.documents_loaded, "new or changed document"),
      ...(job.metrics.documents_failed ? [failedWords(job.metrics.documents_failed)] : []),
      ...(seconds === null ? [] : [duration(seconds)]),
    ];
    const summary = el("summary", {}, icon("open"),
      el("span", { class: "state", "data-status": job.status }, icon(job.status), el("span", { text: statusWord(job.status) })),
      el("time", { datetime: job.created_at, text: moment(job.created_at) }), el("span", { class: "facts", text: facts.join(" · ") }));
    const node = el("details", { class: "past-run" }, summary);
    /** @type {RunView | null} */
    let view = null;
    node.addEventListener("toggle", () => {
      if (!node.open) return;
      if (view) return void view.show();
      view = new RunView(this.store, this.kbId, job);
      node.append(view.node);
    });
    return el("li", {}, node);
  }
}
