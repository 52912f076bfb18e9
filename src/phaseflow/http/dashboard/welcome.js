/**
 * The page without any knowledge base: files and folders that are dropped on it make the first one.
 *
 * @import {Chosen} from "./dropped-files.js"
 * @import {Store} from "./store.js"
 */

import { droppedFiles, hasFiles, pickedFiles } from "./dropped-files.js";
import { framed, setAttribute, setText } from "./dom.js";
import { NOTHING, TOO_MANY } from "./drop-zone.js";
import { UploadView, uploadWords } from "./upload-view.js";
import { openUploadTo, Upload, uploadTo } from "./upload.js";

const NAME = "documents";

export class Welcome {
  /**
   * @param {HTMLElement} node
   * @param {Store} store
   * @param {(kbId: string) => void} done called once the first files are there: the page of the knowledge base shows the rest
   */
  constructor(node, store, done) {
    this.node = node;
    this.store = store;
    this.done = done;
    /** @type {Upload | null} */
    this.upload = null;
    this.note = "";
    this.told = /** @type {HTMLElement} */ (node.querySelector("[data-part=told]"));
    this.view = new UploadView();
    this.told.after(this.view.node);
    const input = /** @type {HTMLInputElement} */ (node.querySelector("input[type=file]"));
    node.querySelector("[data-choose]")?.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const picked = pickedFiles(input.files);
      input.value = "";
      void this.send(picked);
    });
    addEventListener("dragover", (event) => this.isShown() && hasFiles(event) && setAttribute(node, "data-over", true));
    addEventListener("dragleave", (event) => event.relatedTarget === null && setAttribute(node, "data-over", false));
    addEventListener("drop", (event) => {
      setAttribute(node, "data-over", false);
      if (this.isShown() && hasFiles(event)) void droppedFiles(event.dataTransfer).then((files) => this.send(files));
    });
  }

  isShown() {
    return document.body.hasAttribute("data-empty");
  }

  /** @param {{chosen: Chosen[], isWhole: boolean}} files */
  async send({ chosen, isWhole }) {
    this.note = isWhole ? (chosen.length === 0 ? NOTHING : "") : TOO_MANY;
    const running = openUploadTo(this.store.base, NAME);
    if (running || chosen.length === 0) {
      running?.add(chosen);
      return this.show();
    }
    const upload = (this.upload = new Upload(this.store.base, NAME, framed(() => {
      this.show();
      if (upload.sent > 0) void this.leave();
    }), true));
    upload.add(chosen);
    await upload.run();
    if (upload.error) this.store.failed(upload.error);
    if (upload.sent > 0) await this.leave();
    else this.show();
  }

  /** The knowledge base is there: its page takes the upload over. */
  async leave() {
    if (!this.isShown() || this.isLeaving) return;
    this.isLeaving = true;
    const here = location.hash;
    await this.store.reread(NAME);
    this.isLeaving = false;
    if (location.hash === here) this.done(NAME);
  }

  isLeaving = false;

  show() {
    const { upload } = this;
    const isSending = upload !== null && uploadTo(this.store.base, NAME) === upload;
    this.view.show(upload, isSending);
    setAttribute(this.told, "data-refused", !isSending && upload !== null && (upload.error !== null || upload.refused.length > 0));
    setText(this.told, [upload ? uploadWords(upload, isSending) : "", this.note].filter(Boolean).join(" "));
  }
}
