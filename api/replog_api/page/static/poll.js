/** Answers that are asked for again and again, while somebody may see them. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get } from "./api.js";
import { isFree, onAttention, visible } from "./attention.js";
import { endFeed, noteFeed } from "./freshness.js";
import { token } from "./preferences.js";

/** How often lists are asked for, and the tables of one record, in ms. */
export const LISTS_MS = 10_000;
export const RECORD_MS = 5_000;
/** Part of the interval by which each wait may differ. */
const JITTER = 0.15;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

/**
 * @typedef {object} Polled
 * @property {any} data null until the first answer
 * @property {ApiError | null} error of the last request
 * @property {number} retryAtMs when it is tried again after an error; 0 where only the user does that
 * @property {() => void} refresh ask now
 */

/** @param {number} ms */
export function jittered(ms) {
  return ms * (1 + JITTER * (2 * Math.random() - 1));
}

/**
 * Milliseconds until the request is tried again; 0 where trying again is the user's to decide.
 *
 * @param {ApiError} error
 * @param {number} failures in a row
 */
export function retryMs(error, failures) {
  if (error.status === 429 || error.status === 503) return Math.max(1, error.retryAfterS) * 1000 + Math.random() * 500;
  if (error.status !== 0 && error.status < 500) return 0;
  return jittered(Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1)));
}

/** One URL that is polled; `told` hears of every answer and error. */
class Poll {
  /**
   * @param {string} url
   * @param {number} everyMs 0: once
   * @param {(answer: any, error: ApiError | null, retryAtMs: number) => void} told
   */
  constructor(url, everyMs, told) {
    this.url = url;
    this.everyMs = everyMs;
    this.told = told;
    this.failures = 0;
    this.due = true;
    this.asking = false;
    this.ended = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.answered = false;
    this.ends = [onAttention(() => this.look()), token.subscribe(() => this.now())];
    this.look();
  }

  /** Ask, where it is due and nobody minds; the first answer comes in any visible tab. */
  look() {
    if (this.due && !this.asking && (this.answered ? isFree() : visible.value)) void this.ask();
  }

  now() {
    clearTimeout(this.timer);
    this.due = true;
    if (!this.asking) void this.ask();
  }

  async ask() {
    this.asking = true;
    this.due = false;
    /** @type {number} */
    let waitMs;
    try {
      const { data, ...read } = await get(this.url, this.ended.signal);
      this.failures = 0;
      this.answered = true;
      noteFeed(this.url, { ...read, everyMs: this.everyMs || Infinity });
      waitMs = jittered(this.everyMs);
      this.told(data, null, 0);
    } catch (error) {
      if (this.ended.signal.aborted) return;
      const refused = error instanceof ApiError ? error : new ApiError(0, String(error));
      waitMs = retryMs(refused, ++this.failures);
      this.told(undefined, refused, waitMs && Date.now() + waitMs);
    } finally {
      this.asking = false;
    }
    if (waitMs) this.timer = setTimeout(() => this.wake(), waitMs);
    // The token may have changed meanwhile.
    this.look();
  }

  wake() {
    this.due = true;
    this.look();
  }

  end() {
    this.ended.abort();
    clearTimeout(this.timer);
    for (const end of this.ends) end();
    endFeed(this.url);
  }
}

/**
 * What `url` answers, polled; null asks nothing. What another URL answered is not shown under this one.
 *
 * @param {string | null} url
 * @param {number} everyMs 0: once
 * @returns {Polled}
 */
export function usePolled(url, everyMs) {
  /** @type {[{url: string | null, data: any, error: ApiError | null, retryAtMs: number}, (next: any) => void]} */
  const [state, setState] = useState({ url: /** @type {string | null} */ (null), data: null, error: /** @type {ApiError | null} */ (null), retryAtMs: 0 });
  /** @type {{current: Poll | null}} */
  const poll = useRef(null);
  useEffect(() => {
    if (!url) return undefined;
    const own = new Poll(url, everyMs, (data, error, retryAtMs) =>
      setState((/** @type {any} */ before) => ({
        url,
        data: error ? (before.url === url ? before.data : null) : data,
        error,
        retryAtMs,
      })),
    );
    poll.current = own;
    return () => own.end();
  }, [url, everyMs]);
  const refresh = useCallback(() => poll.current?.now(), []);
  const current = state.url === url ? state : { data: null, error: null, retryAtMs: 0 };
  return { data: current.data, error: current.error, retryAtMs: current.retryAtMs, refresh };
}
