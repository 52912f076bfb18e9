/**
 * Asks before a knowledge base is deleted.
 *
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { capital, counted } from "./words.js";
import { setText } from "./dom.js";

export class DeleteDialog {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {Store} store
   * @param {() => void} done
   */
  constructor(dialog, store, done) {
    this.dialog = dialog;
    this.store = store;
    this.done = done;
    this.kbId = "";
    this.said = /** @type {HTMLElement} */ (dialog.querySelector("[data-part=said]"));
    this.error = /** @type {HTMLElement} */ (dialog.querySelector("[data-error=form]"));
    dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
    dialog.querySelector("form")?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
  }

  /** @param {string} kbId */
  open(kbId) {
    const kb = this.store.kbs.get(kbId);
    this.kbId = kbId;
    this.error.hidden = true;
    setText(/** @type {HTMLElement} */ (this.dialog.querySelector("[data-part=title]")), `Delete ${kbId}?`);
    setText(this.said, `Its index (${counted(kb?.documents ?? 0, "document")}, ${counted(kb?.chunks ?? 0, "chunk")}) and the history of its runs go with it. The documents themselves stay where they are.`);
    this.dialog.showModal();
  }

  async send() {
    try {
      await api.deleteKb(this.kbId, this.store.base);
    } catch (error) {
      this.store.failed(error);
      setText(this.error, capital(/** @type {Error} */ (error).message));
      this.error.hidden = false;
      return;
    }
    this.store.forget(this.kbId);
    this.dialog.close();
    this.done();
  }
}
