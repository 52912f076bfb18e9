/**
 * Keeps the focus on the page. What had it is hidden or taken away by what it did: a browser then gives the focus to
 * nothing, and whoever works with the keyboard or a screen reader begins at the top again.
 */

const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]";
/** A heading says best where one is. */
const HEADING = ":is(h2, h3)[tabindex]";
/** Changes that can hide something. */
const WATCHED = { subtree: true, childList: true, attributes: true, attributeFilter: ["hidden", "open", "data-view", "data-empty", "data-connection"] };

export class FocusGuard {
  /**
   * @param {HTMLElement} main what the page is about
   * @param {HTMLElement} stage the part of it that shows what is selected
   */
  constructor(main, stage) {
    this.main = main;
    this.stage = stage;
    /** What has the focus, after what surrounds it; null when the user has taken the focus away. @type {Element[] | null} */
    this.path = null;
    /** The same for what had it before a dialog was opened. @type {Element[]} */
    this.before = [];
    this.isDue = false;
    this.observer = new MutationObserver(() => this.soon());
    this.observer.observe(document.body, WATCHED);
    document.addEventListener("focusin", (event) => this.note(event));
    document.addEventListener("focusout", () => queueMicrotask(() => document.hasFocus() && this.left()));
  }

  /** @param {Event} event */
  note(event) {
    const path = event.composedPath().filter((one) => one instanceof Element);
    if (!path[0]?.closest("dialog")) this.before = path;
    this.path = path;
    const root = path[0]?.getRootNode();
    if (root instanceof ShadowRoot) this.observer.observe(root, WATCHED); // again is the same as once
  }

  /** A click beside everything takes the focus from what is still there: that is meant so. */
  left() {
    if (this.path && focused() === null && isSeen(this.path[0])) this.path = null;
    else this.soon();
  }

  soon() {
    if (this.isDue || !this.path) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.check();
    });
  }

  check() {
    if (!this.path || isSeen(this.path[0])) return;
    const now = focused();
    if (now !== null && now !== this.path[0]) return;
    const around = [...this.path.slice(1), ...this.before].filter((one) => one !== this.main && this.main.contains(one) && one !== this.stage);
    this.path = null;
    const places = [...around, this.stage, this.main].filter(isSeen);
    for (const place of places) {
      const found = firstIn(place, place === this.stage ? HEADING : FOCUSABLE) ?? (place === this.stage ? firstIn(place, FOCUSABLE) : null);
      if (found) return found.focus({ preventScroll: true });
    }
  }
}

/** What has the focus, within shadow roots too. */
function focused() {
  let one = document.activeElement;
  while (one?.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
  return one === document.body ? null : one;
}

/** @param {Element} one */
const isSeen = (one) => one.isConnected && one.checkVisibility({ visibilityProperty: true });

/**
 * The first that is seen, within shadow roots too.
 * @param {Element} place
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
function firstIn(place, selector) {
  for (const one of place.querySelectorAll("*")) {
    if (one instanceof HTMLElement && one.matches(selector) && isSeen(one)) return one;
    for (const inner of one.shadowRoot?.children ?? []) {
      const found = inner.matches(selector) && isSeen(inner) ? /** @type {HTMLElement} */ (inner) : firstIn(inner, selector);
      if (found) return found;
    }
  }
  return null;
}
