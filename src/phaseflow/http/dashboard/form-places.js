/**
 * Where in the form for a knowledge base a refusal of the server belongs.
 *
 * @import {Settings} from "./phaseflow.d.ts"
 * @import {SourceFields} from "./source-fields.js"
 */

import { DEFAULT } from "./source-fields.js";

/** The field of a source, and the number of the line in it. */
const ITEM = /^source(?:s\.([^.]+))?\.(urls|include|exclude)\.(\d+)/;

/** Where the server's dotted paths are in the form, but for those of sources. @type {[RegExp, string][]} */
const PLACES = [
  [/^kb_id/, "name"], [/^settings\.chunk_size/, "chunk_size"], [/^settings\.embedder\.base_url/, "base_url"],
  [/^settings\.embedder\.model/, "model"], [/^settings\.embedder\.server/, "server"], [/^settings\.sync/, "every"],
  [/^settings\.ocr/, "languages"], [/^settings\.index/, "index_server"],
  [/^settings\.chunk_overlap|^settings$/, "chunk_overlap"],
];

/**
 * The field of a dotted path, with the suffix of its source; `form` for a path that no field has.
 * @param {string} path
 * @param {SourceFields[]} sources
 * @param {HTMLFormElement} form
 */
export function placeOf(path, sources, form) {
  const [, name, field] = /^source(?:s\.([^.]+))?\.([a-z_]+)/.exec(path) ?? [];
  const source = sources.find((one) => one.name() === (name ?? DEFAULT)) ?? sources[0];
  if (field && form.querySelector(`[data-error="${field}"]`)) return `${field}${source.suffix}`;
  return PLACES.find(([place]) => place.test(path))?.[1] ?? "form";
}

/**
 * The line of a field that a dotted path names; null when it names none.
 * @param {string} path
 * @param {SourceFields[]} sources
 */
export function itemOf(path, sources) {
  const [, name, field, at] = ITEM.exec(path) ?? [];
  const source = sources.find((one) => one.name() === (name ?? DEFAULT)) ?? sources[0];
  return field ? (source.lines(field)[Number(at)] ?? null) : null;
}

/**
 * A refusal names what may not be read, but not where it stands.
 * @param {string} message
 * @param {SourceFields[]} sources
 * @param {Settings["embedder"]} embedder
 */
export function refusedPlace(message, sources, embedder) {
  if ("base_url" in embedder && message.includes(new URL(embedder.base_url, "http://none").hostname)) return "base_url";
  for (const source of sources) {
    if (message.includes(`'${source.value("path")}'`)) return `path${source.suffix}`;
    for (const field of ["url", "urls"]) {
      if (source.lines(field).some((one) => message.includes(one))) return `${field}${source.suffix}`;
    }
  }
  const [{ suffix }] = sources, type = sources[0].type();
  return `${type === "web" ? "urls" : type === "folder" ? "path" : "url"}${suffix}`;
}
