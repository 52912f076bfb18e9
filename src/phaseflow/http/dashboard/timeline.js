/**
 * A run drawn from its transition log: one lane a phase.
 *
 * @import {IngestionJob, JobPhase, Transition} from "./phaseflow.d.ts"
 * @import {Span} from "./spans.js"
 */

import { el, svg } from "./dom.js";
import { spansOf } from "./spans.js";
import { isOver } from "./store.js";
import { PHASES, capital, duration, statusWord } from "./words.js";

const LANE = 28;
const BAR = 14;
const AXIS = 22;
const MOST_TICKS = 6;
/** How long a break is drawn at most, as a share of the working time: else a night of it would make slivers of the work. */
const BREAK = 0.08;
/** All breaks together. */
const BREAKS = 0.4;
const STEPS_S = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400];

/**
 * The time as it is drawn: stretches in which something ran at their length, breaks between them shortened.
 *
 * @typedef {object} Scale
 * @property {{from: number, to: number}[]} breaks that are shortened
 * @property {number} length of what is drawn, in milliseconds
 * @property {(at: number) => number} place of a moment, as a share of the width
 * @property {number} worked what the axis counts: the time without the breaks, in milliseconds
 * @property {(ms: number) => number} placeOfWork place of a mark of the axis
 */

/**
 * @param {Span[]} spans of all phases
 * @param {number} start
 * @param {number} end
 * @returns {Scale}
 */
export function scaleOf(spans, start, end) {
  const busy = spans.filter((one) => one.status === "running").sort((a, b) => a.from - b.from);
  /** @type {{from: number, to: number}[]} */
  const gaps = [];
  let [reached, working] = [start, 0];
  for (const { from, to } of [...busy, { from: end, to: end }]) {
    if (from > reached) gaps.push({ from: reached, to: from });
    working += Math.max(0, to - Math.max(from, reached));
    reached = Math.max(reached, to);
  }
  const most = Math.max(working, 1) * Math.min(BREAK, BREAKS / Math.max(gaps.length, 1));
  const breaks = working > 0 ? gaps.filter(({ from, to }) => to - from > most) : [];
  const saved = (/** @type {number} */ at) =>
    breaks.reduce((sum, one) => sum + Math.min(1, Math.max(0, at - one.from) / (one.to - one.from)) * (one.to - one.from - most), 0);
  const length = Math.max(end - start - saved(end), 1);
  const lost = breaks.reduce((sum, one) => sum + one.to - one.from, 0);
  const place = (/** @type {number} */ at) => (at - start - saved(at)) / length;
  const placeOfWork = (/** @type {number} */ ms) => {
    let moment = start + ms;
    for (const one of breaks) if (moment > one.from) moment += one.to - one.from;
    return place(moment);
  };
  return { breaks, length, place, worked: end - start - lost, placeOfWork };
}

/**
 * @param {Transition[]} log of the whole job
 * @param {IngestionJob} job
 * @param {string} name of this drawing, unlike any other of the page
 * @param {number} [now]
 * @param {number} [asOf] when the job was as it says
 */
export function timeline(log, job, name, now = Date.now(), asOf = now) {
  const times = log.map((one) => Date.parse(one.at));
  const start = times.length ? Math.min(...times) : now;
  const last = times.length ? Math.max(...times) : now;
  const end = Math.max(isOver(job) ? last : now, last, start + 1);
  const lanes = PHASES.map((name) => ({ name, spans: spansOf(log, job.phase_details.find((one) => one.name === name) ?? { name, active_seconds: 0 }, end, asOf) }));
  const labels = lanes.map(({ name, spans }) => el("li", {}, el("span", { text: capital(name) }), el("span", { class: "unseen", text: `: ${told(spans)}` })));
  const scale = scaleOf(lanes.flatMap(({ spans }) => spans), start, end);
  const where = { scale, pattern: `paused-${name}` };
  return el("div", { class: "timeline" }, el("ol", { class: "lanes" }, ...labels), drawing(lanes, where), ...breakWords(scale));
}

/** @param {Scale} scale */
function breakWords({ breaks }) {
  if (breaks.length === 0) return [];
  const seconds = breaks.reduce((sum, { from, to }) => sum + to - from, 0) / 1000;
  const text = breaks.length === 1
    ? `A break of ${duration(seconds)}, in which nothing ran, is drawn short.`
    : `${breaks.length} breaks, together ${duration(seconds)}, in which nothing ran, are drawn short.`;
  return [el("p", { class: "told breaks", text })];
}

/** @param {Span[]} spans */
function told(spans) {
  return spans.map(spanWords).join(", ") || "not started";
}

/** @param {Span} span */
function spanWords({ status, from, to, lasts, isGuess }) {
  return lasts ? `${status} for ${isGuess ? "about " : ""}${duration((to - from) / 1000)}` : status;
}

/**
 * @param {{name: JobPhase, spans: Span[]}[]} lanes
 * @param {{scale: Scale, pattern: string}} where
 */
function drawing(lanes, where) {
  const height = lanes.length * LANE + AXIS;
  const node = svg("svg", { class: "drawing", width: "100%", height, "aria-hidden": "true" }, hatching(where.pattern));
  const { scale } = where;
  const step = stepOf(scale.worked / 1000);
  for (let at = 0; at <= scale.worked / 1000; at += step) node.append(...tick(at, scale.placeOfWork(at * 1000), height, step));
  lanes.forEach(({ name, spans }, lane) => {
    const middle = lane * LANE + LANE / 2;
    node.append(svg("line", { x1: "0", x2: "100%", y1: middle, y2: middle, class: "rail" }));
    for (const span of spans) if (span.status !== "interrupted") node.append(bar(span, middle, where, name));
  });
  for (const one of scale.breaks) node.append(...breakMark(one, scale, height));
  return node;
}

/**
 * The pattern of paused time: told apart from running time without its colour.
 * @param {string} id
 */
function hatching(id) {
  const stripe = svg("path", { d: "M-1 1l2-2M0 6L6 0M5 7l2-2", class: "hatch" });
  const pattern = svg("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse" });
  pattern.append(svg("rect", { width: 6, height: 6, class: "ground" }), stripe);
  return svg("defs", {}, pattern);
}

/**
 * Two slashes through all lanes in the middle of a break that is shortened.
 * @param {{from: number, to: number}} one
 * @param {Scale} scale
 * @param {number} height
 */
function breakMark(one, scale, height) {
  const middle = ((scale.place(one.from) + scale.place(one.to)) / 2) * 100;
  const title = svg("title");
  title.textContent = `Nothing ran for ${duration((one.to - one.from) / 1000)}`;
  const x = `${middle}%`;
  const line = () => svg("line", { x1: x, x2: x, y1: 0, y2: height - AXIS + 4, class: "break" });
  const [left, right] = [line(), line()];
  left.setAttribute("transform", "translate(-2 0)");
  right.setAttribute("transform", "translate(2 0)");
  right.append(title);
  return [left, right];
}

/**
 * @param {Span} span
 * @param {number} middle
 * @param {{scale: Scale, pattern: string}} where
 * @param {JobPhase} name
 */
function bar(span, middle, where, name) {
  const left = where.scale.place(span.from) * 100;
  const title = svg("title");
  title.textContent = `${capital(name)}: ${spanWords({ ...span, status: statusWord(span.status) })}`;
  if (!span.lasts) return svg("circle", { cx: `${left}%`, cy: middle, r: span.status === "failed" ? 6 : 4.5, class: `mark ${span.status}` }, title);
  const node = svg("rect", { x: `${left}%`, y: middle - BAR / 2, height: BAR, rx: 3, class: `span ${span.status}` }, title);
  if (span.status === "paused") node.style.setProperty("fill", `url(#${where.pattern})`);
  node.style.setProperty("width", `max(3px, ${where.scale.place(span.to) * 100 - left}%)`);
  return node;
}

/**
 * The time between two marks of the axis, so that there are at most MOST_TICKS.
 * @param {number} seconds
 */
function stepOf(seconds) {
  return STEPS_S.find((one) => seconds / one <= MOST_TICKS) ?? Math.ceil(seconds / MOST_TICKS / 86400) * 86400;
}

/**
 * @param {number} seconds
 * @param {number} step
 */
function tickWord(seconds, step) {
  if (seconds === 0) return "0";
  if (step < 0.1) return `${Math.round(seconds * 1000)} ms`;
  if (step < 1) return `${seconds.toFixed(1)} s`;
  if (step < 60) return duration(seconds).replace(".0 s", " s").replace(" 00 s", "");
  return step < 3600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/**
 * @param {number} seconds
 * @param {number} share of the width
 * @param {number} height
 * @param {number} step
 */
function tick(seconds, share, height, step) {
  const x = `${share * 100}%`;
  const label = svg("text", { x, y: height - 4, class: "tick", "text-anchor": share < 0.04 ? "start" : share > 0.96 ? "end" : "middle" });
  label.textContent = tickWord(seconds, step);
  return [svg("line", { x1: x, x2: x, y1: 0, y2: height - AXIS + 4, class: "grid" }), label];
}
