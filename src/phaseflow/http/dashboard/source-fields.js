/**
 * One source in the form: its name, of what kind it is, and what belongs to that.
 *
 * @import {Source} from "./phaseflow.d.ts"
 */

import { setAttribute, setText } from "./dom.js";
import { FolderPicker } from "./folder-picker.js";
import { icon } from "./icons.js";

export const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
export const DEFAULT = "default";
const PUSH = "push";
/** @type {Record<string, string>} */
const URL_HINTS = {
  git: "https://… or ssh://…, or a path on the server. Credentials belong to a connection of the operator, not into the address",
  fsspec: "s3://bucket/folder, sftp://host/folder and what else fsspec knows. Credentials belong to a connection of the operator, not into the address",
};

export class SourceFields {
  /**
   * @param {number} number makes its ids and the names of its choices its own
   * @param {string} base
   * @param {(fields: SourceFields) => void} remove
   */
  constructor(number, base, remove) {
    const template = /** @type {HTMLTemplateElement} */ (document.querySelector("#source-template"));
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.node = /** @type {HTMLFieldSetElement} */ (copy.firstElementChild);
    this.suffix = number === 1 ? "" : `-${number}`;
    for (const slot of this.node.querySelectorAll("[data-icon-of]")) slot.replaceWith(icon(slot.getAttribute("data-icon-of") ?? ""));
    for (const name of ["id", "for", "name", "aria-describedby"]) this.makeOwn(name);
    /** As it was given: what is not shown stays. @type {Source | null} */
    this.given = null;
    this.givenName = "";
    /** What fields were filled with, and from which value: one that nobody has touched stays exactly as it was. @type {Map<string, {text: string, from: unknown}>} */
    this.filled = new Map();
    this.picker = new FolderPicker(this.part("picker"), /** @type {HTMLButtonElement} */ (this.part("browse")), base, (path) => {
      this.field("path").value = path;
      this.field("path").dispatchEvent(new Event("input", { bubbles: true }));
    });
    this.part("remove").addEventListener("click", () => remove(this));
  }

  /** @param {string} attribute */
  makeOwn(attribute) {
    for (const node of this.node.querySelectorAll(`[${attribute}]`)) {
      const names = (node.getAttribute(attribute) ?? "").split(" ");
      node.setAttribute(attribute, names.map((name) => `${name}${this.suffix}`).join(" "));
    }
  }

  /**
   * @param {string} name
   * @param {Source} source
   */
  fill(name, source) {
    this.given = source;
    this.givenName = name;
    this.field("source").value = name;
    this.choose(source.type);
    if ("include" in source || "exclude" in source) {
      this.write("include", (source.include ?? []).join("\n"), source.include);
      this.write("exclude", (source.exclude ?? []).join("\n"), source.exclude);
    }
    if (source.type === "folder") {
      this.write("path", source.path, source.path);
      this.field("archives").checked = source.archives ?? false;
    }
    if (source.type === "web") {
      this.write("urls", source.urls.join("\n"), source.urls);
      this.field("max_pages").value = String(source.max_pages ?? 500);
      this.field("max_depth").value = String(source.max_depth ?? "");
    }
    if (source.type === "git" || source.type === "fsspec") {
      this.write("url", source.url, source.url);
      this.field("connection").value = source.connection ?? "";
    }
    if (source.type === "git") this.field("ref").value = source.ref ?? "";
  }

  /**
   * @param {string} name
   * @param {string} text
   * @param {unknown} from
   */
  write(name, text, from) {
    this.field(name).value = text;
    if (from !== undefined) this.filled.set(name, { text: this.field(name).value, from });
  }

  /** @param {string} name */
  untouched(name) {
    const filled = this.filled.get(name);
    return filled?.text === this.field(name).value ? filled.from : undefined;
  }

  /** Show the fields that its kind asks for. @param {boolean} isAlone whether there is no other */
  arrange(isAlone) {
    const type = this.type();
    for (const part of this.node.querySelectorAll("[data-when]")) {
      const kinds = (part.getAttribute("data-when") ?? "").split("=")[1].split("|");
      setAttribute(part, "hidden", !kinds.includes(type));
    }
    setText(this.part("url-hint"), URL_HINTS[type] ?? "");
    setAttribute(this.part("head"), "hidden", isAlone && this.name() === DEFAULT);
    setAttribute(this.part("remove"), "hidden", isAlone);
    const isRenamed = this.givenName !== "" && this.name() !== this.givenName;
    const prefix = type === "web" || type === "upload" || this.name() === DEFAULT ? "" : ` Its documents are named ${this.name() || "NAME"}/….`;
    setText(this.part("source-hint"), isRenamed ? `The next run takes the documents of ${this.givenName} out and loads them under the new name.${prefix}` : `Small letters, digits, - and _.${prefix}`);
  }

  /** What can be seen to be wrong without asking. @returns {[string, string][]} */
  mistakes() {
    /** @type {[string, string][]} */
    const found = [];
    const type = this.type();
    if (!NAME.test(this.name())) found.push(["source", "Use 1 to 63 small letters, digits, - and _; begin with a letter or digit."]);
    if (this.name() === PUSH) found.push(["source", "This is the name of what is sent here. Choose another."]);
    if (type === "folder" && !this.value("path")) found.push(["path", "Enter a folder on the server, or browse for one."]);
    if (type === "web" && this.lines("urls").length === 0) found.push(["urls", "Give at least one address, beginning with https://."]);
    if ((type === "git" || type === "fsspec") && !this.value("url")) found.push(["url", "Enter the address."]);
    return found;
  }

  /** @returns {Source} */
  source() {
    const type = this.type();
    const kept = this.given?.type === type ? this.given : {};
    const globs = { include: this.lines("include"), exclude: this.lines("exclude") };
    const connection = this.value("connection") || undefined;
    if (type === "upload") return { type };
    if (type === "web") {
      const depth = this.value("max_depth");
      return { ...kept, type, urls: this.lines("urls"), max_pages: Number(this.value("max_pages")), max_depth: depth === "" ? null : Number(depth) };
    }
    if (type === "git") return { ...kept, type, url: this.value("url"), ref: this.value("ref") || undefined, connection, ...globs };
    if (type === "fsspec") return { ...kept, type, url: this.value("url"), connection, ...globs };
    return { ...kept, type, path: this.value("path"), archives: this.field("archives").checked, ...globs };
  }

  name() {
    return this.value("source");
  }

  /** @returns {Source["type"]} */
  type() {
    const chosen = /** @type {HTMLInputElement | null} */ (this.node.querySelector(`[name="type${this.suffix}"]:checked`));
    return /** @type {Source["type"]} */ (chosen?.value ?? "folder");
  }

  /** @param {string} type */
  choose(type) {
    const choice = /** @type {HTMLInputElement | null} */ (this.node.querySelector(`[name="type${this.suffix}"][value="${type}"]`));
    if (choice) choice.checked = true;
  }

  /** @param {string} name */
  field(name) {
    return /** @type {HTMLInputElement} */ (this.node.querySelector(`[name="${name}${this.suffix}"]`));
  }

  /** @param {string} name */
  part(name) {
    return /** @type {HTMLElement} */ (this.node.querySelector(`[data-part="${name}"]`));
  }

  /** @param {string} name */
  value(name) {
    const kept = this.untouched(name);
    return typeof kept === "string" ? kept : this.field(name).value.trim();
  }

  /** @param {string} name */
  lines(name) {
    const kept = this.untouched(name);
    return Array.isArray(kept) ? /** @type {string[]} */ (kept) : this.value(name).split(/[\n,]/).map((line) => line.trim()).filter(Boolean);
  }
}

/** A name that none of them has. @param {string[]} taken */
export function freeName(taken) {
  for (let number = 2; ; number += 1) if (!taken.includes(`source-${number}`)) return `source-${number}`;
}

