/**
 * What can be done with all documents that failed, as far as the filter goes: retried, skipped, downloaded as a list.
 *
 * @import {Question} from "./ask-dialog.js"
 * @import {DocumentFilter, DocumentInfo, DocumentVerb} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { el, setText } from "./dom.js";
import { icon } from "./icons.js";
import { capital, count, counted } from "./words.js";

const PAGE = 1000;
const AT_ONCE = 4;
/** @type {(keyof DocumentInfo)[]} */
const COLUMNS = ["uri", "source", "title", "media_type", "size", "phase", "code", "error", "attempts", "searchable", "updated_at"];

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
    this.told = el("span", { class: "told", role: "status" });
    this.buttons = [
      this.button("retry", "Retry all", () => this.act("retry")),
      this.button("cancelled", "Skip all", () => this.askToSkip()),
      this.button("download", "JSON", () => this.download("json")),
      this.button("download", "CSV", () => this.download("csv")),
    ];
    this.buttons[2].setAttribute("aria-label", "Download as JSON");
    this.buttons[3].setAttribute("aria-label", "Download as CSV");
    this.node = el("div", { class: "bulk", hidden: true }, ...this.buttons, this.told);
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

  /** @param {boolean} hasAny */
  show(hasAny) {
    this.node.hidden = !this.isBusy && !(hasAny && this.filter().status === "failed");
    if (this.node.hidden) setText(this.told, "");
  }

  /** All that the filter fits. */
  async all() {
    /** @type {DocumentInfo[]} */
    const found = [];
    /** @type {string | null} */
    let cursor = null;
    const filter = this.filter();
    do {
      const page = await api.documents(this.kbId, filter, cursor, PAGE, this.store.base);
      found.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    return found;
  }

  askToSkip() {
    const { q } = this.filter();
    this.ask({
      title: "Skip what failed?",
      text: `All documents that failed${q ? ` and have “${q}” in their name` : ""} are taken out and left out until they are retried.`,
      word: "Skip them",
      act: async () => void this.act("skip"),
    });
  }

  /** @param {DocumentVerb} verb */
  async act(verb) {
    await this.busy(async () => {
      const waiting = await this.all();
      const total = waiting.length;
      let done = 0;
      const work = async () => {
        for (let one = waiting.shift(); one; one = waiting.shift()) {
          await api.actOnDocument(this.kbId, one.id, verb, this.store.base);
          done += 1;
          setText(this.told, `${count(done)} of ${count(total)}…`);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work)).finally(() => waiting.splice(0));
      return `${counted(total, "document")} ${verb === "retry" ? "will be loaded anew" : "skipped"}`;
    });
  }

  /** @param {"json" | "csv"} format */
  async download(format) {
    await this.busy(async () => {
      const found = await this.all();
      const text = format === "json" ? JSON.stringify(found, null, 2) : csvOf(found);
      const url = URL.createObjectURL(new Blob([text], { type: format === "json" ? "application/json" : "text/csv" }));
      el("a", { href: url, download: `${this.kbId}-failed.${format}` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
      return `${counted(found.length, "document")} downloaded`;
    });
  }

  /** @param {() => Promise<string>} work */
  async busy(work) {
    this.isBusy = true;
    for (const button of this.buttons) button.setAttribute("aria-disabled", "true");
    try {
      setText(this.told, await work());
    } catch (error) {
      this.store.failed(error);
      setText(this.told, capital(/** @type {Error} */ (error).message));
    } finally {
      this.isBusy = false;
      for (const button of this.buttons) button.removeAttribute("aria-disabled");
    }
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
