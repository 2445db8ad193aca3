/** What shows the time: drawn again as it passes. */

import { h } from "preact";
import { useEffect, useState } from "preact/hooks";
import { formatAge, formatTime, fullTime, parseTime } from "../time.js";

/** The time now, looked at each `everyMs`. @param {number} [everyMs] */
export function useNow(everyMs = 1000) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/**
 * A time of the API.
 *
 * @param {{at: string | null, date?: "auto" | "always" | "never"}} properties
 */
export function Time({ at, date }) {
  const ms = parseTime(at);
  if (!at || Number.isNaN(ms)) return h("span", { class: "muted" }, "–");
  return h("time", { dateTime: `${at}Z`, title: fullTime(ms) }, formatTime(ms, { date }));
}

/** How long ago a time of the API is. @param {{at: string | null}} properties */
export function Age({ at }) {
  const now = useNow();
  const ms = parseTime(at);
  return h("time", { dateTime: at ? `${at}Z` : undefined, title: Number.isNaN(ms) ? undefined : fullTime(ms) }, formatAge(now - ms));
}

/** A moment to come: the seconds until then. @param {{atMs: number, text: (age: string) => string}} properties */
export function Countdown({ atMs, text }) {
  const now = useNow(500);
  return h("span", { class: "num" }, text(formatAge(Math.max(0, atMs - now) + 999)));
}
