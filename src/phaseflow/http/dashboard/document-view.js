/**
 * One document by itself: where it stands, what can be done with it, what is known of it, its text.
 *
 * @import {Question} from "./ask-dialog.js"
 * @import {DocumentInfo, DocumentVerb} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { DocumentText } from "./document-text.js";
import { documentLook, documentNote, documentWord, isRemovable, newest, sizeWords, sourceName } from "./document-words.js";
import { el, setAttribute, setText } from "./dom.js";
import { icon, setIcon } from "./icons.js";
import { MetadataForm } from "./metadata-form.js";
import { PHASES, capital, count, moment } from "./words.js";

export class DocumentView {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {string} id
   * @param {(question: Question) => void} ask
   * @param {string} list the address of the list
   */
  constructor(store, kbId, id, ask, list) {
    this.store = store;
    this.kbId = kbId;
    this.id = id;
    this.ask = ask;
    this.list = list;
    /** @type {DocumentInfo | null} */
    this.shown = null;
    /** What the stream told last. @type {DocumentInfo | null} */
    this.heard = null;
    this.version = "";
    this.isBusy = false;
    this.isClosed = false;
    this.title = el("h3", { class: "name", tabindex: "-1", text: "Loading…" });
    this.uri = el("bdi", { class: "uri" });
    this.mark = icon("never");
    this.word = el("span");
    this.note = el("bdi", { class: "note" });
    this.steps = PHASES.map((name) => el("li", { "data-phase": name }, icon("not_started"), el("span", { text: capital(name) })));
    this.verbs = {
      retry: this.button("retry", "Read again", () => this.act("retry")),
      skip: this.button("cancelled", "Skip", () => this.act("skip")),
      remove: this.button("delete", "Remove", () => this.askToRemove(), "danger"),
    };
    this.edit = this.button("edit", "Metadata", () => void this.change());
    this.form = new MetadataForm(() => this.fresh(), async (metadata, seen) => {
      this.show(await api.setMetadata(this.kbId, this.id, metadata, this.store.base, seen));
      setText(this.told, "The metadata are saved, and count in search at once.");
    }, () => this.edit.focus());
    this.told = el("p", { class: "told", role: "status" });
    this.facts = el("dl", { class: "facts" });
    this.text = new DocumentText(store, kbId, id);
    this.card = el("section", { class: "card standing-card" },
      el("header", {}, el("div", { class: "who" }, this.title, el("p", {}, this.uri)),
        el("div", { class: "controls", hidden: true }, ...Object.values(this.verbs), this.edit)),
      el("p", { class: "now" }, el("span", { class: "state" }, this.mark, this.word), this.note),
      el("ol", { class: "steps", "aria-label": "Phases" }, ...this.steps), this.told, this.facts, this.form.node);
    this.node = el("div", { class: "document" },
      el("a", { class: "up", href: list }, icon("back"), el("span", { text: "All documents" })), this.card, this.text.node);
    void this.read();
  }

  /**
   * @param {string} shape
   * @param {string} text
   * @param {() => void} press
   */
  button(shape, text, press, kind = "") {
    const node = el("button", { type: "button", class: kind }, icon(shape), el("span", { text }));
    node.addEventListener("click", () => this.isBusy || press());
    return node;
  }

  async read() {
    try {
      await this.take(this.fresh());
    } catch (error) {
      this.store.failed(error);
      const { status, message } = /** @type {api.ApiError} */ (error);
      if (this.shown && status !== 404) return; // what is shown was so
      setText(this.title, status === 404 ? "There is no such document" : "It cannot be read now");
      setText(this.told, capital(message));
      this.text.node.hidden = true;
    }
  }

  /**
   * Show an answer, unless the stream has told of something newer while it was on its way.
   * @template {DocumentInfo} Answer
   * @param {Promise<Answer>} asked
   */
  async take(asked) {
    const { heard } = this;
    const one = await asked;
    if (this.heard === heard || newest(this.heard, one) === one) this.show(one);
    return one;
  }

  /** The stream tells of it. @param {DocumentInfo} one */
  hear(one) {
    this.heard = one;
    this.show(one);
  }

  /** The document as it is now. */
  async fresh() {
    return api.document(this.kbId, this.id, this.store.base).catch((error) => {
      this.store.failed(error);
      throw error;
    });
  }

  /** Open the form for what the document is now. */
  async change() {
    await this.busy(async () => {
      this.form.open(await this.take(this.fresh()));
      return "";
    });
  }

  /** @param {string} range */
  goTo(range) {
    this.text.choose(range);
  }

  /** @param {DocumentInfo} one */
  show(one) {
    if (this.isClosed) return; // the marks in the text of the next one are the page's, too
    this.shown = one;
    const look = documentLook(one.status);
    setText(this.title, one.title || one.uri);
    setText(this.uri, one.title && one.title !== one.uri ? one.uri : "");
    setAttribute(this.card, "data-status", look);
    setIcon(this.mark, look);
    setText(this.word, documentWord(one.status));
    setText(this.note, documentNote(one));
    this.showSteps(one);
    this.showVerbs(one);
    this.showFacts(one);
    const version = `${one.indexed_at} ${one.chunks} ${one.searchable} ${one.status === "skipped"}`;
    if (version !== this.version) void this.text.show(one);
    this.version = version;
  }

  /** @param {DocumentInfo} one */
  showSteps(one) {
    const at = one.status === "indexed" ? PHASES.length : one.phase ? PHASES.indexOf(one.phase) : 0;
    const now = one.status === "failed" ? "failed" : one.status === "processing" ? "running" : "not_started";
    this.steps.forEach((step, number) => {
      const status = number < at ? "completed" : number === at ? now : "not_started";
      setAttribute(step, "data-status", status);
      setIcon(/** @type {SVGSVGElement} */ (step.firstElementChild), status);
    });
    setAttribute(/** @type {Element} */ (this.steps[0].parentElement), "hidden", one.status === "skipped");
  }

  /** @param {DocumentInfo} one */
  showVerbs(one) {
    setText(/** @type {Element} */ (this.verbs.retry.lastElementChild), one.status === "failed" ? "Retry" : one.status === "skipped" ? "Take back in" : "Read again");
    this.verbs.skip.hidden = one.status === "skipped";
    this.verbs.remove.hidden = !isRemovable(one, this.store.kbs.get(this.kbId));
    setAttribute(/** @type {Element} */ (this.verbs.retry.parentElement), "hidden", false);
  }

  /** @param {DocumentInfo} one */
  showFacts(one) {
    const known = [
      ["Source", sourceName(one.source)], ["Type", one.media_type ?? ""], ["Size", sizeWords(one.size)],
      ["Passages", one.chunks ? count(one.chunks) : ""], ["Times loaded", one.attempts ? count(one.attempts) : ""],
      ["Known since", moment(one.created_at)], ["Changed", moment(one.updated_at)],
      ["Searchable since", one.indexed_at ? moment(one.indexed_at) : ""], ["Error code", one.code ?? ""],
    ].filter(([, value]) => value !== "");
    const own = Object.entries(one.metadata).map(([key, value]) => [key, Array.isArray(value) ? value.join(", ") : String(value)]);
    this.facts.replaceChildren(...[...known, ...own].map(([name, value], at) =>
      el("div", { class: at < known.length ? "" : "own" }, el("dt", {}, el("bdi", { text: name })), el("dd", {}, el("bdi", { text: value })))));
  }

  /** @param {DocumentVerb} verb */
  act(verb) {
    void this.busy(async () => {
      const one = await this.take(api.actOnDocument(this.kbId, this.id, verb, this.store.base));
      if (verb === "skip") return "It is taken out, and left out until you take it back in.";
      return one.message ? `It ${one.message}.` : "It is loaded anew, even if it is unchanged.";
    });
  }

  askToRemove() {
    const { uri } = /** @type {DocumentInfo} */ (this.shown);
    this.ask({
      title: `Remove ${uri}?`,
      text: "The server deletes its copy of the file, and search forgets it.",
      word: "Remove",
      act: async () => {
        await api.deleteDocument(this.kbId, uri, this.store.base);
        if (this.node.checkVisibility()) location.hash = this.list;
      },
    });
  }

  /** @param {() => Promise<string>} work */
  async busy(work) {
    this.isBusy = true;
    for (const button of Object.values(this.verbs)) setAttribute(button, "aria-disabled", "true");
    try {
      setText(this.told, await work());
    } catch (error) {
      this.store.failed(error);
      setText(this.told, capital(/** @type {Error} */ (error).message));
    } finally {
      this.isBusy = false;
      for (const button of Object.values(this.verbs)) setAttribute(button, "aria-disabled", null);
    }
  }

  close() {
    this.isClosed = true;
    this.text.close();
    this.node.remove();
  }
}
