/** Times: the API says them in UTC, the page shows them in the zone that the user prefers. */

import { preferences } from "./preferences.js";

const MINUTE_MS = 60_000;

/** The IANA name of the zone that is shown. */
export function zoneName() {
  const { zone } = preferences.value;
  return zone === "local" ? Intl.DateTimeFormat().resolvedOptions().timeZone : zone;
}

/**
 * A time of the API in ms; NaN where there is none.
 *
 * @param {string | null | undefined} text `yyyy-MM-ddTHH:mm:ss.SSS` in UTC
 */
export function parseTime(text) {
  return text ? Date.parse(`${text}Z`) : NaN;
}

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** @param {string} zone */
function formatOf(zone) {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      fractionalSecondDigits: 3,
    });
    formats.set(zone, format);
  }
  return format;
}

/** @param {number} ms @param {string} zone */
function parts(ms, zone) {
  const found = Object.fromEntries(formatOf(zone).formatToParts(ms).map(({ type, value }) => [type, value]));
  return {
    day: `${found.year}-${found.month}-${found.day}`,
    clock: `${found.hour}:${found.minute}:${found.second}`,
    fraction: found.fractionalSecond,
  };
}

/** How far a zone is ahead of UTC at a time, in minutes. @param {number} ms @param {string} zone */
export function offsetMinutes(ms, zone) {
  const { day, clock } = parts(ms, zone);
  return Math.round((Date.parse(`${day}T${clock}Z`) - Math.floor(ms / 1000) * 1000) / MINUTE_MS);
}

/** As `UTC+8` or `UTC-3:30`. @param {number} minutes */
export function offsetText(minutes) {
  if (!minutes) return "UTC";
  const size = Math.abs(minutes);
  const rest = size % 60 ? `:${String(size % 60).padStart(2, "0")}` : "";
  return `UTC${minutes < 0 ? "−" : "+"}${Math.floor(size / 60)}${rest}`;
}

/** The zone that is shown, as its offset of today. */
export function zoneLabel() {
  return offsetText(offsetMinutes(Date.now(), zoneName()));
}

/**
 * The time of day, with the date where it is not today's, and the offset where it is not that of today: so the two
 * hours of one name, when summer time ends, can be told apart.
 *
 * @param {number} ms
 * @param {{date?: "auto" | "always" | "never"}} [options]
 */
export function formatTime(ms, { date = "auto" } = {}) {
  if (Number.isNaN(ms)) return "–";
  const zone = zoneName();
  const { day, clock } = parts(ms, zone);
  const shown = date === "always" || (date === "auto" && day !== parts(Date.now(), zone).day) ? `${day} ${clock}` : clock;
  const offset = offsetMinutes(ms, zone);
  return offset === offsetMinutes(Date.now(), zone) ? shown : `${shown} ${offsetText(offset)}`;
}

/** Everything that is known of a time, for its title. @param {number} ms */
export function fullTime(ms) {
  const zone = zoneName();
  const { day, clock, fraction } = parts(ms, zone);
  return `${day} ${clock}.${fraction} ${offsetText(offsetMinutes(ms, zone))} (${zone})`;
}

/** @type {ReadonlyArray<readonly [Intl.RelativeTimeFormatUnit, number]>} */
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** @param {number} count @param {string} unit */
function withUnit(count, unit) {
  const options = /** @type {const} */ ({ style: "unit", unitDisplay: "short" });
  return new Intl.NumberFormat(preferences.value.language, { ...options, unit }).format(count);
}

/** As `8 min` or `1 hr 5 min`: two units at most. @param {number} ms */
export function formatDuration(ms) {
  if (!Number.isFinite(ms)) return "–";
  const seconds = Math.max(0, ms / 1000);
  if (seconds < 10) return withUnit(Math.round(seconds * 10) / 10, "second");
  const whole = Math.round(seconds);
  const index = UNITS.findIndex(([, size]) => whole >= size);
  const [unit, size] = UNITS[index] ?? ["second", 1];
  const first = Math.floor(whole / size);
  const next = UNITS[index + 1];
  const rest = next && first < 10 ? Math.floor((whole % size) / next[1]) : 0;
  return rest && next ? `${withUnit(first, unit)} ${withUnit(rest, next[0])}` : withUnit(first, unit);
}

/** As `8 min`: one unit, whole. @param {number} ms */
export function formatAge(ms) {
  if (!Number.isFinite(ms)) return "–";
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [unit, size] = UNITS.find(([, least]) => seconds >= least) ?? ["second", 1];
  return withUnit(Math.floor(seconds / size), unit);
}
