/**
 * What a phase did when, from the transition log and from the running time that the status states.
 *
 * @import {JobPhase, Transition} from "./phaseflow.d.ts"
 */

/** What a cancel writes to the phases that it ends. */
const CANCELLED = ["Cancelled by user", "Ended for a job that was started"];
/** The reason of the pause that is logged when a process died: at the moment it was found, not at that of the death. */
const FOUND_DEAD = "interrupted";
/** What is less than this is the time between two commits. */
const SHORTEST_MS = 50;

/**
 * @typedef {object} Span
 * @property {string} status of the phase; `interrupted` is the time from the last sign of life of a process to when it was found dead
 * @property {number} from in milliseconds since the epoch
 * @property {number} to
 * @property {boolean} lasts it has a length
 * @property {boolean} isGuess its end that borders on a death is not known: the phase was interrupted more than once
 */

/**
 * What a phase did when. A span that is still open ends at `end`. As long as the phase says that it was at work, so long
 * it is shown as running, which leaves out the time in which its process was dead.
 * @param {Transition[]} log of the whole job, in order
 * @param {{name: JobPhase, active_seconds: number}} phase
 * @param {number} end
 * @param {number} asOf when the running time of the phase was as it says
 * @returns {Span[]}
 */
export function spansOf(log, phase, end, asOf) {
  const own = log.filter((one) => one.phase === phase.name);
  const spans = own.map((one, at) => spanOf(one, own[at + 1], end));
  const dead = deadTimes(log, own, spans, phase.active_seconds * 1000, asOf);
  const isGuess = dead.filter((each) => each > 0).length > 1;
  return spans.flatMap((span, at) => {
    if (dead[at] === 0) return [span];
    const died = span.to - dead[at];
    return [{ ...span, to: died, isGuess }, { ...span, status: "interrupted", from: died, isGuess }];
  });
}

/**
 * @param {Transition} one
 * @param {Transition | undefined} next
 * @param {number} end
 * @returns {Span}
 */
function spanOf(one, next, end) {
  const from = Date.parse(one.at);
  const lasts = one.to === "running" || one.to === "paused";
  const to = next ? Date.parse(next.at) : lasts ? Math.max(end, from) : from;
  return { status: CANCELLED.includes(one.error ?? "") ? "cancelled" : one.to, from, to, lasts, isGuess: false };
}

/**
 * How much at the end of each span a process was dead that had not been found yet. Its sum is what the spans in which the
 * phase ran have more than its running time. After several deaths it is not known how much of it belongs to which: each
 * has its share of the time in which its process may have been dead.
 * @param {Transition[]} log
 * @param {Transition[]} own
 * @param {Span[]} spans
 * @param {number} active in milliseconds
 * @param {number} asOf
 */
function deadTimes(log, own, spans, active, asOf) {
  const possible = spans.map(({ status, from, to }, at) =>
    status === "running" && own[at + 1]?.reason === FOUND_DEAD ? to - lastSign(log, from, to) : 0);
  const all = possible.reduce((sum, one) => sum + one, 0);
  const ran = spans.reduce((sum, { status, from, to }, at) =>
    status === "running" ? sum + Math.max(0, (own[at + 1] ? to : asOf) - from) : sum, 0);
  const dead = Math.min(all, ran - active);
  return possible.map((one) => (dead < SHORTEST_MS || one === 0 ? 0 : (dead * one) / all));
}

/**
 * When a process certainly lived, at the latest: it has written a transition.
 * @param {Transition[]} log
 * @param {number} from
 * @param {number} to when it was found dead
 */
function lastSign(log, from, to) {
  return log.map((one) => Date.parse(one.at)).filter((at) => at < to).reduce((latest, at) => Math.max(latest, at), from);
}
