/**
 * What can be done with all documents that a filter fits: read again, skipped, removed, downloaded as a list.
 *
 * @import {Question} from "./ask-dialog.js"
 * @import {DocumentFilter, DocumentInfo} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { documentWord, isRemovable, sourceName } from "./document-words.js";
import { el, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { capital, count, counted } from "./words.js";

/** @typedef {"retry" | "skip" | "remove"} BulkVerb */

const PAGE = 1000;
const AT_ONCE = 4;
/** Refusals of one document, which is gone, or held by a source. */
const OF_ONE = new Set([404, 409]);
/** @type {(keyof DocumentInfo)[]} */
const COLUMNS = ["uri", "source", "title", "media_type", "size", "status", "phase", "code", "error", "attempts", "searchable", "updated_at"];
/** @type {Record<BulkVerb, string>} */
const DONE = { retry: "will be loaded anew", skip: "skipped", remove: "removed" };

export class DocumentBulk {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {(question: Question) => void} ask
   * @param {() => DocumentFilter} filter
   */
  constructor(store, kbId, ask, filter) {
    this.store = store;
    this.kbId = kbId;
    this.ask = ask;
    this.filter = filter;
    this.isBusy = false;
    this.isStopped = false;
    /** What the documents wait for that have been retried. */
    this.waitsFor = "";
    this.told = el("span", { class: "told", role: "status" });
    /** The filter for which it was said. */
    this.toldFor = "";
    this.buttons = {
      retry: this.button("retry", "Retry all", () => (this.filter().status === "failed" ? this.act("retry", this.filter()) : this.askTo("retry"))),
      skip: this.button("cancelled", "Skip all", () => this.askTo("skip")),
      remove: this.button("delete", "Remove all", () => this.askTo("remove")),
      json: this.button("download", "JSON", () => this.download("json")),
      csv: this.button("download", "CSV", () => this.download("csv")),
    };
    this.buttons.json.setAttribute("aria-label", "Download as JSON");
    this.buttons.csv.setAttribute("aria-label", "Download as CSV");
    this.stop = el("button", { type: "button", hidden: true }, icon("cancel"), el("span", { text: "Stop" }));
    this.stop.addEventListener("click", () => (this.isStopped = true));
    this.node = el("div", { class: "bulk", hidden: true }, ...Object.values(this.buttons), this.stop, this.told);
  }

  /**
   * @param {string} shape
   * @param {string} text
   * @param {() => unknown} press
   */
  button(shape, text, press) {
    const node = el("button", { type: "button" }, icon(shape), el("span", { text }));
    node.addEventListener("click", () => void (this.isBusy || press()));
    return node;
  }

  /**
   * What was done is told for as long as the same is asked for, also once that leaves nothing in the list.
   * @param {boolean} hasAny
   */
  show(hasAny) {
    if (!this.isBusy && this.toldFor !== JSON.stringify(this.filter())) setText(this.told, "");
    this.node.hidden = !this.isBusy && !hasAny && this.told.textContent === "";
    for (const button of Object.values(this.buttons)) button.hidden = !hasAny;
    const { status, source } = this.filter();
    const kb = this.store.kbs.get(this.kbId);
    setText(/** @type {Element} */ (this.buttons.retry.lastElementChild), this.retryWord());
    this.buttons.skip.hidden ||= status === "skipped";
    this.buttons.remove.hidden ||= source !== "push" && kb?.source?.type !== "upload";
  }

  retryWord() {
    const { status } = this.filter();
    return status === "failed" ? "Retry all" : status === "skipped" ? "Take all back in" : "Read all again";
  }

  /**
   * All that the filter fits.
   * @param {DocumentFilter} filter
   */
  async all(filter) {
    /** @type {DocumentInfo[]} */
    const found = [];
    /** @type {string | null} */
    let cursor = null;
    do {
      const page = await api.documents(this.kbId, filter, cursor, PAGE, this.store.base);
      found.push(...page.items);
      cursor = page.next_cursor;
      if (cursor !== null) setText(this.told, `${count(found.length)} so far…`);
    } while (cursor !== null && !this.isStopped);
    return found;
  }

  /** Which documents, in words. */
  those() {
    const { status, q, source } = this.filter();
    const parts = [
      status ? `that are ${documentWord(status).toLowerCase()}` : "", q ? `with “${q}” in their name` : "",
      source ? (source === "push" ? "that were sent here" : `of the source ${sourceName(source)}`) : "",
    ].filter(Boolean);
    return parts.length ? `All documents ${parts.join(" and ")}` : `All documents of ${this.kbId}`;
  }

  /** @param {BulkVerb} verb */
  askTo(verb) {
    const questions = {
      retry: { title: `${this.retryWord()}?`, text: `${this.those()} are loaded anew, even if they are unchanged.`, word: this.retryWord() },
      skip: { title: "Skip them?", text: `${this.those()} are taken out of search and left out until they are retried.`, word: "Skip them" },
      remove: { title: "Remove them?", text: `${this.those()} are removed: the server deletes its copies, and search forgets them. What a source holds stays.`, word: "Remove them" },
    };
    const filter = this.filter(); // what was asked about, though the list may be narrowed otherwise by the answer
    this.ask({ ...questions[verb], act: async () => void this.act(verb, filter) });
  }

  /**
   * @param {BulkVerb} verb
   * @param {DocumentFilter} filter
   */
  async act(verb, filter) {
    await this.busy(async () => {
      const waiting = (await this.all(filter)).filter((one) => verb !== "remove" || isRemovable(one, this.store.kbs.get(this.kbId)));
      const total = waiting.length;
      let [done, refused] = [0, 0];
      this.waitsFor = "";
      const work = async () => {
        for (let one = waiting.shift(); one && !this.isStopped; one = waiting.shift()) {
          if (await this.actOn(verb, one)) done += 1;
          else refused += 1;
          setText(this.told, `${count(done + refused)} of ${count(total)}…`);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work)).finally(() => waiting.splice(0));
      const left = total - done - refused;
      const waits = this.waitsFor && `each ${this.waitsFor}`;
      return [`${counted(done, "document")} ${DONE[verb]}`, waits, refused ? `${count(refused)} refused` : "", left ? `stopped, ${count(left)} left` : ""].filter(Boolean).join("; ");
    });
  }

  /**
   * False for one that is gone, or cannot be removed.
   * @param {BulkVerb} verb
   * @param {DocumentInfo} one
   */
  async actOn(verb, one) {
    try {
      if (verb === "remove") await api.deleteDocument(this.kbId, one.uri, this.store.base);
      else this.waitsFor = (await api.actOnDocument(this.kbId, one.id, verb, this.store.base)).message ?? "";
      return true;
    } catch (error) {
      if (error instanceof api.ApiError && OF_ONE.has(error.status)) return false;
      throw error;
    }
  }

  /** @param {"json" | "csv"} format */
  async download(format) {
    await this.busy(async () => {
      const { status } = this.filter();
      const found = await this.all(this.filter());
      if (this.isStopped) return "Stopped: nothing was downloaded";
      const text = format === "json" ? JSON.stringify(found, null, 2) : csvOf(found);
      const url = URL.createObjectURL(new Blob([text], { type: format === "json" ? "application/json" : "text/csv" }));
      el("a", { href: url, download: `${this.kbId}-${status ?? "documents"}.${format}` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
      return `${counted(found.length, "document")} downloaded`;
    });
  }

  /** @param {() => Promise<string>} work */
  async busy(work) {
    this.isBusy = true;
    this.toldFor = JSON.stringify(this.filter());
    this.isStopped = false;
    this.lock(true);
    try {
      setText(this.told, await work());
    } catch (error) {
      this.store.failed(error);
      setText(this.told, capital(/** @type {Error} */ (error).message));
    } finally {
      this.isBusy = false;
      this.lock(false);
    }
  }

  /** @param {boolean} isLocked */
  lock(isLocked) {
    this.stop.hidden = !isLocked;
    for (const button of Object.values(this.buttons)) setAttribute(button, "aria-disabled", isLocked ? "true" : null);
  }
}

/** @param {DocumentInfo[]} found */
export const csvOf = (found) => [COLUMNS, ...found.map((one) => COLUMNS.map((name) => one[name]))].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";

/**
 * What a spreadsheet would take for a formula is kept from being one.
 * @param {unknown} value
 */
function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
