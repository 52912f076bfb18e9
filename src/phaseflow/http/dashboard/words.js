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

/**
 * The words of phaseflow/domain/messages.py; a paused phase is `on hold` where `paused` is shown already.
 * @type {Record<WaitingOn, string>}
 */
const WAITING = {
  upstream: "waiting for {before}",
  rate_limit: "{server} asked us to slow down",
  retry: "a temporary fault, trying again",
  pause: "on hold",
  queue: "waiting for a free slot",
  workers: "the workers cannot be reached, trying again",
  index: "the index cannot be reached, trying again",
  component: "waiting for a component to answer",
  interrupted: "its process has ended",
};

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
export const counted = (value, one) => `${count(value)} ${form(value, one)}`;
/**
 * The noun as it stands behind a number: the only place that knows of singular and plural.
 * @param {number} value
 * @param {string} one
 */
export const form = (value, one) => (value === 1 ? one : `${one}s`);

/**
 * The status of a phase as it is shown. What a cancel ended has not failed, though its row says so.
 * @param {IngestionJob} job
 * @param {PhaseDetail} phase
 */
export const shownStatus = (job, phase) => (job.status === "cancelled" && phase.status === "failed" ? "cancelled" : phase.status);

/** @param {number} value */
export const failedWords = (value) => (value ? `${count(value)} failed` : "");

/**
 * Why a phase does not move; empty when it moves.
 * @param {JobPhase} phase
 * @param {WaitingOn | null} reason
 */
export function waiting(phase, reason) {
  if (reason === null) return "";
  const before = PHASES[PHASES.indexOf(phase) - 1] ?? "the source";
  const server = phase === "loading" ? "the source" : "the embedding server";
  return WAITING[reason].replace("{before}", before).replace("{server}", server);
}

/**
 * What is special about a phase now.
 * @param {IngestionJob} job
 * @param {PhaseDetail} phase
 */
export function note(job, phase) {
  if (shownStatus(job, phase) === "cancelled") return "";
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

/**
 * What is counted, in the form that its number asks for; of a total, the total decides.
 * @param {PhaseDetail} phase
 */
export const unit = (phase) =>
  form(phase.items_total ?? phase.items_processed + phase.items_failed, PHASES.indexOf(phase.name) < 2 ? "document" : "chunk");

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
  if (source.type === "fsspec" || source.type === "git") return source.url;
  return source.urls.length === 1 ? source.urls[0] : `${source.urls[0]} and ${source.urls.length - 1} more`;
}

/**
 * All sources of a knowledge base, and how it keeps in step with them.
 * @param {KnowledgeBase} kb
 */
export function sourcesWords(kb) {
  const all = Object.values(kb.sources ?? {}).map(sourceWords).join(" and ") || sourceWords(null);
  if (kb.sync?.error) return `${all} (${kb.sync.error})`;
  return kb.sync?.watching.length ? `${all} (watched)` : all;
}

/**
 * The line under a knowledge base in the list.
 * @param {KnowledgeBase} kb
 */
export function summary(kb) {
  const job = kb.job;
  if (job === null) return "Start it to load its documents";
  if (job.status === "completed") return `${counted(kb.documents, "document")}, ${counted(kb.chunks, "chunk")}`;
  return capital(job.status === "cancelled" ? job.message : (job.error ?? job.message));
}

/** A phase that ran all the time from its start to its end, but for the moments between two commits. */
const NO_BREAK_S = 1;

/**
 * How long a job that is over has worked, without the time in which none of its phases ran: a retry the next morning did
 * not take all night. A break is what all phases have in common that were interrupted, unless it does not fit beside
 * those that ran from their start to their end.
 * @param {IngestionJob} job
 */
export function runSeconds(job) {
  const { completed_at: ended } = job;
  if (ended === null || !["completed", "failed", "cancelled"].includes(job.status)) return null;
  const spans = job.phase_details.flatMap((phase) => {
    if (phase.started_at === null) return [];
    const [from, to] = [phase.started_at, phase.completed_at ?? ended].map((at) => Date.parse(at) / 1000);
    return [{ from, to, idle: to - from - phase.active_seconds }];
  });
  if (spans.length === 0) return null;
  const covered = coveredBy(spans);
  const breaks = spans.map(({ idle }) => idle).filter((idle) => idle >= NO_BREAK_S);
  const pause = breaks.length ? Math.min(...breaks) : 0;
  const whole = coveredBy(spans.filter(({ idle }) => idle < NO_BREAK_S));
  return pause <= covered - whole ? covered - pause : covered;
}

/**
 * How much lies in at least one of the spans.
 * @param {{from: number, to: number}[]} spans
 */
function coveredBy(spans) {
  let [total, reached] = [0, -Infinity];
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    total += Math.max(0, to - Math.max(from, reached));
    reached = Math.max(reached, to);
  }
  return total;
}
