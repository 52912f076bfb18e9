/** What the server said when it refused a verb, until the next one or until it is sent away. */

import { el, setText } from "./dom.js";
import { icon } from "./icons.js";
import { capital } from "./words.js";

export class RefusalLine {
  /** @param {() => void} dismiss */
  constructor(dismiss) {
    this.text = el("span");
    const close = el("button", { type: "button", class: "quiet", "aria-label": "Dismiss" }, icon("close"));
    close.addEventListener("click", dismiss);
    this.node = el("p", { class: "refusal", hidden: true }, icon("failed"), this.text, close);
  }

  /** @param {string | undefined} text */
  show(text) {
    setText(this.text, capital(text ?? ""));
    if (this.node.hidden !== (text === undefined)) this.node.hidden = text === undefined;
  }
}
