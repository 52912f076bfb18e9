/**
 * The live feed of one server: an EventSource that comes back by itself and misses nothing.
 *
 * @import {Connection, DocumentInfo, IngestionJob, Transition} from "./phaseflow.d.ts"
 */

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 3000;

/**
 * @typedef {object} Listener
 * @property {(job: IngestionJob) => void} [status]
 * @property {(transition: Transition) => void} [transition]
 * @property {(document: DocumentInfo) => void} [document]
 * @property {() => void} [reset] the log does not reach back to what was seen last
 * @property {(connection: Connection) => void} connection
 */

/**
 * An EventSource gives up for good after an HTTP error and waits three seconds after a broken connection. So it is
 * replaced here after any fault, with the last id that was seen: one way back, whatever the fault.
 */
export class Stream {
  /**
   * @param {string} base
   * @param {Listener} listener
   * @param {string} [path]
   */
  constructor(base, listener, path = "api/ingestion/events") {
    this.base = base;
    this.path = path;
    this.listener = listener;
    /** @type {EventSource | null} */
    this.source = null;
    /** @type {string | null} */
    this.lastId = null;
    this.wait = FIRST_WAIT_MS;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.again = () => this.timer !== undefined && this.open();
  }

  /** Connect, behind the last id that was seen. */
  open() {
    this.close();
    const url = new URL(this.path, this.base);
    url.searchParams.set("log_ids", "true");
    if (this.lastId !== null) url.searchParams.set("last_event_id", this.lastId);
    this.source = new EventSource(url);
    this.source.onopen = () => this.opened();
    this.source.onerror = () => this.lost();
    this.on("status", this.listener.status);
    this.on("transition", this.listener.transition);
    this.on("document", this.listener.document);
    this.on("reset", this.listener.reset);
    globalThis.addEventListener("online", this.again);
  }

  close() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.source?.close();
    this.source = null;
    globalThis.removeEventListener("online", this.again);
  }

  /**
   * @param {string} name
   * @param {((data: any) => void) | undefined} tell
   */
  on(name, tell) {
    this.source?.addEventListener(name, (event) => {
      if (event.lastEventId) this.lastId = event.lastEventId;
      tell?.(JSON.parse(event.data));
    });
  }

  opened() {
    this.wait = FIRST_WAIT_MS;
    this.listener.connection("live");
  }

  lost() {
    this.close();
    this.timer = setTimeout(this.again, this.wait);
    this.wait = Math.min(this.wait * 1.6, LONGEST_WAIT_MS);
    globalThis.addEventListener("online", this.again);
    this.listener.connection("lost");
  }
}
