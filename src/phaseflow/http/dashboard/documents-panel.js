/**
 * The documents that search sees, by uri; those that were sent here can be removed.
 *
 * @import {Question} from "./ask-dialog.js"
 * @import {DocumentInfo} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { el, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { isOver } from "./store.js";
import { capital, count, counted } from "./words.js";

const PAGE = 100;
const MOST = 1000;
/** A word that is being typed is asked for when it rests this long. */
const TYPING_MS = 200;

export class DocumentsPanel {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {(question: Question) => void} ask
   */
  constructor(store, kbId, ask) {
    this.store = store;
    this.kbId = kbId;
    this.ask = ask;
    this.isOpen = false;
    this.seen = "";
    this.asked = 0;
    this.refused = "";
    /** @type {string | null} */
    this.cursor = null;
    /** The uris that are being removed, each with the job that does it. @type {Map<string, string>} */
    this.going = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.typing = undefined;
    this.input = el("input", {
      type: "search", name: "q", maxlength: "200", autocomplete: "off", spellcheck: "false",
      "aria-label": `Filter the documents of ${kbId}`, placeholder: "Part of a name",
    });
    const form = el("form", { class: "ask", role: "search" }, icon("search"), this.input);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.find();
    });
    this.input.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.find(), TYPING_MS);
    });
    this.told = el("p", { class: "told", role: "status", text: "Loading…" });
    this.actionHead = el("th", { scope: "col" }, el("span", { class: "unseen", text: "Remove" }));
    this.rows = el("tbody");
    this.table = el("table", { hidden: true },
      el("thead", {}, el("tr", {}, ...["Document", "Type", "Passages"].map((text) => el("th", { scope: "col", text })), this.actionHead)),
      this.rows);
    this.more = el("button", { type: "button", text: "Show more", hidden: true });
    this.more.addEventListener("click", () => void this.read(this.cursor));
    this.node = el("div", { class: "card documents" }, form, this.told, this.table, this.more);
    this.leave = store.watch({ kb: (one) => one === kbId && this.look(), list: () => this.look() });
  }

  /** Nothing is asked before somebody wants to see it. */
  open() {
    if (this.isOpen) return;
    this.isOpen = true;
    this.look();
  }

  kb() {
    return this.store.kbs.get(this.kbId);
  }

  canRemove() {
    return this.kb()?.source?.type === "upload";
  }

  isIdle() {
    const job = this.kb()?.job;
    return !job || isOver(job);
  }

  /** Read again when a run has begun or ended, or when another source makes other rows. */
  look() {
    if (!this.isOpen) return;
    const state = `${this.kb()?.job?.job_id} ${this.isIdle()} ${this.canRemove()}`;
    if (state === this.seen) return this.show();
    this.seen = state;
    void this.read(null, Math.max(PAGE, this.rows.childElementCount));
  }

  find() {
    clearTimeout(this.typing);
    void this.read(null);
  }

  /**
   * @param {string | null} cursor
   * @param {number} [limit]
   */
  async read(cursor, limit = PAGE) {
    const mine = (this.asked += 1);
    const job = this.kb()?.job;
    try {
      const page = await api.documents(this.kbId, this.input.value.trim(), cursor, Math.min(limit, MOST), this.store.base);
      if (mine !== this.asked) return;
      if (job && isOver(job)) this.settle(job.job_id);
      this.fill(page.items, cursor === null);
      this.cursor = page.next_cursor;
      this.refused = "";
    } catch (error) {
      if (mine !== this.asked) return;
      this.store.failed(error);
      this.refused = capital(/** @type {Error} */ (error).message);
    }
    this.show();
  }

  /** @param {string} jobId */
  settle(jobId) {
    for (const [uri, remover] of this.going) if (remover === jobId) this.going.delete(uri);
  }

  /**
   * @param {DocumentInfo[]} items
   * @param {boolean} anew
   */
  fill(items, anew) {
    const focused = [...this.rows.children].findIndex((row) => row.contains(document.activeElement));
    const rows = items.map((item) => this.row(item));
    if (!anew) return this.rows.append(...rows);
    this.rows.replaceChildren(...rows);
    if (focused < 0) return;
    const next = this.rows.children[Math.min(focused, rows.length - 1)]?.querySelector("button");
    (next ?? this.input).focus();
  }

  /** @param {DocumentInfo} item */
  row(item) {
    const title = item.title && item.title !== item.uri ? [el("bdi", { class: "title", text: item.title })] : [];
    return el("tr", { "data-uri": item.uri },
      el("th", { scope: "row" }, el("bdi", { class: "uri", text: item.uri }), ...title),
      el("td", { "data-label": "Type", text: item.media_type ?? "" }),
      el("td", { "data-label": "Passages", class: "number", text: count(item.chunks) }),
      ...(this.canRemove() ? [el("td", { class: "action" }, this.button(item.uri))] : []));
  }

  /** @param {string} uri */
  button(uri) {
    const node = el("button", { type: "button", class: "quiet danger" }, icon("delete"), el("span"));
    node.addEventListener("click", () => this.isIdle() && !this.going.has(uri) && this.ask({
      title: `Remove ${uri}?`,
      text: "The server deletes its copy of the file now, and a run takes it out of search.",
      word: "Remove",
      act: () => this.remove(uri),
    }));
    return node;
  }

  /** @param {string} uri */
  async remove(uri) {
    const { job } = await api.deleteDocument(this.kbId, uri, this.store.base);
    const newest = this.kb()?.job;
    if (newest?.job_id !== job.job_id || !isOver(newest)) this.going.set(uri, job.job_id);
    this.show();
  }

  show() {
    const shown = this.rows.childElementCount;
    const hadFocus = this.more.matches(":focus");
    this.table.hidden = shown === 0;
    this.more.hidden = this.cursor === null;
    if (hadFocus && this.more.hidden) this.input.focus({ preventScroll: true });
    this.actionHead.hidden = !this.canRemove();
    for (const row of this.rows.querySelectorAll("tr")) this.showButton(row);
    setAttribute(this.told, "data-refused", this.refused !== "");
    setText(this.told, this.refused || this.words(shown));
  }

  /** @param {HTMLTableRowElement} row */
  showButton(row) {
    const button = row.querySelector("button");
    const uri = row.dataset.uri ?? "";
    if (!button) return;
    const word = this.going.has(uri) ? "Removing…" : "Remove";
    setAttribute(button, "aria-disabled", this.isIdle() && !this.going.has(uri) ? null : "true");
    setAttribute(button, "aria-label", `${word} ${uri}`);
    setText(/** @type {Element} */ (button.lastElementChild), word);
  }

  /** @param {number} shown */
  words(shown) {
    if (this.going.size) return `Removing ${[...this.going.keys()].join(", ")}…`;
    const filter = this.input.value.trim();
    if (shown === 0) return filter ? `No document has “${filter}” in its name.` : "There is no document yet. A run brings them here.";
    const all = this.cursor === null ? counted(shown, "document") : `The first ${count(shown)} of ${counted(this.kb()?.documents ?? shown, "document")}`;
    const told = filter ? `${this.cursor === null ? "" : "The first "}${count(shown)} found` : all;
    return this.canRemove() && !this.isIdle() ? `${told}. They can be removed when this run is over.` : told;
  }
}
