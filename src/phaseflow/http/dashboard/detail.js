/**
 * One knowledge base, whole: what it is made from, its run, its documents, its failures, its past, and search.
 *
 * @import {Question} from "./ask-dialog.js"
 * @import {KnowledgeBase} from "./phaseflow.d.ts"
 * @import {Place} from "./place.js"
 * @import {Store} from "./store.js"
 */

import { DocumentsPanel } from "./documents-panel.js";
import { el, setAttribute, setText } from "./dom.js";
import { DropZone } from "./drop-zone.js";
import { icon, setIcon } from "./icons.js";
import { RunLine } from "./run-line.js";
import { RunView } from "./run-view.js";
import { RunsPanel } from "./runs-panel.js";
import { SearchPanel } from "./search-panel.js";
import { count, counted, sourcesWords } from "./words.js";

/** @type {[string, string][]} */
const TABS = [["search", "Search"], ["documents", "Documents"], ["run", "Run"], ["runs", "Past runs"]];
/** Addresses of before that there is another place for. @type {Record<string, [string, string]>} */
const MOVED = { failures: ["documents", "status=failed"] };

/**
 * @typedef {object} Wishes
 * @property {(kbId: string) => void} change
 * @property {(kbId: string) => void} remove
 * @property {(question: Question) => void} ask
 * @property {() => void} back
 * @property {(tab: string, query: Record<string, string>) => void} tab
 */

export class Detail {
  /**
   * @param {Store} store
   * @param {string} kbId
   * @param {Wishes} wishes
   */
  constructor(store, kbId, wishes) {
    this.store = store;
    this.kbId = kbId;
    this.wishes = wishes;
    this.sourceIcon = icon("folder");
    this.source = el("bdi", { class: "uri" });
    this.counts = el("span", { class: "counts" });
    this.title = el("h2", { text: kbId, tabindex: "-1", title: kbId });
    this.selected = "";
    this.badge = el("span", { class: "badge", hidden: true });
    /** @type {Map<string, HTMLButtonElement>} */
    this.tabs = new Map();
    this.line = new RunLine(kbId);
    this.drop = new DropZone(store, kbId);
    this.panels = {
      run: new RunView(store, kbId),
      search: new SearchPanel(store, kbId),
      documents: new DocumentsPanel(store, kbId, wishes.ask),
      runs: new RunsPanel(store, kbId),
    };
    this.node = el("article", { class: "detail", "aria-label": kbId }, this.head(), this.line.node, this.drop.node, this.tabList(), ...this.sheets());
    this.drop.attach(this.node);
    this.leave = store.watch({ kb: (one) => one === kbId && this.show(), list: () => this.show() });
    this.show();
  }

  head() {
    const back = this.button("back", "All knowledge bases", "back quiet", () => this.wishes.back());
    const change = this.button("edit", "Change", "", () => this.wishes.change(this.kbId));
    const remove = this.button("delete", "Delete", "danger", () => this.wishes.remove(this.kbId));
    return el("header", { class: "detail-head" }, back,
      el("div", { class: "who" }, this.title,
        el("p", { class: "source" }, this.sourceIcon, this.source, this.counts)),
      el("div", { class: "controls" }, this.drop.opener, change, remove));
  }

  /**
   * @param {string} shape
   * @param {string} text
   * @param {string} kind
   * @param {() => void} press
   */
  button(shape, text, kind, press) {
    const node = el("button", { type: "button", class: kind }, icon(shape), el("span", { text }));
    node.addEventListener("click", press);
    return node;
  }

  tabList() {
    const list = el("div", { class: "tabs", role: "tablist", "aria-label": `Views of ${this.kbId}` });
    for (const [name, title] of TABS) {
      const tab = el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}` },
        el("span", { text: title }), ...(name === "documents" ? [this.badge] : []));
      tab.addEventListener("click", () => this.press(name));
      this.tabs.set(name, tab);
      list.append(tab);
    }
    list.addEventListener("keydown", (event) => this.step(event));
    return list;
  }

  sheets() {
    return TABS.map(([name]) => el("div", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, hidden: true },
      this.panels[/** @type {keyof typeof this.panels} */ (name)].node));
  }

  /** @param {KeyboardEvent} event */
  step(event) {
    const names = TABS.map(([name]) => name);
    const steps = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowLeft: -1 });
    const at = names.indexOf(this.selected);
    const to = event.key === "Home" ? 0 : event.key === "End" ? names.length - 1 : at + (steps[event.key] ?? NaN);
    if (Number.isNaN(to)) return;
    event.preventDefault();
    const name = names[(to + names.length) % names.length];
    this.tabs.get(name)?.focus();
    this.press(name, false);
  }

  /** @param {string} name */
  press(name, mayFocus = true) {
    const { search, documents } = this.panels;
    this.wishes.tab(name, name === "search" ? search.last : name === "documents" ? documents.filters.query() : {});
    if (name === "search" && mayFocus) search.focus();
  }

  /**
   * Show the view that an address names. Without a name: search where a run is completed, else the run.
   * @param {Place} place
   */
  select(place) {
    const [tab, query] = MOVED[place.tab] ?? [place.tab, ""];
    const there = query ? { ...place, query: new URLSearchParams(query) } : place;
    this.selected = this.tabs.has(tab) ? tab : this.selected && !tab ? this.selected : this.first();
    for (const [each, button] of this.tabs) {
      const isMine = each === this.selected;
      setAttribute(button, "aria-selected", String(isMine));
      setAttribute(button, "tabindex", isMine ? "0" : "-1");
    }
    for (const panel of this.node.querySelectorAll("[role=tabpanel]")) {
      setAttribute(panel, "hidden", panel.id !== `panel-${this.selected}`);
    }
    if (this.selected === "documents") this.panels.documents.open(there);
    else this.panels.documents.close();
    if (this.selected === "search") this.panels.search.open(there);
    this.show();
  }

  first() {
    const kb = this.store.kbs.get(this.kbId);
    return kb?.job?.status === "completed" && kb.documents > 0 ? "search" : "run";
  }

  show() {
    const kb = this.store.kbs.get(this.kbId);
    if (!kb) return;
    this.drop.show();
    this.line.show(kb.job, this.selected === "search" || this.selected === "documents");
    setIcon(this.sourceIcon, (kb.source ?? Object.values(kb.sources ?? {})[0])?.type ?? "folder");
    setText(this.source, sourcesWords(kb));
    setAttribute(this.source, "title", kb.sync?.error ?? sourcesWords(kb));
    const { failed } = kb.counts;
    setText(this.badge, failed ? `${count(failed)} failed` : "");
    this.badge.hidden = failed === 0;
    setText(this.counts, `${counted(kb.documents, "document")}, ${counted(kb.chunks, "chunk")} searchable${waitsWords(kb)}${staleWords(kb)}`);
  }

  /** Let go of the store. */
  close() {
    this.leave();
    this.drop.leave();
    this.panels.run.leave();
    this.panels.documents.leave();
    this.panels.runs.leave();
    this.node.remove();
  }
}

/**
 * Documents that no run takes up by itself: a run that was cancelled has left them.
 * @param {KnowledgeBase} kb
 */
function waitsWords(kb) {
  const isOver = kb.job?.status === "completed" || kb.job?.status === "cancelled";
  return isOver && kb.counts.queued ? `, ${counted(kb.counts.queued, "document")} waiting for a start` : "";
}

/**
 * What the next run makes again, since the index was made with other settings.
 * @param {KnowledgeBase} kb
 */
function staleWords(kb) {
  const names = kb.stale.map((each) => each.setting.replace("_", " ")).join(", ");
  if (names === "") return "";
  const some = kb.stale.every((each) => each.cost.startsWith("documents that could not be read since"));
  return some
    ? `, some documents that could not be read indexed with another ${names}`
    : `, indexed with another ${names}: the next run makes it anew`;
}
