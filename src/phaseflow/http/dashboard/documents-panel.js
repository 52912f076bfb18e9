/**
 * The documents of a knowledge base: all of them by status, a page at a time, live while they are looked at; and one of
 * them by itself.
 *
 * @import {Question} from "./ask-dialog.js"
 * @import {DocumentInfo} from "./phaseflow.d.ts"
 * @import {Place} from "./place.js"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { DocumentBulk } from "./document-bulk.js";
import { DocumentFilters } from "./document-filters.js";
import { DocumentRow } from "./document-row.js";
import { DocumentView } from "./document-view.js";
import { listWords, newest } from "./document-words.js";
import { el, setAttribute, setText } from "./dom.js";
import { addressOf, addressText, placeIn } from "./place.js";
import { isOver } from "./store.js";
import { capital } from "./words.js";

const PAGE = 100;
/** Pages of a filtered list can be short: they are put together for at most so long. */
const GATHERING_MS = 1500;
/** What changes is drawn together. */
const DRAW_EVERY_MS = 250;
const READ_EVERY_MS = 1500;
const COUNT_EVERY_MS = 1000;

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
    this.address = "";
    this.asked = 0;
    this.refused = "";
    /** What the list that is shown was asked for with; empty before the first answer. */
    this.answered = "";
    /** Where this page and those before it begin. @type {(string | null)[]} */
    this.cursors = [null];
    /** @type {string | null} */
    this.next = null;
    /** @type {Map<string, DocumentRow>} */
    this.rowOf = new Map();
    /** @type {Map<string, DocumentInfo>} */
    this.changed = new Map();
    /** What was told since the list was asked for last. @type {Map<string, DocumentInfo>} */
    this.heard = new Map();
    /** What waits for its time. @type {Map<() => void, ReturnType<typeof setTimeout>>} */
    this.due = new Map();
    /** @type {DocumentView | null} */
    this.view = null;
    this.filters = new DocumentFilters(store, kbId, () => this.refilter());
    this.bulk = new DocumentBulk(store, kbId, ask, () => this.filters.value());
    this.told = el("p", { class: "told", role: "status", text: "Loading…" });
    this.body = el("tbody");
    this.table = el("table", { hidden: true },
      el("thead", {}, el("tr", {}, ...["Document", "Status", "Passages", "Size", "Changed"].map((text) => el("th", { scope: "col", text })))),
      this.body);
    this.back = this.pager("Previous", () => this.cursors.length > 1 && this.turn(this.cursors.slice(0, -1)));
    this.on = this.pager("Next", () => this.hasNext() && this.turn([...this.cursors, this.next]));
    this.pages = el("div", { class: "pages", hidden: true }, this.back, this.on);
    this.list = el("div", { class: "card documents" }, this.filters.node, this.bulk.node, this.told, this.table, this.pages);
    this.node = el("div", {}, this.list);
    this.draw = () => this.drawChanged();
    this.reread = () => void this.read();
    this.recount = () => void this.store.reread(this.kbId);
    this.leaveStore = store.watch({
      kb: (one) => one === kbId && this.look(), list: () => this.look(),
      document: (one) => this.hear(one), reset: () => this.isOpen && this.relist(), back: () => this.isOpen && this.relist(),
    });
  }

  /**
   * @param {string} text
   * @param {() => void} press
   */
  pager(text, press) {
    const node = el("button", { type: "button", text });
    node.addEventListener("click", press);
    return node;
  }

  kb() {
    return this.store.kbs.get(this.kbId);
  }

  /**
   * Show what an address names. Nothing is asked before somebody wants to see it.
   * @param {Place} place
   */
  open(place) {
    const address = addressText(place);
    const wasOpen = this.isOpen;
    if (wasOpen && address === this.address) return;
    this.address = address;
    this.isOpen = true;
    if (!wasOpen) this.store.tellDocumentsOf(this.kbId);
    if (!wasOpen) void this.filters.learn();
    const [id, range = ""] = place.rest;
    this.filters.rest();
    if (id) return this.openOne(id, range);
    const wasOne = this.view !== null;
    this.closeOne();
    if (this.filters.take(place.query) || !wasOpen) this.turn([null]);
    else if (wasOne) void this.read();
    this.look();
  }

  /**
   * @param {string} id
   * @param {string} range
   */
  openOne(id, range) {
    if (this.view?.id !== id) {
      this.closeOne();
      this.view = new DocumentView(this.store, this.kbId, id, this.ask, addressOf(this.kbId, ["documents"], this.filters.query()));
      this.node.append(this.view.node);
    }
    this.list.hidden = true;
    this.view.goTo(range);
  }

  closeOne() {
    this.view?.close();
    this.view = null;
    this.list.hidden = false;
  }

  /** Nobody looks any more. */
  close() {
    if (!this.isOpen) return;
    this.isOpen = false;
    if (this.store.documentsOf === this.kbId) this.store.tellDocumentsOf(null);
    for (const timer of this.due.values()) clearTimeout(timer);
    this.due.clear();
    this.changed.clear();
    this.filters.rest();
    this.asked += 1;
  }

  leave() {
    this.close();
    this.leaveStore();
  }

  /**
   * Once within a time, however often it is wanted.
   * @param {() => void} act
   * @param {number} within_ms
   */
  soon(act, within_ms) {
    if (!this.isOpen || this.due.has(act)) return;
    this.due.set(act, setTimeout(() => {
      this.due.delete(act);
      act();
    }, within_ms));
  }

  /** @param {DocumentInfo} one */
  hear(one) {
    if (!this.isOpen || this.store.documentsOf !== this.kbId) return;
    this.changed.set(one.id, one);
    this.heard.set(one.id, one);
    this.soon(this.draw, DRAW_EVERY_MS);
    this.soon(this.recount, COUNT_EVERY_MS);
  }

  /** More has changed than the stream tells of. */
  relist() {
    void this.view?.read();
    this.soon(this.reread, READ_EVERY_MS);
    this.soon(this.recount, COUNT_EVERY_MS);
  }

  drawChanged() {
    for (const one of this.changed.values()) {
      if (one.id === this.view?.id) this.view.hear(one);
      const row = this.rowOf.get(one.id);
      row?.show(one);
      if (!row || !this.filters.fits(one)) this.soon(this.reread, READ_EVERY_MS);
    }
    this.changed.clear();
  }

  /** Read again when the counts or the run say that something has changed. */
  look() {
    if (!this.isOpen) return;
    const kb = this.kb();
    if (kb) this.store.tellDocumentsOf(this.kbId);
    this.filters.show();
    const state = JSON.stringify([kb?.counts, kb?.job?.job_id, kb?.job && isOver(kb.job)]);
    if (state !== this.seen && this.seen) this.soon(this.reread, READ_EVERY_MS);
    this.seen = state;
    this.show();
  }

  refilter() {
    const address = addressOf(this.kbId, ["documents"], this.filters.query());
    history.replaceState(null, "", address);
    this.address = addressText(placeIn(address)); // what is typed from now on is newer
    this.turn([null]);
  }

  /** @param {(string | null)[]} cursors */
  turn(cursors) {
    this.cursors = cursors;
    void this.read();
  }

  async read() {
    if (this.view) return; // the list is read when it is shown again
    const mine = (this.asked += 1);
    this.heard.clear();
    const wanted = this.wanted();
    if (wanted !== this.answered) this.refused = "";
    this.show();
    try {
      const { items, next } = await this.gather(mine);
      if (mine !== this.asked) return;
      this.fill(items.map((one) => newest(this.heard.get(one.id), one)));
      this.next = next;
      this.answered = wanted;
      this.refused = "";
    } catch (error) {
      if (mine !== this.asked) return;
      this.store.failed(error);
      this.refused = capital(/** @type {Error} */ (error).message);
    }
    this.show();
  }

  /** Whether more follows what is shown; of what is on its way that is not known. */
  hasNext() {
    return this.next !== null && this.wanted() === this.answered;
  }

  /** What is asked for now. */
  wanted() {
    return JSON.stringify([this.filters.value(), this.cursors]);
  }

  /** @param {number} mine */
  async gather(mine) {
    /** @type {DocumentInfo[]} */
    const items = [];
    let next = this.cursors.at(-1) ?? null;
    const end = performance.now() + GATHERING_MS;
    do {
      const page = await api.documents(this.kbId, this.filters.value(), next, PAGE - items.length, this.store.base);
      items.push(...page.items);
      next = page.next_cursor;
    } while (next !== null && items.length < PAGE && mine === this.asked && performance.now() < end);
    return { items, next };
  }

  /** What is there already stays as it is, so that nothing flickers and the focus stays. @param {DocumentInfo[]} items */
  fill(items) {
    const rows = new Map(items.map((one) => {
      const row = this.rowOf.get(one.id);
      row?.show(one);
      return [one.id, row ?? new DocumentRow(this.kbId, one)];
    }));
    for (const [id, row] of this.rowOf) if (!rows.has(id)) row.node.remove();
    [...rows.values()].forEach(({ node }, at) => {
      if (this.body.children[at] !== node) this.body.insertBefore(node, this.body.children[at] ?? null);
    });
    this.rowOf = rows;
  }

  show() {
    const shown = this.rowOf.size;
    this.table.hidden = shown === 0;
    this.pages.hidden = this.cursors.length === 1 && this.next === null;
    setAttribute(this.back, "aria-disabled", this.cursors.length > 1 ? null : "true");
    setAttribute(this.on, "aria-disabled", this.hasNext() ? null : "true");
    this.bulk.show(shown > 0);
    setAttribute(this.told, "data-refused", this.refused !== "");
    setText(this.told, this.refused || this.words(shown));
  }

  /** @param {number} shown */
  words(shown) {
    if (this.wanted() !== this.answered) return "Loading…"; // what is there answers another question, or none yet
    const before = (this.cursors.length - 1) * PAGE;
    return listWords({ shown, before, isLast: this.next === null, filter: this.filters.value(), kb: this.kb() });
  }
}
