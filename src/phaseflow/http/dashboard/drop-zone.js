/**
 * Takes files and folders into a knowledge base: dropped anywhere on its page, or chosen. It can be done at any time, whatever
 * a run does.
 *
 * @import {Chosen} from "./dropped-files.js"
 * @import {Store} from "./store.js"
 */

import { droppedFiles, hasFiles, MOST_FILES, pickedFiles } from "./dropped-files.js";
import { el, framed, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { UploadView, uploadWords } from "./upload-view.js";
import { openUploadTo, Upload, uploadTo } from "./upload.js";
import { count } from "./words.js";

const INVITATION = "Drop files or folders here, or choose them. One with the same name takes the place of the older.";
export const NOTHING = "There is no file in it. Hidden files are left out.";
export const TOO_MANY = `Only the first ${count(MOST_FILES)} files are sent. Make a knowledge base of the folder instead, or use “phaseflow add”.`;

export class DropZone {
  /**
   * @param {Store} store
   * @param {string} kbId
   */
  constructor(store, kbId) {
    this.store = store;
    this.kbId = kbId;
    this.leaving = new AbortController();
    /** How many drops are being looked through. */
    this.looking = 0;
    this.note = "";
    this.draw = framed(() => this.show());
    /** The upload that is under way, or was last. @type {Upload | null} */
    this.upload = uploadTo(store.base, kbId);
    if (this.upload) this.upload.changed = () => this.draw();
    this.told = el("p", { role: "status" });
    this.view = new UploadView();
    const files = this.picker("Choose files", { "aria-label": `Files for ${kbId}` });
    const folder = this.picker("Choose a folder", { "aria-label": `A folder for ${kbId}`, webkitdirectory: true });
    const opener = this.picker("Add files", { "aria-label": `More files for ${kbId}` });
    this.opener = opener.button;
    this.pickers = el("div", { class: "pickers" }, files.button, folder.button);
    this.node = el("section", { class: "card drop", "aria-label": `Add files to ${kbId}`, hidden: true },
      icon("upload"), this.told, files.input, folder.input, opener.input, this.pickers, this.view.node);
  }

  /**
   * @param {string} text
   * @param {Record<string, string | boolean>} attributes of the input
   */
  picker(text, attributes) {
    const input = el("input", { type: "file", multiple: true, class: "unseen", tabindex: "-1", ...attributes });
    const button = el("button", { type: "button" }, icon("add"), el("span", { text }));
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const picked = pickedFiles(input.files);
      input.value = "";
      this.send(picked);
    });
    return { input, button };
  }

  get isSending() {
    return this.upload !== null && uploadTo(this.store.base, this.kbId) === this.upload;
  }

  /**
   * Take what is dropped anywhere in the window: a page may be shorter than that.
   * @param {HTMLElement} page that is marked while something is held over it
   */
  attach(page) {
    const { signal } = this.leaving;
    const hover = (/** @type {DragEvent} */ event, /** @type {boolean} */ isOver) => {
      if (!hasFiles(event) || document.querySelector("dialog[open]")) return false;
      event.preventDefault();
      setAttribute(page, "data-over", isOver);
      this.show(isOver);
      return true;
    };
    addEventListener("dragover", (event) => hover(event, true), { signal });
    addEventListener("dragleave", (event) => event.relatedTarget === null && hover(event, false), { signal });
    addEventListener("drop", (event) => hover(event, false) && void this.take(event.dataTransfer), { signal });
  }

  /** The page is left. What is being sent goes on. */
  leave() {
    this.leaving.abort();
  }

  /** @param {DataTransfer | null} dropped */
  async take(dropped) {
    this.looking += 1;
    const found = droppedFiles(dropped);
    this.show();
    const files = await found.finally(() => (this.looking -= 1));
    this.send(files);
  }

  /** Shown where files are the source, and while there is something to say. */
  show(isOver = false) {
    const kb = this.store.kbs.get(this.kbId);
    const isHome = kb?.source?.type === "upload";
    const { isSending } = this;
    this.node.hidden = !(isHome || isOver || this.looking || this.upload || this.note);
    setAttribute(this.opener, "hidden", isHome);
    this.pickers.hidden = isSending;
    this.view.show(this.upload, isSending);
    const hasFault = !isSending && this.upload !== null && (this.upload.error !== null || this.upload.refused.length > 0);
    setAttribute(this.node, "data-refused", hasFault);
    setText(this.told, this.words(isOver));
  }

  /** @param {boolean} isOver */
  words(isOver) {
    if (isOver) return "Drop them: they are loaded at once, or by the next run.";
    if (this.looking) return "Looking into the folders…";
    if (this.upload === null) return this.note || INVITATION;
    const { isSending } = this;
    return [uploadWords(this.upload, isSending), isSending || this.upload.sent === 0 ? "" : this.when(), this.note].filter(Boolean).join(" ");
  }

  /** @param {{chosen: Chosen[], isWhole: boolean}} files */
  send({ chosen, isWhole }) {
    this.note = isWhole ? (chosen.length === 0 ? NOTHING : "") : TOO_MANY;
    if (chosen.length === 0) return this.show();
    const open = openUploadTo(this.store.base, this.kbId); // also of the page of before, and of the one after this
    if (open) return open.add(chosen);
    const upload = (this.upload = new Upload(this.store.base, this.kbId, () => this.draw()));
    upload.add(chosen);
    void upload.run().then(() => {
      if (upload.error) this.store.failed(upload.error);
      void this.store.reread(this.kbId);
    });
    this.show();
  }

  when() {
    const status = this.store.kbs.get(this.kbId)?.job?.status;
    return status === "paused" ? "They wait until the run is resumed." : "See Documents for where they stand.";
  }
}
