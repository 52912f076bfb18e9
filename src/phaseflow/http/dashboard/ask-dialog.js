/**
 * Asks before something is deleted.
 *
 * @import {Store} from "./store.js"
 */

import { capital } from "./words.js";
import { setText } from "./dom.js";

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {string} text
 * @property {string} word what the button says that does it
 * @property {() => Promise<void>} act what it refuses is said in the dialog, which stays open
 */

export class AskDialog {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {Store} store
   */
  constructor(dialog, store) {
    this.dialog = dialog;
    this.store = store;
    /** Counts the questions: an answer that is under way is nothing to those that are asked after it. */
    this.asked = 0;
    this.isSending = false;
    this.act = async () => {};
    this.error = this.part("[data-error=form]");
    dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
    dialog.querySelector("form")?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
  }

  /** @param {string} selector */
  part(selector) {
    return /** @type {HTMLElement} */ (this.dialog.querySelector(selector));
  }

  /** @param {Question} question */
  ask({ title, text, word, act }) {
    this.act = act;
    this.asked += 1;
    this.isSending = false;
    this.error.hidden = true;
    setText(this.part("[data-part=title]"), title);
    setText(this.part("[data-part=said]"), text);
    setText(this.part("[data-part=word]"), word);
    this.dialog.showModal();
  }

  async send() {
    if (this.isSending) return;
    this.isSending = true;
    const mine = this.asked;
    try {
      await this.act();
      if (mine === this.asked) this.dialog.close();
    } catch (error) {
      this.store.failed(error);
      if (mine !== this.asked) return;
      setText(this.error, capital(/** @type {Error} */ (error).message));
      this.error.hidden = false;
    } finally {
      if (mine === this.asked) this.isSending = false;
    }
  }
}
