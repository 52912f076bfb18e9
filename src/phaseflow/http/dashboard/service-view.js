/**
 * The whole service: what runs, what failed, how fast it goes, what has been embedded.
 *
 * @import {KnowledgeBase} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import { el, setText } from "./dom.js";
import { icon } from "./icons.js";
import { addressOf } from "./place.js";
import { isOver } from "./store.js";
import { count, counted, rate, statusWord, timeLeft } from "./words.js";

const DRAW_EVERY_MS = 500;
/** Totals since the database was made, and of calls since the service was started, which no stream tells. */
const TOTALS_EVERY_MS = 5000;
const NUMBERS = [
  "Runs now", "Runs that failed", "Documents", "Documents that failed", "Passages", "Loading, documents", "Embedding, passages",
  "Vectors computed", "Vectors reused", "Embedding calls since the start", "Calls that failed since then", "Characters embedded since then",
];

export class ServiceView {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.readAt = -Infinity;
    this.drawnAt = -Infinity;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {(string | null)[]} */
    this.totals = [null, null, null, null, null];
    this.tiles = el("dl", { class: "tiles" });
    this.values = NUMBERS.map((title) => {
      const value = el("dd", { text: "–" });
      this.tiles.append(el("div", {}, el("dt", { text: title }), value));
      return value;
    });
    this.running = el("tbody");
    this.failed = el("tbody");
    this.node = el("article", { class: "detail service", "aria-label": "The whole service" },
      el("header", { class: "detail-head" }, el("a", { class: "back", href: "#/" }, icon("back"), el("span", { text: "All knowledge bases" })),
        el("div", { class: "who" }, el("h2", { text: "The whole service", tabindex: "-1" }))),
      el("section", { class: "card" }, el("h3", { text: "In numbers" }), this.tiles),
      this.table("What runs", ["Knowledge base", "Status", "Speed", "Left"], this.running),
      this.table("What failed", ["Knowledge base", "Documents", "Why"], this.failed));
    this.leave = store.watch({ kb: () => this.touch(), list: () => this.touch() });
    this.show();
  }

  /**
   * @param {string} title
   * @param {string[]} heads
   * @param {HTMLTableSectionElement} body
   */
  table(title, heads, body) {
    return el("section", { class: "card" }, el("h3", { text: title }),
      el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((text) => el("th", { scope: "col", text })))), body));
  }

  touch() {
    this.timer ??= setTimeout(() => this.show(), DRAW_EVERY_MS);
  }

  show() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const kbs = [...this.store.kbs.values()].sort((one, other) => (one.kb_id < other.kb_id ? -1 : 1));
    const running = kbs.filter(({ job }) => job && !isOver(job));
    const failed = kbs.filter(({ job, counts }) => job?.status === "failed" || counts.failed > 0);
    const sum = (/** @type {(kb: KnowledgeBase) => number} */ of) => count(kbs.reduce((total, kb) => total + of(kb), 0));
    const speed = (/** @type {number} */ phase) =>
      speedWords(running.reduce((total, { job }) => total + (job?.phase_details[phase].status === "running" ? (job.phase_details[phase].items_per_second ?? 0) : 0), 0));
    const numbers = [
      count(running.filter(({ job }) => job?.status === "running").length), count(kbs.filter(({ job }) => job?.status === "failed").length),
      sum((kb) => kb.documents), sum((kb) => kb.counts.failed), sum((kb) => kb.chunks), speed(0), speed(2), ...this.totals,
    ];
    numbers.forEach((text, at) => setText(this.values[at], text ?? "–"));
    this.running.replaceChildren(...rowsOf(running, 4, "Nothing runs.", ({ job }) => job === null ? [] : [
      `${statusWord(job.status)} ${Math.floor(job.progress)} %, ${job.phase}`,
      rate(job.phase_details.find(({ name }) => name === job.phase)?.items_per_second ?? null), timeLeft(job.eta_seconds),
    ]));
    this.failed.replaceChildren(...rowsOf(failed, 3, "Nothing has failed.", ({ kb_id: kbId, job, counts }) => [
      counts.failed ? el("a", { href: addressOf(kbId, ["documents"], { status: "failed" }), text: counted(counts.failed, "document") }) : "",
      job?.status === "failed" ? (job.error ?? job.message) : "",
    ]));
    void this.read();
  }

  async read() {
    if (performance.now() - this.readAt < TOTALS_EVERY_MS) return;
    this.readAt = performance.now();
    const answer = await fetch(new URL("metrics", this.store.base), { cache: "no-store" }).catch(() => null);
    if (!answer?.ok) return;
    const text = await answer.text().catch(() => null);
    if (text === null || !this.node.isConnected) return; // it broke off, or nobody looks any more
    const lines = text.split("\n");
    const value = (/** @type {string} */ name) => {
      const line = lines.find((one) => one.startsWith(`${name} `));
      return line === undefined ? null : count(Number(line.slice(name.length + 1)));
    };
    this.totals = [
      value('phaseflow_items_total{phase="embedding",result="processed"}'), value('phaseflow_items_total{phase="embedding",result="reused"}'),
      value("phaseflow_embedding_calls_total"), value("phaseflow_embedding_errors_total"), value("phaseflow_embedded_characters_total"),
    ];
    this.touch();
  }

  close() {
    clearTimeout(this.timer);
    this.leave();
    this.node.remove();
  }
}

/** @param {number} perSecond */
const speedWords = (perSecond) => (perSecond === 0 ? "0/s" : rate(perSecond));

/**
 * @param {KnowledgeBase[]} kbs
 * @param {number} width
 * @param {string} none
 * @param {(kb: KnowledgeBase) => (Node | string)[]} cells
 */
function rowsOf(kbs, width, none, cells) {
  if (kbs.length === 0) return [el("tr", {}, el("td", { colspan: String(width), class: "told", text: none }))];
  return kbs.map((kb) => el("tr", {}, el("th", { scope: "row" }, el("a", { class: "uri", href: addressOf(kb.kb_id), text: kb.kb_id })),
    ...cells(kb).map((cell) => el("td", {}, cell))));
}
