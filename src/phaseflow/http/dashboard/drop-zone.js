/**
 * Takes files into a knowledge base of uploads: dropped, or chosen.
 *
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { el, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { isOver } from "./store.js";
import { capital, counted } from "./words.js";

const INVITATION = "Drop files here, or choose them. One with the same name takes the place of the older.";

export class DropZone {
  /**
   * @param {Store} store
   * @param {string} kbId
   */
  constructor(store, kbId) {
    this.store = store;
    this.kbId = kbId;
    this.isSending = false;
    this.told = el("p", { role: "status" });
    this.input = el("input", { type: "file", multiple: true, class: "unseen", tabindex: "-1", "aria-label": `Files for ${kbId}` });
    this.button = el("button", { type: "button" }, icon("add"), el("span", { text: "Choose files" }));
    this.node = el("section", { class: "card drop", "aria-label": `Add files to ${kbId}`, hidden: true }, icon("upload"), this.told, this.input, this.button);
    this.button.addEventListener("click", () => this.isOpen() && this.input.click());
    this.input.addEventListener("change", () => void this.send([...(this.input.files ?? [])]));
    this.node.addEventListener("dragover", (event) => this.hover(event, true));
    this.node.addEventListener("dragleave", (event) => this.hover(event, false));
    this.node.addEventListener("drop", (event) => {
      this.hover(event, false);
      void this.send([...(event.dataTransfer?.files ?? [])]);
    });
    this.refused = "";
  }

  isOpen() {
    const job = this.store.kbs.get(this.kbId)?.job;
    return !this.isSending && (!job || isOver(job));
  }

  show() {
    this.node.hidden = this.store.kbs.get(this.kbId)?.source?.type !== "upload";
    const isOpen = this.isOpen();
    setAttribute(this.button, "aria-disabled", isOpen ? null : "true");
    setAttribute(this.node, "data-refused", this.refused !== "");
    if (!this.isSending) setText(this.told, this.refused || (isOpen ? INVITATION : "More files can be added when this run is over."));
  }

  /**
   * @param {DragEvent} event
   * @param {boolean} isOver
   */
  hover(event, isOver) {
    event.preventDefault();
    setAttribute(this.node, "data-over", isOver && this.isOpen());
  }

  /** @param {File[]} files */
  async send(files) {
    this.input.value = "";
    if (files.length === 0 || !this.isOpen()) return;
    this.isSending = true;
    this.refused = "";
    this.show();
    setText(this.told, `Sending ${counted(files.length, "file")}…`);
    try {
      await api.uploadDocuments(this.kbId, files, this.store.base);
    } catch (error) {
      this.store.failed(error);
      this.refused = capital(/** @type {Error} */ (error).message);
    } finally {
      this.isSending = false;
      this.show();
    }
  }
}
