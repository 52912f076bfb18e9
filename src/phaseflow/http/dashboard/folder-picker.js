/**
 * Chooses a folder of the server, one level at a time, among those that it may read.
 *
 * @import {FolderListing} from "./phaseflow.d.ts"
 */

import * as api from "./api.js";
import { el, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { capital, counted } from "./words.js";

export class FolderPicker {
  /**
   * @param {HTMLElement} place
   * @param {HTMLButtonElement} opener
   * @param {string} base
   * @param {(path: string) => void} choose
   */
  constructor(place, opener, base, choose) {
    this.opener = opener;
    this.base = base;
    this.asked = 0;
    this.hasOneRoot = false;
    /** @type {FolderListing | null} */
    this.shown = null;
    this.told = el("p", { class: "told", role: "status" });
    this.list = el("ul");
    this.up = this.button("back", "Up", () => void this.read(this.shown?.parent ?? null));
    this.use = el("button", { type: "button", class: "primary" }, el("span", { text: "Use this folder" }));
    this.use.addEventListener("click", () => {
      if (!this.shown?.path) return;
      choose(this.shown.path);
      this.close();
    });
    this.node = el("div", { class: "folder-picker", hidden: true }, el("div", { class: "controls" }, this.up, this.use), this.told, this.list);
    for (const node of /** @type {HTMLElement[]} */ ([this.node, opener])) {
      node.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || this.node.hidden) return;
        event.preventDefault(); // the form stays open
        this.close();
      });
    }
    place.replaceWith(this.node);
    opener.addEventListener("click", () => (this.node.hidden ? this.open() : this.close()));
  }

  /**
   * @param {string} shape
   * @param {string} text
   * @param {() => void} press
   */
  button(shape, text, press) {
    const node = el("button", { type: "button" }, icon(shape), el("bdi", { text }));
    node.addEventListener("click", press);
    return node;
  }

  open() {
    this.node.hidden = false;
    setAttribute(this.opener, "aria-expanded", "true");
    void this.read(this.shown?.path ?? null);
  }

  close() {
    this.asked += 1;
    this.node.hidden = true;
    setAttribute(this.opener, "aria-expanded", "false");
    this.opener.focus();
  }

  /** @param {string | null} path null for the folders to begin with */
  async read(path) {
    const mine = (this.asked += 1);
    try {
      const listing = await api.folders(path, this.base);
      if (mine !== this.asked) return;
      const [only] = listing.folders;
      // One root alone is no choice.
      if (path === null) this.hasOneRoot = listing.folders.length === 1;
      if (path === null && this.hasOneRoot) return void this.read(only.path);
      this.show(listing);
    } catch (error) {
      if (mine === this.asked) setText(this.told, capital(/** @type {Error} */ (error).message));
    }
  }

  /** @param {FolderListing} listing */
  show(listing) {
    const had = this.node.contains(document.activeElement) || document.activeElement === this.opener;
    this.shown = listing;
    this.up.hidden = listing.path === null || (listing.parent === null && this.hasOneRoot);
    this.use.hidden = listing.path === null;
    setText(this.told, listing.path === null ? (listing.folders.length ? "Folders that this server may read" : "This server offers none. Type the path.") : wordsOf(listing));
    this.list.replaceChildren(...listing.folders.map(({ name, path }) => el("li", {}, this.button("folder", name, () => void this.read(path)))));
    if (had) (this.list.querySelector("button") ?? this.use).focus();
  }
}

/** @param {FolderListing} listing */
function wordsOf({ path, folders, files, is_complete: isComplete }) {
  const held = [folders.length ? counted(folders.length, "folder") : "", files ? counted(files, "file") : ""].filter(Boolean).join(", ");
  return `${path === "." ? "The service’s own folder" : path}: ${held || "empty"}${isComplete ? "" : ", and more that are not listed"}`;
}
