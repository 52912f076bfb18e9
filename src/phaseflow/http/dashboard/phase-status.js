/**
 * `<phase-status kb="…">`: the four phases of a knowledge base, live.
 *
 * Attributes: `kb`; `job` shows one past run instead of the newest; `base` is the address of the server (default: where
 * this file came from); `readonly` takes the buttons away.
 * Events: `phaseflow-status` (detail: IngestionJob) whenever a status was drawn, `phaseflow-refused` (detail: Refusal).
 *
 * @import {IngestionJob} from "./phaseflow.d.ts"
 */

import * as api from "./api.js";
import { el, framed, sheet } from "./dom.js";
import { JobHead } from "./job-head.js";
import { PhaseRow } from "./phase-row.js";
import { storeOf } from "./store.js";
import { PHASES, capital } from "./words.js";

const SHEETS = await Promise.all([sheet("shared.css"), sheet("phase-status.css")]);

export class PhaseStatusElement extends HTMLElement {
  static observedAttributes = ["kb", "job", "base", "readonly"];

  constructor() {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = SHEETS;
    /** @type {IngestionJob | null} */
    this.job = null;
    /** @type {IngestionJob | null} */
    this.past = null;
    /** Why there is no past run to show. */
    this.missing = "";
    /** Lets go of what is shown. @type {(() => void) | null} */
    this.leave = null;
  }

  connectedCallback() {
    this.begin(this.getAttribute("kb") ?? "", this.getAttribute("job"));
  }

  disconnectedCallback() {
    this.leave?.();
    this.leave = null;
  }

  attributeChangedCallback() {
    if (!this.leave) return;
    this.disconnectedCallback();
    this.connectedCallback();
  }

  /**
   * @param {string} kbId
   * @param {string | null} jobId
   */
  begin(kbId, jobId) {
    const store = storeOf(this.getAttribute("base") ?? api.HERE);
    const isReadonly = jobId !== null || this.hasAttribute("readonly");
    const head = new JobHead(store, kbId);
    const rows = PHASES.map((name) => new PhaseRow(store, kbId, name));
    const list = el("ol", { class: "phases", "aria-label": `Phases of ${kbId}` }, ...rows.map((row) => row.node));
    this.past = null;
    this.missing = "";
    const drawNow = () => {
      const job = jobId === null ? (store.kbs.get(kbId)?.job ?? null) : this.past;
      const isGone = jobId === null && store.listed && !store.kbs.has(kbId);
      head.show(job, isReadonly, isGone ? `There is no knowledge base ${kbId}.` : this.missing);
      list.hidden = job === null;
      if (job) rows.forEach((row, at) => row.show(job, job.phase_details[at], store.verbs.verbOf(kbId, row.name), isReadonly));
      this.job = job;
      if (job) this.emit("phaseflow-status", job);
    };
    const draw = framed(() => this.leave === leave && drawNow());
    const leave = store.watch({
      list: draw,
      kb: (one) => one === kbId && draw(),
      refused: (refusal) => refusal.kb_id === kbId && this.emit("phaseflow-refused", refusal),
    });
    this.leave = leave;
    this.shadowRoot?.replaceChildren(head.node, head.refusal.node, list);
    drawNow();
    if (jobId !== null) void this.readPast(jobId, store.base, draw);
  }

  /**
   * A run that is over is read once; it will not change.
   * @param {string} jobId
   * @param {string} base
   * @param {() => void} draw
   */
  async readPast(jobId, base, draw) {
    const read = await api.job(jobId, base).catch((error) => /** @type {api.ApiError} */ (error));
    if (jobId !== this.getAttribute("job")) return;
    if (read instanceof Error) this.missing = capital(read.message);
    else this.past = read;
    draw();
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

customElements.define("phase-status", PhaseStatusElement);
