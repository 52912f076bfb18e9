/**
 * One document in the list.
 *
 * @import {DocumentInfo} from "./phaseflow.d.ts"
 */

import { documentLook, documentNote, documentWord, isNamed, sizeWords } from "./document-words.js";
import { el, setAttribute, setText, setTime } from "./dom.js";
import { icon, setIcon } from "./icons.js";
import { addressOf } from "./place.js";
import { ago, count, moment } from "./words.js";

export class DocumentRow {
  /**
   * @param {string} kbId
   * @param {DocumentInfo} one
   */
  constructor(kbId, one) {
    this.shown = one;
    this.link = el("a", { class: "uri", href: addressOf(kbId, ["documents", one.id]) }, el("bdi", { text: one.uri }));
    this.title = el("bdi", { class: "title" });
    this.mark = icon("never");
    this.word = el("span");
    this.note = el("bdi", { class: "note" });
    this.chunks = el("td", { "data-label": "Passages", class: "number" });
    this.size = el("td", { "data-label": "Size", class: "number short-text" });
    this.when = el("time");
    this.node = el("tr", { "data-id": one.id, "data-uri": one.uri },
      el("th", { scope: "row" }, this.link, this.title),
      el("td", { class: "standing" }, el("span", { class: "state" }, this.mark, this.word), this.note),
      this.chunks, this.size, el("td", { "data-label": "Changed" }, this.when));
    this.show(one);
  }

  /** @param {DocumentInfo} one */
  show(one) {
    this.shown = one;
    const look = documentLook(one.status);
    setText(this.title, isNamed(one) ? one.title : "");
    setAttribute(this.node, "data-status", look);
    setIcon(this.mark, look);
    setText(this.word, documentWord(one.status));
    const note = documentNote(one);
    setText(this.note, note);
    setAttribute(this.note, "title", note || null);
    setText(this.chunks, one.chunks ? count(one.chunks) : "");
    setText(this.size, sizeWords(one.size));
    setTime(this.when, one.updated_at, ago(one.updated_at), moment(one.updated_at));
  }
}
