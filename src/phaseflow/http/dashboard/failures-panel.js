/**
 * The documents of a knowledge base that failed, and why.
 *
 * @import {Failure} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { el, setText } from "./dom.js";
import { ago, count, moment } from "./words.js";

export class FailuresPanel {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {(label: string) => void} tally
   */
  constructor(store, kbId, tally) {
    this.store = store;
    this.kbId = kbId;
    this.tally = tally;
    this.seen = "";
    /** @type {string | null} */
    this.cursor = null;
    this.rows = el("tbody");
    this.table = el("table", { hidden: true },
      el("thead", {}, el("tr", {}, ...["Document", "Phase", "Error", "Attempts", "When"].map((text) => el("th", { scope: "col", text })))),
      this.rows);
    this.told = el("p", { class: "told", text: "Loading…" });
    this.more = el("button", { type: "button", text: "Show more", hidden: true });
    this.more.addEventListener("click", () => void this.read(this.cursor));
    this.node = el("div", { class: "card failures" }, this.told, this.table, this.more);
    this.leave = store.watch({ kb: (one) => one === kbId && this.look(), list: () => this.look() });
    this.look();
  }

  /** Read again when the job says that something has changed; nothing is asked at intervals. */
  look() {
    const job = this.store.kbs.get(this.kbId)?.job;
    const state = job ? `${job.job_id} ${job.status} ${job.metrics.documents_failed}` : "none";
    if (state === this.seen) return;
    this.seen = state;
    void this.read(null);
  }

  /** @param {string | null} cursor */
  async read(cursor) {
    try {
      const page = await api.failures(this.kbId, cursor, this.store.base);
      if (cursor === null) this.rows.replaceChildren();
      this.rows.append(...page.items.map(row));
      this.cursor = page.next_cursor;
    } catch (error) {
      this.store.failed(error);
      setText(this.told, /** @type {Error} */ (error).message);
      return;
    }
    this.show();
  }

  show() {
    const shown = this.rows.childElementCount;
    this.table.hidden = shown === 0;
    this.more.hidden = this.cursor === null;
    setText(this.told, shown ? "They are tried again by the next run, and by Retry." : "No document has failed.");
    this.tally(shown ? `${count(shown)}${this.cursor === null ? "" : "+"}` : "");
  }
}

/** @param {Failure} failure */
function row(failure) {
  const when = el("time", { datetime: failure.at, title: moment(failure.at), text: ago(failure.at) });
  return el("tr", {},
    el("th", { scope: "row" }, el("bdi", { class: "uri", text: failure.uri })),
    el("td", { "data-label": "Phase", class: "short-text", text: failure.phase }),
    el("td", { "data-label": "Error", class: "error" }, el("bdi", { text: failure.error }), el("code", { text: failure.code })),
    el("td", { "data-label": "Attempts", class: "number", text: count(failure.attempts) }),
    el("td", { "data-label": "When" }, when));
}
