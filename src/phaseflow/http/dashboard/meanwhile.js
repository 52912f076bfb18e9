/**
 * What a form was filled from may have been changed by others before it is saved: then it saves nothing and says so.
 *
 * @import {KnowledgeBase} from "./phaseflow.d.ts"
 */

import { ApiError } from "./api.js";
import { el, setText } from "./dom.js";
import { icon } from "./icons.js";

/** What the form for a knowledge base shows, as one text that can be compared. @param {KnowledgeBase} kb */
export const definitionText = ({ source, sources, settings }) => JSON.stringify([source, sources, settings]);

/**
 * What the service has saved; null when it refused because of a change that came in between.
 * @template Saved
 * @param {Promise<Saved>} saving
 */
export async function unlessChanged(saving) {
  try {
    return await saving;
  } catch (error) {
    if (error instanceof ApiError && error.code === "precondition_failed") return null;
    throw error;
  }
}

/** One sentence, and a button that shows what is there now. */
export class MeanwhileLine {
  constructor() {
    this.text = el("span");
    this.button = el("button", { type: "button", text: "Show the new values" });
    this.button.addEventListener("click", () => this.renew?.());
    this.node = el("p", { class: "refusal meanwhile", role: "alert", hidden: true }, icon("failed"), this.text, this.button);
    /** @type {(() => void) | null} */
    this.renew = null;
  }

  /**
   * @param {string} name of what the form changes
   * @param {(() => void) | null} renew fills the form anew; null: it has been deleted
   */
  say(name, renew) {
    this.renew = renew;
    setText(this.text, `${name} was ${renew ? "changed" : "deleted"} meanwhile, so nothing was saved.`);
    this.button.hidden = renew === null;
    this.node.hidden = false;
  }

  hide() {
    this.node.hidden = true;
  }
}
