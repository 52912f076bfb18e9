/**
 * A run drawn from its transition log: one lane a phase.
 *
 * @import {IngestionJob, JobPhase, Transition} from "./phaseflow.d.ts"
 */

import { el, svg } from "./dom.js";
import { isOver } from "./store.js";
import { PHASES, capital, duration, statusWord } from "./words.js";

const LANE = 28;
const BAR = 14;
const AXIS = 22;
const MOST_TICKS = 6;
const STEPS_S = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400];

/**
 * @typedef {object} Span
 * @property {string} status
 * @property {number} from in milliseconds since the epoch
 * @property {number} to
 */

/**
 * What a phase did when. A span that is still open ends at `end`.
 * @param {Transition[]} log of one phase, in order
 * @param {number} end
 * @returns {Span[]}
 */
export function spansOf(log, end) {
  return log.map((one, at) => {
    const from = Date.parse(one.at);
    const isLast = at === log.length - 1;
    const lasts = one.to === "running" || one.to === "paused";
    return { status: one.to, from, to: isLast ? (lasts ? Math.max(end, from) : from) : Date.parse(log[at + 1].at) };
  });
}

/**
 * @param {Transition[]} log of the whole job
 * @param {IngestionJob} job
 * @param {number} [now]
 */
export function timeline(log, job, now = Date.now()) {
  const times = log.map((one) => Date.parse(one.at));
  const start = times.length ? Math.min(...times) : now;
  const last = times.length ? Math.max(...times) : now;
  const end = Math.max(isOver(job) ? last : Math.max(now, last), start + 1);
  const lanes = PHASES.map((name) => ({ name, spans: spansOf(log.filter((one) => one.phase === name), end) }));
  const labels = lanes.map(({ name, spans }) => el("li", {}, el("span", { text: capital(name) }), el("span", { class: "unseen", text: `: ${told(spans)}` })));
  const where = { start, length: end - start };
  return el("div", { class: "timeline" }, el("ol", { class: "lanes" }, ...labels), drawing(lanes, where));
}

/** @param {Span[]} spans */
function told(spans) {
  const parts = spans.map(({ status, from, to }) =>
    status === "running" || status === "paused" ? `${status} for ${duration((to - from) / 1000)}` : status);
  return parts.join(", ") || "not started";
}

/**
 * @param {{name: JobPhase, spans: Span[]}[]} lanes
 * @param {{start: number, length: number}} where
 */
function drawing(lanes, where) {
  const height = lanes.length * LANE + AXIS;
  const node = svg("svg", { class: "drawing", width: "100%", height, "aria-hidden": "true" }, hatching());
  for (const at of ticks(where.length / 1000)) node.append(...tick(at, (at * 1000) / where.length, height));
  lanes.forEach(({ name, spans }, lane) => {
    const middle = lane * LANE + LANE / 2;
    node.append(svg("line", { x1: "0", x2: "100%", y1: middle, y2: middle, class: "rail" }));
    for (const span of spans) node.append(bar(span, middle, where, name));
  });
  return node;
}

/** The pattern of paused time: told apart from running time without its colour. */
function hatching() {
  const stripe = svg("path", { d: "M-1 1l2-2M0 6L6 0M5 7l2-2", class: "hatch" });
  const pattern = svg("pattern", { id: "paused", width: 6, height: 6, patternUnits: "userSpaceOnUse" });
  pattern.append(svg("rect", { width: 6, height: 6, class: "ground" }), stripe);
  return svg("defs", {}, pattern);
}

/**
 * @param {Span} span
 * @param {number} middle
 * @param {{start: number, length: number}} where
 * @param {JobPhase} name
 */
function bar(span, middle, where, name) {
  const left = ((span.from - where.start) / where.length) * 100;
  const lasts = span.status === "running" || span.status === "paused";
  const title = svg("title");
  title.textContent = `${capital(name)}: ${statusWord(span.status)}${lasts ? ` for ${duration((span.to - span.from) / 1000)}` : ""}`;
  if (!lasts) return svg("circle", { cx: `${left}%`, cy: middle, r: span.status === "failed" ? 6 : 4.5, class: `mark ${span.status}` }, title);
  const node = svg("rect", { x: `${left}%`, y: middle - BAR / 2, height: BAR, rx: 3, class: `span ${span.status}` }, title);
  node.style.setProperty("width", `max(3px, ${((span.to - span.from) / where.length) * 100}%)`);
  return node;
}

/**
 * Round moments, at most MOST_TICKS of them.
 * @param {number} seconds
 */
function ticks(seconds) {
  const step = STEPS_S.find((one) => seconds / one <= MOST_TICKS) ?? Math.ceil(seconds / MOST_TICKS / 86400) * 86400;
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, at) => at * step);
}

/**
 * @param {number} seconds
 * @param {number} share of the width
 * @param {number} height
 */
function tick(seconds, share, height) {
  const x = `${share * 100}%`;
  const label = svg("text", { x, y: height - 4, class: "tick", "text-anchor": share < 0.04 ? "start" : share > 0.96 ? "end" : "middle" });
  label.textContent = seconds === 0 ? "0" : duration(seconds).replace(".0 s", " s").replace(" 00 s", "").replace(" 00 min", "");
  return [svg("line", { x1: x, x2: x, y1: 0, y2: height - AXIS + 4, class: "grid" }), label];
}
