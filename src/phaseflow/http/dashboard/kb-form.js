/**
 * The form for a new knowledge base, and for changing one. What the server cannot use is said at the field.
 *
 * @import {JobPhase, KnowledgeBase, Settings, Source} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { setAttribute, setText } from "./dom.js";
import { EmbedderFields } from "./embedder-fields.js";
import { FieldErrors } from "./field-errors.js";
import { itemOf, placeOf, refusedPlace } from "./form-places.js";
import { definitionText, MeanwhileLine, unlessChanged } from "./meanwhile.js";
import { DEFAULT, freeName, NAME, SourceFields } from "./source-fields.js";
import { capital } from "./words.js";

const EVERY = /^[1-9][0-9]{0,8}[smhd]$/;

/** @param {string} name */
const taken = (name) => `There is a knowledge base ${name} already. Open it and choose Change.`;

export class KbForm {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {Store} store
   * @param {(kbId: string) => void} done
   */
  constructor(dialog, store, done) {
    this.dialog = dialog;
    this.store = store;
    this.done = done;
    this.form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
    /** @type {KnowledgeBase | null} */
    this.changed = null;
    /** @type {SourceFields[]} */
    this.sources = [];
    this.made = 0;
    this.isBusy = false;
    /** Counts what it was opened or asked for: an answer that comes later than the next is nothing to that. */
    this.asked = 0;
    this.embedder = new EmbedderFields(this.form, store.base);
    this.errors = new FieldErrors(this.form);
    this.meanwhile = new MeanwhileLine();
    this.errors.placeOf("form")?.before(this.meanwhile.node);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    this.form.addEventListener("change", () => this.arrange());
    this.form.addEventListener("input", (event) => this.entered(/** @type {HTMLInputElement} */ (event.target)));
    this.part("add-source").addEventListener("click", () => {
      const fields = this.addSource();
      fields.field("source").value = freeName(this.sources.map((one) => one.name()));
      this.arrange();
      fields.field("source").select();
    });
    for (const close of dialog.querySelectorAll("[data-close]")) close.addEventListener("click", () => dialog.close());
  }

  /**
   * Open it for a knowledge base as the service has it now; when that is gone, the page says so and nothing opens.
   * @param {string} kbId
   */
  async change(kbId) {
    const known = this.store.kbs.get(kbId) ?? null;
    const mine = (this.asked += 1);
    try {
      const kb = await this.store.fresh(kbId);
      if (kb && mine === this.asked) this.open(kb);
    } catch (error) {
      this.store.failed(error);
      if (mine !== this.asked || known === null || this.store.connection === "locked") return;
      this.open(known);
      this.explain(/** @type {api.ApiError} */ (error));
    }
  }

  /** What was asked for is not wanted any more: the user looks at something else. */
  forget() {
    if (!this.dialog.open) this.asked += 1;
  }

  /** @param {KnowledgeBase | null} kb null for a new one */
  open(kb = null) {
    this.asked += 1;
    this.busy(false);
    this.changed = kb;
    this.form.reset();
    this.clearAll();
    this.made = 0;
    this.sources = [];
    this.part("sources").replaceChildren();
    const given = Object.entries(kb?.sources ?? {});
    for (const [name, source] of given.length ? given : /** @type {[string, Source][]} */ (kb?.source ? [[DEFAULT, kb.source]] : [])) this.addSource().fill(name, source);
    if (this.sources.length === 0) this.addSource().field("source").value = DEFAULT;
    if (kb) this.fill(kb);
    this.embedder.open(kb?.settings.embedder ?? null, kb?.kb_id);
    this.field("name").readOnly = kb !== null;
    setText(this.part("title"), kb ? `Change ${kb.kb_id}` : "New knowledge base");
    setText(this.part("submit"), kb ? "Save" : "Create");
    this.part("later").hidden = kb === null;
    this.arrange();
    if (!this.dialog.open) this.dialog.showModal();
    (kb?.source?.type === "folder" ? this.sources[0].field("path") : this.field("name")).focus();
  }

  /** @param {KnowledgeBase} kb */
  fill({ kb_id: kbId, settings }) {
    this.field("name").value = kbId;
    this.field("chunk_size").value = String(settings.chunk_size);
    this.field("chunk_overlap").value = String(settings.chunk_overlap);
    this.field("watch").checked = settings.sync?.watch ?? false;
    this.field("every").value = settings.sync?.every ?? "";
    this.field("languages").value = settings.ocr?.languages.join(", ") ?? "";
    this.field("index_server").value = settings.index?.server ?? "";
  }

  addSource() {
    this.made += 1;
    const fields = new SourceFields(this.made, this.store.base, (one) => this.removeSource(one));
    this.sources.push(fields);
    this.part("sources").append(fields.node);
    return fields;
  }

  /** @param {SourceFields} fields */
  removeSource(fields) {
    this.sources = this.sources.filter((one) => one !== fields);
    fields.node.remove();
    this.arrange();
    this.part("add-source").focus();
  }

  /** Show the fields that the choices ask for. */
  arrange() {
    for (const part of this.form.querySelectorAll("[data-when^='embedder='], [data-when^='server=']")) {
      const [name, value] = (part.getAttribute("data-when") ?? "").split("=");
      setAttribute(part, "hidden", this.value(name) !== value);
    }
    for (const source of this.sources) source.arrange(this.sources.length === 1);
    this.embedder.arrange();
    const types = this.sources.map((source) => source.type());
    setAttribute(this.part("sync"), "hidden", types.every((type) => type === "upload"));
    this.field("watch").disabled = !types.includes("folder");
    this.part("begin").hidden = this.changed !== null || types.every((type) => type === "upload");
    this.field("hold").disabled = !this.field("start").checked;
  }

  /** @param {HTMLInputElement} field */
  entered(field) {
    this.errors.clear(field.name);
    if (["base_url", "model", "server"].includes(field.name)) this.embedder.forget();
    if (field.name.startsWith("source")) this.arrange();
  }

  async send() {
    if (this.isBusy) return;
    this.clearAll();
    const mistakes = this.mistakes();
    if (mistakes.length) {
      for (const [name, text] of mistakes) this.errors.say(name, text);
      this.errors.point(mistakes[0][0]);
      return;
    }
    const kbId = this.value("name").trim();
    const begin = this.beginning();
    const mine = this.asked;
    this.busy(true);
    try {
      const { saved, now } = await this.save(kbId, this.changed, this.definition());
      const isMine = mine === this.asked;
      if (!saved) return void (isMine && this.tellChange(kbId, now));
      if (isMine) this.dialog.close();
      if (isMine) this.done(kbId);
      if (begin) await this.store.verbs.act("start", kbId, null, begin);
    } catch (error) {
      this.store.failed(error);
      if (mine === this.asked) this.explain(/** @type {api.ApiError} */ (error));
    } finally {
      if (mine === this.asked) this.busy(false);
    }
  }

  /**
   * Save what the form said when it was sent, only while the service still has what it was filled from: it may be open for
   * another knowledge base by then. When it has not, `now` is what it has.
   * @param {string} kbId
   * @param {KnowledgeBase | null} before
   * @param {ReturnType<KbForm["definition"]>} wanted
   */
  async save(kbId, before, wanted) {
    const now = await this.store.fresh(kbId);
    const isStill = before ? now !== null && definitionText(now) === definitionText(before) : now === null;
    if (!isStill) return { saved: false, now };
    const kb = await unlessChanged(api.putKb(kbId, wanted, this.store.base, now));
    if (kb === null) return { saved: false, now: await this.store.fresh(kbId) };
    this.store.show(kb);
    return { saved: true, now: kb };
  }

  /**
   * @param {string} kbId
   * @param {KnowledgeBase | null} now
   */
  tellChange(kbId, now) {
    if (this.changed) {
      this.meanwhile.say(kbId, now && (() => this.open(now)));
      (now ? this.meanwhile.button : this.field("name")).focus();
    } else {
      this.errors.say("name", taken(kbId));
      this.errors.point("name");
    }
  }

  /** How a run is to begin once it is saved; null: not at all. @returns {{hold: JobPhase[]} | null} */
  beginning() {
    if (this.part("begin").hidden || !this.field("start").checked) return null;
    return { hold: this.field("hold").checked ? ["embedding"] : [] };
  }

  /** What can be seen to be wrong without asking. @returns {[string, string][]} */
  mistakes() {
    /** @type {[string, string][]} */
    const found = [];
    const name = this.value("name").trim();
    if (!NAME.test(name)) found.push(["name", "Use 1 to 63 small letters, digits, - and _; begin with a letter or digit."]);
    if (!this.changed && this.store.kbs.has(name)) found.push(["name", taken(name)]);
    const names = this.sources.map((source) => source.name());
    this.sources.forEach((source, at) => {
      if (names.indexOf(source.name()) < at) found.push([`source${source.suffix}`, "Another source has this name. Choose another."]);
      found.push(...source.mistakes().map(([field, text]) => /** @type {[string, string]} */ ([`${field}${source.suffix}`, text])));
    });
    const every = this.value("every").trim();
    if (every && !EVERY.test(every)) found.push(["every", "Write a time as 90s, 15m, 6h or 1d."]);
    return [...found, ...this.embedder.mistakes()];
  }

  /** What the form does not show stays: other settings. */
  definition() {
    const settings = { ...this.changed?.settings, ...this.settings() };
    const [first, ...others] = this.sources;
    if (others.length === 0 && first.name() === DEFAULT) return { source: first.source(), settings };
    return { sources: Object.fromEntries(this.sources.map((source) => [source.name(), source.source()])), settings };
  }

  /** @returns {Settings} */
  settings() {
    const every = this.value("every").trim() || null;
    const watch = this.field("watch").checked && !this.field("watch").disabled;
    const languages = this.value("languages").toLowerCase().split(/[\s,;]+/).filter(Boolean);
    const server = this.value("index_server").trim();
    return {
      chunk_size: Number(this.value("chunk_size")), chunk_overlap: Number(this.value("chunk_overlap")), embedder: this.embedder.settings(),
      sync: every || watch ? { every, watch } : null, ocr: languages.length ? { languages } : null,
      index: server ? { type: "postgres", server } : { type: "embedded" },
    };
  }

  /** @param {api.ApiError} error */
  explain(error) {
    const path = error.field ?? "";
    const isSource = error.code === "source_not_allowed" && !error.field;
    const name = isSource ? refusedPlace(error.message, this.sources, this.settings().embedder) : placeOf(path, this.sources, this.form);
    const one = itemOf(path, this.sources);
    this.errors.say(name, one ? `“${one}” ${error.problem}` : capital(error.problem));
    this.errors.point(name);
  }

  clearAll() {
    this.meanwhile.hide();
    this.errors.clearAll();
  }

  /** @param {boolean} isBusy */
  busy(isBusy) {
    this.isBusy = isBusy;
    setAttribute(this.part("submit"), "aria-disabled", isBusy ? "true" : null);
  }

  /** @param {string} name */
  field(name) {
    return /** @type {HTMLInputElement} */ (this.form.elements.namedItem(name));
  }

  /** @param {string} name */
  part(name) {
    return /** @type {HTMLElement} */ (this.form.querySelector(`[data-part="${name}"]`));
  }

  /** @param {string} name */
  value(name) {
    return /** @type {HTMLInputElement | RadioNodeList} */ (this.form.elements.namedItem(name)).value;
  }
}
