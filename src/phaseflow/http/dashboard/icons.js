/** The icons, drawn by DOM calls: sixteen by sixteen, in the colour of the text. */

import { svg } from "./dom.js";

/** @type {Record<string, string[]>} */
const SHAPES = {
  never: ["M8 2.2a5.8 5.8 0 1 1 0 11.6a5.8 5.8 0 1 1 0-11.6"],
  not_started: ["M8 2.2a5.8 5.8 0 1 1 0 11.6a5.8 5.8 0 1 1 0-11.6"],
  pending: ["M8 2.2a5.8 5.8 0 1 1 0 11.6a5.8 5.8 0 1 1 0-11.6", "M8 5v3.2l2 1.4"],
  running: ["M8 2.2a5.8 5.8 0 1 1-5.8 5.8", "M8 5.6a2.4 2.4 0 1 1 0 4.8a2.4 2.4 0 1 1 0-4.8"],
  paused: ["M8 2.2a5.8 5.8 0 1 1 0 11.6a5.8 5.8 0 1 1 0-11.6", "M6.4 5.8v4.4", "M9.6 5.8v4.4"],
  completed: ["M8 2.2a5.8 5.8 0 1 1 0 11.6a5.8 5.8 0 1 1 0-11.6", "M5.4 8.2l1.8 1.8l3.5-3.8"],
  failed: ["M8 2.2a5.8 5.8 0 1 1 0 11.6a5.8 5.8 0 1 1 0-11.6", "M6 6l4 4", "M10 6l-4 4"],
  cancelled: ["M8 2.2a5.8 5.8 0 1 1 0 11.6a5.8 5.8 0 1 1 0-11.6", "M5.2 8h5.6"],
  start: ["M5 3.2v9.6l7.6-4.8z"],
  pause: ["M5.4 3.4v9.2", "M10.6 3.4v9.2"],
  resume: ["M3.6 3.4v9.2", "M6.8 3.4v9.2l6.2-4.6z"],
  cancel: ["M4 4h8v8H4z"],
  retry: ["M12.9 9.4A5.2 5.2 0 1 1 12.4 5.2", "M13 2.6v3h-3"],
  open: ["M6 3.6l4.4 4.4L6 12.4"],
  back: ["M10 3.6L5.6 8l4.4 4.4"],
  close: ["M4 4l8 8", "M12 4l-8 8"],
  add: ["M8 3v10", "M3 8h10"],
  edit: ["M3 13l.6-2.8l7-7l2.2 2.2l-7 7z"],
  delete: ["M3 4.5h10", "M6.2 4.4V2.8h3.6v1.6", "M4.4 4.6l.6 8.6h6l.6-8.6"],
  search: ["M7 2.8a4.2 4.2 0 1 1 0 8.4a4.2 4.2 0 1 1 0-8.4", "M10.2 10.2l3.2 3.2"],
  folder: ["M2 4.2v8.4h12V5.4H7.8L6.4 3.4H2z"],
  git: ["M4.4 5.2v5.6", "M4.4 2.4a1.4 1.4 0 1 1 0 2.8a1.4 1.4 0 1 1 0-2.8", "M4.4 10.8a1.4 1.4 0 1 1 0 2.8a1.4 1.4 0 1 1 0-2.8", "M11.6 4.4a1.4 1.4 0 1 1 0 2.8a1.4 1.4 0 1 1 0-2.8", "M11.6 7.2c0 2.4-7.2 1.2-7.2 3.6"],
  fsspec: ["M8 2.4c3.2 0 5 .8 5 1.9s-1.8 1.9-5 1.9s-5-.8-5-1.9s1.8-1.9 5-1.9", "M3 4.3v7.4c0 1.1 1.8 1.9 5 1.9s5-.8 5-1.9V4.3", "M3 8c0 1.1 1.8 1.9 5 1.9s5-.8 5-1.9"],
  web: ["M8 2.2a5.8 5.8 0 1 1 0 11.6a5.8 5.8 0 1 1 0-11.6", "M2.4 8h11.2", "M8 2.4c-3.2 3.4-3.2 7.8 0 11.2c3.2-3.4 3.2-7.8 0-11.2"],
  upload: ["M8 10.6V3", "M5 5.8L8 2.8l3 3", "M2.8 10.4v2.8h10.4v-2.8"],
  download: ["M8 2.8v7.6", "M5 7.8L8 10.6l3-2.8", "M2.8 10.4v2.8h10.4v-2.8"],
  live: ["M8 5a3 3 0 1 1 0 6a3 3 0 1 1 0-6"],
  lost: ["M2.6 6.2a8 8 0 0 1 10.8 0", "M5 8.8a4.6 4.6 0 0 1 6 0", "M8 11.8v.1", "M3 13.4L13 2.6"],
  leave: ["M6.4 2.8H3v10.4h3.4", "M6.4 8h6.8", "M10.4 5.2L13.2 8l-2.8 2.8"],
};
const FILLED = new Set(["start", "cancel", "live"]);

/** @param {string} name */
export function icon(name) {
  const node = svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true", "data-icon": "" });
  setIcon(node, name);
  return node;
}

/**
 * Show another icon in its place.
 * @param {SVGSVGElement} node
 * @param {string} name
 */
export function setIcon(node, name) {
  if (node.dataset.icon === name) return;
  node.dataset.icon = name;
  node.classList.toggle("filled", FILLED.has(name));
  node.replaceChildren(...(SHAPES[name] ?? []).map((d) => svg("path", { d })));
}
