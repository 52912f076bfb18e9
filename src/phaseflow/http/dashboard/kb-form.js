/**
 * The form for a new knowledge base, and for changing one. What the server cannot use is said at the field.
 *
 * @import {JobPhase, KnowledgeBase, Settings, Source} from "./phaseflow.d.ts"
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { setAttribute, setText } from "./dom.js";

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
/** Where the server's dotted paths are in the form. @type {[RegExp, string][]} */
const PLACES = [
  [/^kb_id/, "name"], [/^source\.path/, "path"], [/^source\.urls/, "urls"], [/^source\.include/, "include"],
  [/^source\.exclude/, "exclude"], [/^source\.max_pages/, "max_pages"], [/^source\.max_depth/, "max_depth"],
  [/^settings\.chunk_size/, "chunk_size"],
  [/^settings\.embedder\.base_url/, "base_url"], [/^settings\.embedder\.model/, "model"], [/^settings/, "chunk_overlap"],
];
const MORE = new Set(["chunk_size", "chunk_overlap", "base_url", "model"]);

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
    /** @type {Settings["embedder"] | null} what the knowledge base has, with the fields that the form does not show */
    this.embedder = null;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    this.form.addEventListener("change", () => this.arrange());
    this.form.addEventListener("input", (event) => this.clear(/** @type {HTMLInputElement} */ (event.target).name));
    for (const close of dialog.querySelectorAll("[data-close]")) close.addEventListener("click", () => dialog.close());
  }

  /** @param {KnowledgeBase | null} kb null for a new one */
  open(kb = null) {
    this.changed = kb;
    this.embedder = null;
    this.form.reset();
    for (const name of this.names()) this.clear(name);
    this.clear("form");
    if (kb) this.fill(kb);
    this.field("name").readOnly = kb !== null;
    setText(this.part("title"), kb ? `Change ${kb.kb_id}` : "New knowledge base");
    setText(this.part("submit"), kb ? "Save" : "Create");
    this.part("later").hidden = kb === null;
    this.arrange();
    this.dialog.showModal();
    this.field(kb?.source?.type === "folder" ? "path" : "name").focus();
  }

  /** @param {KnowledgeBase} kb */
  fill(kb) {
    const { source, settings } = kb;
    this.field("name").value = kb.kb_id;
    this.choose("type", source?.type ?? "folder");
    if (source?.type === "folder") {
      this.field("path").value = source.path;
      this.field("include").value = (source.include ?? []).join("\n");
      this.field("exclude").value = (source.exclude ?? []).join("\n");
      this.field("archives").checked = source.archives ?? false;
    }
    if (source?.type === "web") {
      this.field("urls").value = source.urls.join("\n");
      this.field("max_pages").value = String(source.max_pages ?? 500);
      this.field("max_depth").value = String(source.max_depth ?? "");
    }
    this.field("chunk_size").value = String(settings.chunk_size);
    this.field("chunk_overlap").value = String(settings.chunk_overlap);
    this.choose("embedder", settings.embedder.type);
    this.embedder = settings.embedder;
    if (settings.embedder.type === "openai" && "base_url" in settings.embedder) {
      this.field("base_url").value = settings.embedder.base_url;
      this.field("model").value = settings.embedder.model;
    }
  }

  /** Show the fields that the choices ask for. */
  arrange() {
    for (const part of this.form.querySelectorAll("[data-when]")) {
      const [name, value] = (/** @type {HTMLElement} */ (part).dataset.when ?? "").split("=");
      setAttribute(part, "hidden", this.value(name) !== value);
    }
    this.part("begin").hidden = this.changed !== null || this.value("type") === "upload";
    this.field("hold").disabled = !this.field("start").checked;
  }

  async send() {
    const mistakes = this.mistakes();
    if (mistakes.length) {
      for (const [name, text] of mistakes) this.say(name, text);
      this.point(mistakes[0][0]);
      return;
    }
    const kbId = this.value("name").trim();
    this.busy(true);
    try {
      const kb = await api.putKb(kbId, this.definition(kbId), this.store.base);
      this.store.show(kb);
      this.dialog.close();
      this.done(kbId);
      await this.start(kbId);
    } catch (error) {
      this.store.failed(error);
      this.explain(/** @type {api.ApiError} */ (error));
    } finally {
      this.busy(false);
    }
  }

  /** @param {string} kbId */
  async start(kbId) {
    if (this.changed || this.value("type") === "upload" || !this.field("start").checked) return;
    /** @type {JobPhase[]} */
    const hold = this.field("hold").checked ? ["embedding"] : [];
    await this.store.act("start", kbId, null, { hold });
  }

  /** The named server that the knowledge base uses, unless an address was typed in its place. @returns {{ type: "openai"; server: string } | null} */
  namedServer() {
    const named = this.embedder !== null && "server" in this.embedder && !this.value("base_url").trim();
    return named ? /** @type {{ type: "openai"; server: string }} */ (this.embedder) : null;
  }

  /** What can be seen to be wrong without asking. @returns {[string, string][]} */
  mistakes() {
    /** @type {[string, string][]} */
    const found = [];
    const name = this.value("name").trim();
    if (!NAME.test(name)) found.push(["name", "Use 1 to 63 small letters, digits, - and _; begin with a letter or digit."]);
    if (!this.changed && this.store.kbs.has(name)) found.push(["name", `There is a knowledge base ${name} already. Open it and choose Change.`]);
    const type = this.value("type");
    if (type === "folder" && !this.value("path").trim()) found.push(["path", "Say which folder of the server to read."]);
    if (type === "web" && this.lines("urls").length === 0) found.push(["urls", "Give at least one address, beginning with https://."]);
    const named = this.namedServer() !== null;
    if (this.value("embedder") === "openai" && !named && !this.value("base_url").trim()) found.push(["base_url", "Give the address of the server, up to /v1."]);
    if (this.value("embedder") === "openai" && !named && !this.value("model").trim()) found.push(["model", "Name the model."]);
    return found;
  }

  /**
   * What the form does not show stays: other sources, other settings.
   * @param {string} kbId
   */
  definition(kbId) {
    const present = this.store.kbs.get(kbId);
    const settings = { ...present?.settings, ...this.settings() };
    const others = Object.entries(present?.sources ?? {}).filter(([name]) => name !== "default");
    if (others.length === 0) return { source: this.source(), settings };
    return { sources: { default: this.source(), ...Object.fromEntries(others) }, settings };
  }

  /** @returns {Source} */
  source() {
    if (this.value("type") === "upload") return { type: "upload" };
    if (this.value("type") === "web") {
      const depth = this.value("max_depth");
      return {
        type: "web", urls: this.lines("urls"), max_pages: Number(this.value("max_pages")),
        max_depth: depth === "" ? null : Number(depth),
      };
    }
    return {
      type: "folder", path: this.value("path").trim(), include: this.lines("include"), exclude: this.lines("exclude"),
      archives: this.field("archives").checked,
    };
  }

  /** An embedding server by its address. One that is left as it was keeps the fields that the form does not show. */
  server() {
    const base_url = this.value("base_url").trim(), model = this.value("model").trim();
    const had = this.embedder && "base_url" in this.embedder ? this.embedder : null;
    return had?.base_url === base_url && had.model === model ? had : { type: /** @type {const} */ ("openai"), base_url, model };
  }

  /** @returns {Settings} */
  settings() {
    /** @type {Settings["embedder"]} */
    const embedder = this.value("embedder") !== "openai" ? { type: "static" } : this.namedServer() ?? this.server();
    return { chunk_size: Number(this.value("chunk_size")), chunk_overlap: Number(this.value("chunk_overlap")), embedder };
  }

  /** @param {api.ApiError} error */
  explain(error) {
    const path = error.field ?? (error.code === "source_not_allowed" ? (this.value("type") === "web" ? "source.urls" : "source.path") : "");
    const name = PLACES.find(([place]) => place.test(path))?.[1] ?? "form";
    const text = error.message.startsWith(`${path}: `) ? error.message.slice(path.length + 2) : error.message;
    this.say(name, text.charAt(0).toUpperCase() + text.slice(1));
    this.point(name);
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  say(name, text) {
    const place = this.form.querySelector(`[data-error="${name}"]`);
    if (!place) return;
    setText(place, text);
    setAttribute(place, "hidden", false);
    if (name !== "form") setAttribute(this.field(name), "aria-invalid", "true");
  }

  /** @param {string} name */
  point(name) {
    const more = this.form.querySelector("details");
    if (more && MORE.has(name)) more.open = true;
    if (name !== "form") this.field(name).focus();
  }

  /** @param {string} name */
  clear(name) {
    const place = this.form.querySelector(`[data-error="${name}"]`);
    if (place) setAttribute(place, "hidden", true);
    if (name !== "form") this.form.querySelector(`[name="${name}"]`)?.removeAttribute("aria-invalid");
  }

  /** @param {boolean} isBusy */
  busy(isBusy) {
    setAttribute(this.part("submit"), "aria-disabled", isBusy ? "true" : null);
  }

  names() {
    return [...new FormData(this.form).keys()];
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

  /**
   * @param {string} name
   * @param {string} value
   */
  choose(name, value) {
    /** @type {RadioNodeList} */ (this.form.elements.namedItem(name)).value = value;
  }

  /** @param {string} name */
  lines(name) {
    return this.value(name).split(/[\n,]/).map((line) => line.trim()).filter(Boolean);
  }
}
