/** How old what is shown is: the least fresh of the answers that the view shows. */

import { useEffect, useState } from "preact/hooks";
import { Store } from "./store.js";

/**
 * @typedef {object} Feed
 * @property {number} asOfMs NaN where nobody knows
 * @property {number} lagMs
 * @property {number} readMs
 * @property {number} everyMs how often it is read
 * @typedef {"fresh" | "late" | "old" | "unknown" | "none"} Freshness none: nothing was read yet
 */

export const LATE_MS = 10_000;
export const OLD_MS = 60_000;

/** By the URL that it is read from. @type {Map<string, Feed>} */
const feeds = new Map();
/** Grows when one of them is read. @type {Store<number>} */
const readings = new Store(0);

/** @param {string} url @param {Feed} feed */
export function noteFeed(url, feed) {
  feeds.set(url, feed);
  readings.set(readings.value + 1);
}

/** @param {string} url */
export function endFeed(url) {
  feeds.delete(url);
  readings.set(readings.value + 1);
}

/**
 * How far a feed is behind: as far as the service was when it was asked, and as long as the next reading is overdue.
 *
 * @param {Feed} feed
 * @param {number} nowMs
 */
export function behindMs(feed, nowMs) {
  return feed.lagMs + Math.max(0, nowMs - feed.readMs - feed.everyMs);
}

/** @param {number} behind ms @returns {Freshness} */
export function freshnessOf(behind) {
  if (Number.isNaN(behind)) return "unknown";
  if (behind >= OLD_MS) return "old";
  return behind >= LATE_MS ? "late" : "fresh";
}

/** @param {number} nowMs */
function worst(nowMs) {
  /** @type {{asOfMs: number, behind: number} | null} */
  let found = null;
  for (const feed of feeds.values()) {
    const behind = behindMs(feed, nowMs);
    if (!found || Number.isNaN(behind) || behind > found.behind) found = { asOfMs: feed.asOfMs, behind };
    if (Number.isNaN(behind)) break;
  }
  return found;
}

/** @returns {{state: Freshness, asOfMs: number, behind: number}} looked at each second */
export function useFreshness() {
  const [, tick] = useState(0);
  useEffect(() => {
    const again = () => tick((count) => count + 1);
    const timer = setInterval(again, 1000);
    const end = readings.subscribe(again);
    return () => {
      clearInterval(timer);
      end();
    };
  }, []);
  const found = worst(Date.now());
  return found ? { state: freshnessOf(found.behind), ...found } : { state: "none", asOfMs: NaN, behind: NaN };
}
