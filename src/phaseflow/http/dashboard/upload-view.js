/**
 * How far an upload is, what was refused, and a button that stops it.
 *
 * @import {Upload} from "./upload.js"
 */

import { el, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { capital, count, counted } from "./words.js";

const NAMED = 20;

export class UploadView {
  constructor() {
    /** @type {Upload | null} */
    this.upload = null;
    this.named = 0;
    this.bar = el("progress", { max: "1", value: "0", "aria-label": "Sent" });
    this.button = el("button", { type: "button" }, icon("cancel"), el("span", { text: "Stop" }));
    this.button.addEventListener("click", () => this.upload?.stop());
    this.list = el("ul");
    this.rest = el("p", { hidden: true });
    this.refused = el("details", { class: "refused", hidden: true }, el("summary", {}, icon("open"), el("span")), this.list, this.rest);
    this.way = el("div", { class: "way", hidden: true }, this.bar, this.button);
    this.node = el("div", { class: "upload", hidden: true }, this.way, this.refused);
  }

  /**
   * @param {Upload | null} upload
   * @param {boolean} isUnderway
   */
  show(upload, isUnderway) {
    if (upload !== this.upload) this.list.replaceChildren();
    this.upload = upload;
    const refused = upload?.refused ?? [];
    this.way.hidden = !isUnderway;
    this.node.hidden = !isUnderway && refused.length === 0;
    if (upload) this.bar.value = upload.progress;
    this.refused.hidden = refused.length === 0;
    setText(/** @type {Element} */ (this.refused.querySelector("summary span")), refused.length ? `${counted(refused.length, "file")} refused` : "");
    for (const { name, why } of refused.slice(this.list.children.length, NAMED)) {
      this.list.append(el("li", {}, el("bdi", { class: "uri", text: name }), el("span", { text: capital(why) })));
    }
    this.rest.hidden = refused.length <= NAMED;
    setText(this.rest, refused.length > NAMED ? `and ${count(refused.length - NAMED)} more` : "");
    setAttribute(this.button, "aria-disabled", upload?.isStopped ? "true" : null);
  }
}

/**
 * @param {Upload} upload
 * @param {boolean} isUnderway
 */
export function uploadWords(upload, isUnderway) {
  const { total, sent, refused, error } = upload;
  if (isUnderway && !upload.isStopped) return total === 1 ? "Sending 1 file…" : `Sending ${count(sent + refused.length)} of ${counted(total, "file")}…`;
  const isAll = sent === total;
  const told = isAll ? `${counted(total, "file")} sent.` : `${count(sent)} of ${counted(total, "file")} sent.`;
  if (error) return `${capital(error.message)} ${isAll ? "" : told}`.trim();
  return upload.isStopped && !isAll ? `Stopped: ${told}` : told;
}
