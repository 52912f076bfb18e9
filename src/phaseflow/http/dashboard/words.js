/**
 * What is said to people: pure functions from values to text.
 *
 * @import {IngestionJob, JobPhase, KnowledgeBase, PhaseDetail, Source, Verb, WaitingOn} from "./phaseflow.d.ts"
 */

const NUMBER = new Intl.NumberFormat("en");
const MOMENT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** @type {Record<string, string>} */
const STATUS = {
  not_started: "Not started", pending: "Queued", running: "Running", paused: "Paused",
  completed: "Completed", failed: "Failed", cancelled: "Cancelled", never: "Never run",
};
/** @type {Record<Verb, string>} */
const VERB = { start: "Start", pause: "Pause", resume: "Resume", cancel: "Cancel", retry: "Retry" };
/** @type {Record<Verb, string>} */
const DOING = { start: "Starting…", pause: "Pausing…", resume: "Resuming…", cancel: "Cancelling…", retry: "Retrying…" };
/** @type {JobPhase[]} */
export const PHASES = ["loading", "chunking", "embedding", "indexing"];

/** @param {string} status */
export const statusWord = (status) => STATUS[status] ?? status;
/** @param {Verb} verb */
export const verbWord = (verb) => VERB[verb];
/** @param {Verb} verb */
export const doingWord = (verb) => DOING[verb];
/** @param {string} text */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
/** @param {number} value */
export const count = (value) => NUMBER.format(value);
/**
 * @param {number} value
 * @param {string} one
 */
export const counted = (value, one) => `${count(value)} ${one}${value === 1 ? "" : "s"}`;

/**
 * Why a phase does not move; empty when it moves.
 * @param {JobPhase} phase
 * @param {WaitingOn | null} reason
 */
export function waiting(phase, reason) {
  if (reason === null) return "";
  if (reason === "upstream") return `waiting for ${PHASES[PHASES.indexOf(phase) - 1] ?? "the source"}`;
  if (reason === "rate_limit") return "the embedding server asked us to slow down";
  if (reason === "retry") return "a fault that may pass: trying again";
  if (reason === "interrupted") return "its process has ended";
  return reason === "queue" ? "waiting for a free slot" : "on hold";
}

/**
 * What is special about a phase now.
 * @param {PhaseDetail} phase
 */
export function note(phase) {
  if (phase.error) return capital(phase.error);
  if (phase.waiting_on === "pause" && phase.status !== "running") return "";
  if (phase.status === "not_started" && phase.waiting_on === "upstream") return "";
  return capital(waiting(phase.name, phase.waiting_on));
}

/**
 * `480 / 800`, or what is done so far while the total is unknown.
 * @param {PhaseDetail} phase
 */
export function amount(phase) {
  const done = phase.items_processed + phase.items_failed;
  if (phase.items_total !== null) return `${count(done)} / ${count(phase.items_total)}`;
  return phase.status === "not_started" ? "" : count(done);
}

/** @param {JobPhase} phase */
export const unit = (phase) => (PHASES.indexOf(phase) < 2 ? "documents" : "chunks");

/** @param {number | null} perSecond */
export function rate(perSecond) {
  if (perSecond === null) return "";
  return `${perSecond >= 10 ? count(Math.round(perSecond)) : perSecond.toFixed(1)}/s`;
}

/**
 * `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** @param {number | null} seconds */
export function timeLeft(seconds) {
  if (seconds === null) return "";
  return seconds < 1 ? "almost done" : `about ${duration(Math.max(1, Math.round(seconds))).replace(".0", "")} left`;
}

/** @param {string | null} at */
export const moment = (at) => (at === null ? "–" : MOMENT.format(new Date(at)));

/**
 * @param {string} at
 * @param {number} [now]
 */
export function ago(at, now = Date.now()) {
  const seconds = Math.max(0, (now - Date.parse(at)) / 1000);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return AGO.format(-Math.floor(seconds / 60), "minute");
  return seconds < 86400 ? AGO.format(-Math.floor(seconds / 3600), "hour") : AGO.format(-Math.floor(seconds / 86400), "day");
}

/** @param {Source | null} source */
export function sourceWords(source) {
  if (source === null) return "No source";
  if (source.type === "folder") return source.path;
  if (source.type === "upload") return "Files sent here";
  return source.urls.length === 1 ? source.urls[0] : `${source.urls[0]} and ${source.urls.length - 1} more`;
}

/**
 * The line under a knowledge base in the list.
 * @param {KnowledgeBase} kb
 */
export function summary(kb) {
  const job = kb.job;
  if (job === null) return "Start it to load its documents";
  if (job.status === "completed") return `${counted(kb.documents, "document")}, ${counted(kb.chunks, "chunk")}`;
  return capital(job.error ?? job.message);
}

/** @param {IngestionJob} job */
export function runSeconds(job) {
  if (job.started_at === null || job.completed_at === null) return null;
  return (Date.parse(job.completed_at) - Date.parse(job.started_at)) / 1000;
}
