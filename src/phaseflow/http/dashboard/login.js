/**
 * Who may see the page, where the server wants a token: a dialog above everything that asks for it once, and a button that
 * gives the pass back.
 *
 * @import {Store} from "./store.js"
 */

import * as api from "./api.js";
import { part, setAttribute, setText } from "./dom.js";
import { capital } from "./words.js";

/** Remembers that this browser has logged in; the token itself is in a cookie that scripts cannot read. */
const LOGGED_IN = "phaseflow-logged-in";

export class Login {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.lock = part("lock", "dialog");
    this.token = part("token", "input");
    this.error = part("token-error", "p");
    this.logout = part("logout", "button");
    /** Counts what was tried: that a token was refused is no matter once another one is on its way. */
    this.tried = 0;
    part("login", "form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.logIn();
    });
    this.logout.addEventListener("click", () => void this.logOut());
    this.lock.addEventListener("close", () => this.show()); // a browser may close it at Escape
    // Who logs in in one window has a pass in all of them, also in one that is being refused just now.
    addEventListener("storage", ({ key, newValue }) => key === LOGGED_IN && newValue !== null && this.unlock());
    store.watch({ connection: (connection) => connection === "locked" && this.ask() });
    this.showLogout();
    if (store.connection === "locked") this.ask(); // the elements of the page ask before it is whole
  }

  ask() {
    localStorage.removeItem(LOGGED_IN);
    this.showLogout();
    this.show();
  }

  /** Above a form that is open, which keeps what was typed: it can be sent after the login. */
  show() {
    if (this.store.connection !== "locked") return this.lock.close();
    if (!this.lock.open) this.lock.showModal();
    this.token.focus();
  }

  showLogout() {
    this.logout.hidden = localStorage.getItem(LOGGED_IN) === null;
  }

  async logIn() {
    const mine = (this.tried += 1);
    try {
      await api.login(this.token.value);
    } catch (refused) {
      if (mine === this.tried) this.refuse(capital(/** @type {Error} */ (refused).message));
      return;
    }
    this.tried += 1;
    this.token.value = "";
    this.error.hidden = true;
    setAttribute(this.token, "aria-invalid", null);
    localStorage.setItem(LOGGED_IN, "yes");
    this.unlock();
  }

  /** @param {string} why */
  refuse(why) {
    setText(this.error, why);
    this.error.hidden = false;
    setAttribute(this.token, "aria-invalid", "true");
    this.token.focus();
  }

  unlock() {
    this.showLogout();
    this.store.connected("connecting");
    this.show();
    this.store.open();
  }

  async logOut() {
    await api.logout().catch(() => null);
    this.store.lock();
  }
}
