/** Numbers, bytes and ids for people. */

import { preferences } from "./preferences.js";

/** @typedef {import("./json.js").Count} Count */

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB"];

/** A count with its digits in groups, exact also beyond 2^53. @param {Count | null | undefined} count */
export function formatCount(count) {
  return count === null || count === undefined ? "–" : new Intl.NumberFormat(preferences.value.language).format(count);
}

/** @param {number} share 0 to 1 */
export function formatPercent(share) {
  // What is not complete never reads 100 %.
  const shown = share < 1 ? Math.floor(share * 100) / 100 : 1;
  return new Intl.NumberFormat(preferences.value.language, { style: "percent" }).format(shown);
}

/** @param {Count | null | undefined} bytes */
export function formatBytes(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  let size = Number(bytes);
  let unit = 0;
  while (size >= 1024 && unit < BYTE_UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  const digits = unit && size < 100 ? 1 : 0;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return `${new Intl.NumberFormat(preferences.value.language, options).format(size)} ${BYTE_UNITS[unit]}`;
}

/**
 * Text with its middle left out, so that both ends, which tell ids apart, are seen.
 *
 * @param {string} text
 * @param {number} most characters
 */
export function shortened(text, most) {
  // By code points: half a character is none.
  const characters = [...text];
  if (characters.length <= most) return text;
  const tail = Math.floor((most - 1) / 3);
  return `${characters.slice(0, most - 1 - tail).join("")}…${characters.slice(-tail).join("")}`;
}

/** @param {Count} a @param {Count} b @returns {Count} their sum, exactly */
export function plus(a, b) {
  if (typeof a === "number" && typeof b === "number" && Number.isSafeInteger(a + b)) return a + b;
  return BigInt(a) + BigInt(b);
}
