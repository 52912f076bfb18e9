/**
 * The page without any knowledge base: files that are dropped on it make the first one.
 *
 * @import {Store} from "./store.js"
 */

import { setAttribute, setText } from "./dom.js";
import { filesOf, hasFiles, sendFiles } from "./drop-zone.js";
import { capital } from "./words.js";

const NAME = "documents";

export class Welcome {
  /**
   * @param {HTMLElement} node
   * @param {Store} store
   * @param {(kbId: string) => void} done
   */
  constructor(node, store, done) {
    this.node = node;
    this.store = store;
    this.done = done;
    this.isSending = false;
    this.told = /** @type {HTMLElement} */ (node.querySelector("[data-part=told]"));
    const input = /** @type {HTMLInputElement} */ (node.querySelector("input[type=file]"));
    node.querySelector("[data-choose]")?.addEventListener("click", () => this.isSending || input.click());
    input.addEventListener("change", () => void this.send([...(input.files ?? [])]));
    addEventListener("dragover", (event) => this.isShown() && hasFiles(event) && setAttribute(node, "data-over", true));
    addEventListener("dragleave", (event) => event.relatedTarget === null && setAttribute(node, "data-over", false));
    addEventListener("drop", (event) => {
      setAttribute(node, "data-over", false);
      if (this.isShown()) void this.send(filesOf(event.dataTransfer));
    });
  }

  isShown() {
    return document.body.hasAttribute("data-empty");
  }

  /** @param {File[]} files */
  async send(files) {
    if (files.length === 0 || this.isSending) return;
    this.isSending = true;
    setAttribute(this.told, "data-refused", false);
    try {
      await sendFiles(NAME, files, this.store.base, (text) => setText(this.told, text));
      await this.store.reread(NAME);
      setText(this.told, "");
      this.done(NAME);
    } catch (error) {
      this.store.failed(error);
      setAttribute(this.told, "data-refused", true);
      setText(this.told, capital(/** @type {Error} */ (error).message));
    } finally {
      this.isSending = false;
    }
  }
}
