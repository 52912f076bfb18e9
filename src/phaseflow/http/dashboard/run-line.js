/**
 * The newest run in one line, with its phases drawn small, for the views that are not about it.
 *
 * @import {IngestionJob} from "./phaseflow.d.ts"
 */

import { el, setAttribute, setText, setTime, svg } from "./dom.js";
import { icon, setIcon } from "./icons.js";
import { addressOf } from "./place.js";
import { isOver } from "./store.js";
import { PHASES, ago, duration, moment, runSeconds, shownStatus, statusWord, timeLeft } from "./words.js";

const WIDTH = 96;
const LANE = 4;

export class RunLine {
  /** @param {string} kbId */
  constructor(kbId) {
    this.mark = icon("never");
    this.word = el("span");
    this.message = el("span", { class: "message" });
    this.took = el("span", { class: "took" });
    this.when = el("time");
    this.chart = svg("svg", { class: "sparks", width: WIDTH, height: PHASES.length * LANE, viewBox: `0 0 ${WIDTH} ${PHASES.length * LANE}`, "aria-hidden": "true" });
    this.drawn = "";
    this.node = el("a", { class: "run-line", href: addressOf(kbId, ["run"]), title: "Open the run", hidden: true },
      el("span", { class: "state" }, this.mark, this.word), this.message, this.chart, this.took, this.when);
  }

  /**
   * @param {IngestionJob | null} job
   * @param {boolean} isWanted
   */
  show(job, isWanted) {
    setAttribute(this.node, "hidden", job === null || !isWanted);
    if (job === null || !isWanted) return;
    const seconds = runSeconds(job);
    setAttribute(this.node, "data-status", job.status);
    setIcon(this.mark, job.status);
    setText(this.word, isOver(job) ? statusWord(job.status) : `${statusWord(job.status)} ${Math.floor(job.progress)} %`);
    setText(this.message, job.status === "completed" ? "" : job.message);
    setText(this.took, seconds === null ? timeLeft(job.eta_seconds) : `took ${duration(seconds)}`);
    const at = job.completed_at ?? job.started_at ?? job.created_at;
    setTime(this.when, at, isOver(job) ? ago(at) : "", moment(at));
    this.draw(job);
  }

  /** @param {IngestionJob} job */
  draw(job) {
    const now = job.completed_at === null ? Date.now() : Date.parse(job.completed_at);
    const spans = job.phase_details.flatMap((phase, lane) => phase.started_at === null ? [] : [{
      lane, status: shownStatus(job, phase), from: Date.parse(phase.started_at), to: phase.completed_at === null ? now : Date.parse(phase.completed_at),
    }]);
    const start = Math.min(...spans.map(({ from }) => from));
    const length = Math.max(1, Math.max(...spans.map(({ to }) => to)) - start);
    const bars = spans.map(({ lane, status, from, to }) => ({
      "data-status": status, y: lane * LANE, x: Math.round(((from - start) / length) * (WIDTH - 2)),
      width: Math.max(2, Math.round(((to - from) / length) * WIDTH)), height: LANE - 1, rx: 1,
    }));
    const drawn = JSON.stringify(bars);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.chart.replaceChildren(...bars.map((bar) => svg("rect", bar)));
  }
}
