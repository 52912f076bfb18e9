/**
 * Takes files into a knowledge base: dropped anywhere on its page, or chosen. It can be done at any time, whatever a run does.
 *
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { el, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { capital, count, counted } from "./words.js";

const INVITATION = "Drop files here, or choose them. One with the same name takes the place of the older.";
/** Files in one request. */
const AT_ONCE = 20;

/**
 * The files that were dropped; of a folder a browser gives no content.
 * @param {DataTransfer | null} dropped
 */
export function filesOf(dropped) {
  const isFolder = [...(dropped?.items ?? [])].map((item) => item.webkitGetAsEntry?.()?.isDirectory ?? false);
  return [...(dropped?.files ?? [])].filter((_, at) => !isFolder[at]);
}

/** @param {DragEvent} event */
export const hasFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;

/**
 * Send files, some at a time.
 * @param {string} kbId
 * @param {File[]} files
 * @param {string} base
 * @param {(text: string) => void} tell
 */
export async function sendFiles(kbId, files, base, tell) {
  for (let at = 0; at < files.length; at += AT_ONCE) {
    tell(files.length > AT_ONCE ? `Sending ${count(at)} of ${counted(files.length, "file")}…` : `Sending ${counted(files.length, "file")}…`);
    await api.uploadDocuments(kbId, files.slice(at, at + AT_ONCE), base);
  }
}

export class DropZone {
  /**
   * @param {Store} store
   * @param {string} kbId
   */
  constructor(store, kbId) {
    this.store = store;
    this.kbId = kbId;
    this.isSending = false;
    this.refused = "";
    this.sent = "";
    this.told = el("p", { role: "status" });
    this.input = el("input", { type: "file", multiple: true, class: "unseen", tabindex: "-1", "aria-label": `Files for ${kbId}` });
    this.button = this.chooser("Choose files");
    this.opener = this.chooser("Add files");
    this.node = el("section", { class: "card drop", "aria-label": `Add files to ${kbId}`, hidden: true }, icon("upload"), this.told, this.input, this.button);
    this.input.addEventListener("change", () => void this.send([...(this.input.files ?? [])]));
  }

  /** @param {string} text */
  chooser(text) {
    const button = el("button", { type: "button" }, icon("add"), el("span", { text }));
    button.addEventListener("click", () => this.isSending || this.input.click());
    return button;
  }

  /**
   * Take what is dropped anywhere on a node.
   * @param {HTMLElement} page
   */
  attach(page) {
    let depth = 0;
    const hover = (/** @type {DragEvent} */ event, /** @type {number} */ step) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth = Math.max(0, depth + step);
      setAttribute(page, "data-over", depth > 0 && !this.isSending);
      this.show(depth > 0);
    };
    page.addEventListener("dragenter", (event) => hover(event, 1));
    page.addEventListener("dragover", (event) => hover(event, 0));
    page.addEventListener("dragleave", (event) => hover(event, -1));
    page.addEventListener("drop", (event) => {
      hover(event, -depth);
      const files = filesOf(event.dataTransfer);
      if (files.length === 0 && hasFiles(event)) this.refused = "A browser does not give the files of a folder: open it and drop the files.";
      void this.send(files);
    });
  }

  /** Shown where files are the source, and while there is something to say. */
  show(isOver = false) {
    const kb = this.store.kbs.get(this.kbId);
    const isHome = kb?.source?.type === "upload";
    this.node.hidden = !(isHome || isOver || this.isSending || this.refused || this.sent);
    setAttribute(this.opener, "hidden", isHome);
    setAttribute(this.button, "aria-disabled", this.isSending ? "true" : null);
    setAttribute(this.node, "data-refused", this.refused !== "");
    if (!this.isSending) setText(this.told, isOver ? "Drop them: they are loaded at once, or by the next run." : this.refused || this.sent || INVITATION);
  }

  /** @param {File[]} files */
  async send(files) {
    this.input.value = "";
    if (files.length === 0 || this.isSending) return this.show();
    this.isSending = true;
    this.refused = this.sent = "";
    this.show();
    try {
      await sendFiles(this.kbId, files, this.store.base, (text) => setText(this.told, text));
      this.sent = `${counted(files.length, "file")} sent. ${this.when()}`;
      void this.store.reread(this.kbId);
    } catch (error) {
      this.store.failed(error);
      this.refused = capital(/** @type {Error} */ (error).message);
    } finally {
      this.isSending = false;
      this.show();
    }
  }

  when() {
    const status = this.store.kbs.get(this.kbId)?.job?.status;
    return status === "paused" ? "They wait until the run is resumed." : "See Documents for where they stand.";
  }
}
