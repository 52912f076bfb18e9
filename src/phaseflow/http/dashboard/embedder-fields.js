/**
 * Where vectors come from, in the form: the package, a server that the operator has named, or one by its address; and
 * whether it answers.
 *
 * @import {EmbeddingServers, Settings} from "./phaseflow.d.ts"
 */

import * as api from "./api.js";
import { el, setAttribute, setText } from "./dom.js";
import { capital, count } from "./words.js";

export class EmbedderFields {
  /**
   * @param {HTMLFormElement} form
   * @param {string} base
   */
  constructor(form, base) {
    this.form = form;
    this.base = base;
    /** @type {EmbeddingServers | null} */
    this.offered = null;
    /** What the knowledge base has, with the fields that the form does not show. @type {Settings["embedder"] | null} */
    this.given = null;
    /** @type {string | undefined} */
    this.kbId = undefined;
    this.asked = 0;
    this.part("try").addEventListener("click", () => void this.try());
  }

  /**
   * @param {Settings["embedder"] | null} given null for a new knowledge base
   * @param {string} [kbId]
   */
  open(given, kbId) {
    this.given = given;
    this.kbId = kbId;
    this.forget();
    this.showServers(given && "server" in given ? given.server : "");
    if (given) /** @type {RadioNodeList} */ (this.form.elements.namedItem("embedder")).value = given.type;
    if (given && "base_url" in given) {
      this.field("base_url").value = given.base_url;
      this.field("model").value = given.model;
    }
    void this.learn();
  }

  async learn() {
    this.offered = await api.embedders(this.base).catch(() => null);
    this.showServers(this.field("server").value);
    setText(this.part("has-key"), this.offered?.has_key ? " (both are set)" : "");
  }

  /** @param {string} chosen */
  showServers(chosen) {
    const names = new Set([...(this.offered?.servers.map(({ name }) => name) ?? []), ...(chosen ? [chosen] : [])]);
    const select = this.field("server");
    select.replaceChildren(el("option", { value: "", text: "By its address" }), ...[...names].map((name) => el("option", { value: name, text: this.titleOf(name) })));
    select.value = chosen;
    this.part("servers").hidden = names.size === 0;
    this.form.dispatchEvent(new Event("change"));
  }

  /** @param {string} name */
  titleOf(name) {
    const model = this.offered?.servers.find((one) => one.name === name)?.model;
    return model ? `${name} (${model})` : name;
  }

  /** Say where its key comes from. */
  arrange() {
    const server = this.offered?.servers.find(({ name }) => name === this.field("server").value);
    const key = server?.key_variable ? `Its key is in ${server.key_variable}, which ${server.has_key ? "is set" : "is not set on the server"}` : "It needs no key";
    setText(this.part("server-hint"), server ? `Set up by the operator. ${key}` : "");
  }

  /** What was said of other values is no longer so. */
  forget() {
    this.asked += 1;
    setText(this.part("tried"), "");
    setAttribute(this.part("tried"), "data-refused", false);
  }

  isRemote() {
    return /** @type {RadioNodeList} */ (this.form.elements.namedItem("embedder")).value === "openai";
  }

  /** @returns {[string, string][]} */
  mistakes() {
    if (!this.isRemote() || this.field("server").value) return [];
    /** @type {[string, string][]} */
    const found = [];
    if (!this.value("base_url")) found.push(["base_url", "Enter the address of the server, up to /v1."]);
    if (!this.value("model")) found.push(["model", "Name the model."]);
    return found;
  }

  /** One that is left as it was keeps the fields that the form does not show. @returns {Settings["embedder"]} */
  settings() {
    if (!this.isRemote()) return { type: "static" };
    const server = this.field("server").value;
    if (server) return { type: "openai", server };
    const base_url = this.value("base_url"), model = this.value("model");
    const had = this.given && "base_url" in this.given ? this.given : null;
    return had?.base_url === base_url ? { ...had, model } : { type: "openai", base_url, model };
  }

  async try() {
    const [mistake] = this.mistakes();
    this.forget();
    const mine = this.asked;
    if (mistake) return this.tell(mistake[1], true);
    this.tell("Asking for one vector…", false);
    try {
      const { dimension, error, seconds } = await api.tryEmbedder(this.settings(), this.kbId, this.base);
      if (mine !== this.asked) return;
      if (error === null) this.tell(`It works: vectors of ${count(dimension ?? 0)} numbers, after ${seconds.toFixed(1)} s`, false);
      else this.tell(capital(error), true);
    } catch (error) {
      if (mine === this.asked) this.tell(capital(/** @type {Error} */ (error).message), true);
    }
  }

  /**
   * @param {string} text
   * @param {boolean} isRefused
   */
  tell(text, isRefused) {
    setText(this.part("tried"), text);
    setAttribute(this.part("tried"), "data-refused", isRefused);
  }

  /** @param {string} name */
  field(name) {
    return /** @type {HTMLInputElement} */ (this.form.elements.namedItem(name));
  }

  /** @param {string} name */
  value(name) {
    return this.field(name).value.trim();
  }

  /** @param {string} name */
  part(name) {
    return /** @type {HTMLElement} */ (this.form.querySelector(`[data-part="${name}"]`));
  }
}
