/**
 * The page: what is selected, whether the connection stands, and who may see it.
 *
 * @import {Connection} from "./phaseflow.d.ts"
 */

import "./kb-list.js";
import "./phase-status.js";

import { Announcer } from "./announcer.js";
import * as api from "./api.js";
import { AskDialog } from "./ask-dialog.js";
import { Detail } from "./detail.js";
import { el, part, setAttribute, setText } from "./dom.js";
import { FocusGuard } from "./focus-guard.js";
import { icon } from "./icons.js";
import { KbForm } from "./kb-form.js";
import { Login } from "./login.js";
import { addressOf, placeIn } from "./place.js";
import { ServiceView } from "./service-view.js";
import { isOver, storeOf } from "./store.js";
import { Welcome } from "./welcome.js";
import { counted, statusWord } from "./words.js";

const WIDE = matchMedia("(min-width: 60rem)");

class App {
  constructor() {
    this.store = storeOf();
    this.list = part("list", "kb-list");
    this.stage = part("stage", "section");
    this.main = part("main", "main");
    this.guard = new FocusGuard(this.main, this.stage);
    this.announcer = new Announcer(part("live", "p"));
    this.form = new KbForm(part("kb-form", "dialog"), this.store, (kbId) => this.go(kbId));
    this.asking = new AskDialog(part("asking", "dialog"), this.store);
    /** @type {Detail | null} */
    this.detail = null;
    /** @type {ServiceView | null} */
    this.service = null;
    /** The name in the address that no knowledge base has. @type {string | null} */
    this.missed = null;
    /** @type {HTMLElement | null} */
    this.missing = null;
    /** Says that the address names no page. @type {HTMLElement | null} */
    this.unknown = null;
    for (const slot of document.querySelectorAll("[data-icon-of]")) {
      slot.replaceWith(icon(/** @type {HTMLElement} */ (slot).dataset.iconOf ?? ""));
    }
    this.welcome = new Welcome(part("welcome", "section"), this.store, (kbId) => this.turn(addressOf(kbId, ["run"])));
    this.listen();
    this.login = new Login(this.store);
    this.showConnection(this.store.connection);
    this.follow();
  }

  listen() {
    this.store.watch({
      list: () => this.follow(),
      connection: (connection) => this.showConnection(connection),
      transition: (transition) => this.announcer.hear(transition),
      ended: (job) => this.showEnd(job),
      refused: (refusal) => this.announcer.say(`refused ${refusal.kb_id}`, refusal.detail),
    });
    this.list.addEventListener("kb-select", (event) => this.go(event.detail.kb_id, true));
    // A file that misses its place would else be opened instead of the page.
    for (const name of /** @type {const} */ (["dragover", "drop"])) {
      addEventListener(name, (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
    }
    addEventListener("hashchange", () => this.follow());
    part("skip", "a").addEventListener("click", (event) => {
      event.preventDefault(); // the address says what is shown
      (this.stage.checkVisibility() ? this.stage : this.main).focus();
    });
    document.addEventListener("visibilitychange", () => document.hidden || this.showTitle(""));
    for (const button of document.querySelectorAll("[data-new]")) button.addEventListener("click", () => this.form.open());
  }

  /** @param {string | null} kbId */
  go(kbId, mayFocus = false) {
    location.hash = kbId === null ? "#/" : addressOf(kbId);
    this.follow();
    if (mayFocus && !WIDE.matches) this.detail?.title.focus();
  }

  /** @param {string} address */
  turn(address) {
    history.replaceState(null, "", address);
    this.follow();
  }

  /** Show what the address names; on a wide screen, something worth seeing when it names nothing. */
  follow() {
    const { kbs } = this.store;
    const shownOne = this.detail?.kbId;
    // Deleted elsewhere while the address names none: it is said, as of a link, instead of showing another one.
    if (location.hash.length < 3 && shownOne !== undefined && !kbs.has(shownOne) && this.store.connection !== "locked") {
      history.replaceState(null, "", addressOf(shownOne));
    }
    const place = placeIn(location.hash);
    const kbId = place.isKnown ? place.kbId : null;
    this.showUnknown(!place.isKnown);
    this.showService(place.isKnown && place.view === "service" && this.store.listed);
    const isMissing = kbId !== null && !kbs.has(kbId) && this.store.listed;
    const shown = this.service || this.unknown ? null : kbId !== null ? (kbs.has(kbId) ? kbId : null) : WIDE.matches ? this.worthSeeing() : null;
    setAttribute(document.body, "data-view", kbId !== null && (kbId === shown || isMissing) || this.service || this.unknown ? "detail" : "list");
    setAttribute(document.body, "data-empty", this.store.listed && kbs.size === 0 && !isMissing && !this.unknown && this.store.connection !== "locked");
    this.list.selected = shown;
    this.open(shown);
    this.showMissing(isMissing ? kbId : null);
    if (this.detail && (kbId === shown || this.detail.selected === "")) this.detail.select(place);
  }

  /** @param {boolean} isWanted */
  showService(isWanted) {
    if (isWanted === (this.service !== null)) return;
    this.service?.close();
    this.service = isWanted ? new ServiceView(this.store) : null;
    if (this.service) this.stage.append(this.service.node);
    this.showTitle("");
  }

  /** What is shown already, else a job that runs, else one that is not over, else the first. */
  worthSeeing() {
    const all = [...this.store.kbs.values()];
    const shown = all.find((kb) => kb.kb_id === this.detail?.kbId);
    const running = all.find((kb) => kb.job?.status === "running");
    return (shown ?? running ?? all.find((kb) => kb.job && !isOver(kb.job)) ?? all[0])?.kb_id ?? null;
  }

  /** @param {string | null} kbId */
  open(kbId) {
    if ((this.detail?.kbId ?? null) === kbId) return;
    this.form.forget();
    this.detail?.close();
    this.detail = kbId === null ? null : new Detail(this.store, kbId, {
      change: (one) => void this.form.change(one),
      remove: (one) => this.askToDelete(one),
      ask: (question) => this.asking.ask(question),
      back: () => this.back(kbId),
      tab: (tab, query) => this.turn(addressOf(kbId, [tab], query)),
    });
    if (this.detail) this.stage.append(this.detail.node);
    this.showTitle("");
  }

  /**
   * A run that ends while nobody looks is told in the title of the page.
   * @param {import("./phaseflow.d.ts").IngestionJob} job
   */
  showEnd({ kb_id: kbId, status }) {
    if (document.hidden) this.showTitle(`${status === "completed" ? "✓" : "✕"} ${kbId}: ${statusWord(status).toLowerCase()}`);
  }

  /** @param {string} news what the title says before all else, until somebody looks */
  showTitle(news) {
    const name = this.unknown ? "No such page" : this.service ? "The whole service" : this.missed !== null ? "No such knowledge base" : this.detail?.kbId;
    document.title = [news, name, "phaseflow"].filter(Boolean).join(" · ");
  }

  /**
   * Say that an address names a knowledge base that is not there: it was deleted, or is mistyped.
   * @param {string | null} kbId
   */
  showMissing(kbId) {
    if (kbId === this.missed) return;
    this.missed = kbId;
    this.missing?.remove();
    this.missing = null;
    if (kbId === null) return this.showTitle("");
    void this.store.reread(kbId); // it may have come since the list was read
    const back = el("button", { type: "button", text: "All knowledge bases" });
    back.addEventListener("click", () => this.go(null));
    this.missing = el("div", { class: "card missing", role: "status" },
      el("h2", { text: `There is no knowledge base ${kbId}` }),
      el("p", { text: "It may have been deleted, or the address has a mistake in it." }), back);
    this.stage.append(this.missing);
    this.showTitle("");
  }

  /** @param {boolean} isUnknown the address names nothing that the page can show */
  showUnknown(isUnknown) {
    if (isUnknown === (this.unknown !== null)) return;
    this.unknown?.remove();
    this.unknown = null;
    if (isUnknown) {
      const back = el("button", { type: "button", text: "All knowledge bases" });
      back.addEventListener("click", () => this.go(null));
      this.unknown = el("div", { class: "card missing", role: "status" },
        el("h2", { text: "There is no such page" }), el("p", { text: "The address has a mistake in it, or is of another version." }), back);
      this.stage.append(this.unknown);
    }
    this.showTitle("");
  }

  /** @param {string} kbId */
  askToDelete(kbId) {
    const kb = this.store.kbs.get(kbId);
    this.asking.ask({
      title: `Delete ${kbId}?`,
      text: `Its index (${counted(kb?.documents ?? 0, "document")}, ${counted(kb?.chunks ?? 0, "chunk")}) and the history of its runs go with it. ${kb?.source?.type === "upload" ? "So do the files that were sent to it." : "The documents themselves stay where they are."}`,
      word: "Delete",
      act: async () => {
        await api.deleteKb(kbId, this.store.base);
        const isHere = this.detail?.kbId === kbId || this.missed === kbId;
        this.store.forget(kbId);
        if (isHere) this.go(null);
      },
    });
  }

  /** @param {string} kbId */
  back(kbId) {
    this.go(null);
    this.list.focusOn(kbId);
  }

  /** @param {Connection} connection */
  showConnection(connection) {
    setAttribute(document.body, "data-connection", connection);
    const words = { connecting: "Connecting…", live: "Live", lost: "Connection lost", locked: "Locked" };
    setText(part("connection-word", "span"), words[connection]);
    const at = this.store.seenAt?.toLocaleTimeString("en-GB");
    setText(part("lost-word", "span"), at ? `What you see is as of ${at}. Trying again…` : "The server does not answer. Trying again…");
    if (connection === "lost") this.announcer.say("connection", "Connection lost, trying again");
    if (connection === "live" && this.store.seenAt) this.announcer.say("connection", "Connected again");
  }
}

new App();
