/** Rows that stay where they are: their values change in place, and what is newer waits until the user wants it. */

import { h } from "preact";
import { useRef, useState } from "preact/hooks";
import { t } from "../i18n/index.js";

/**
 * @template R
 * @typedef {object} Pinned
 * @property {R[]} rows in the order in which they were shown first
 * @property {ReadonlySet<string>} gone keys of rows that the newest answer does not have
 * @property {number} newer rows of the newest answer that are not shown
 * @property {boolean} moved whether the order is another
 * @property {() => void} show take the newest answer as it is
 */

/**
 * The shown rows with the values of the newest answer.
 *
 * @template R
 * @param {ReadonlyArray<R>} shown
 * @param {ReadonlyArray<R>} newest
 * @param {(row: R) => string} keyOf
 */
export function merged(shown, newest, keyOf) {
  const values = new Map(newest.map((row) => [keyOf(row), row]));
  const keys = new Set(shown.map(keyOf));
  const rows = shown.map((row) => values.get(keyOf(row)) ?? row);
  const gone = new Set(shown.map(keyOf).filter((key) => !values.has(key)));
  const newer = newest.filter((row) => !keys.has(keyOf(row))).length;
  const moved = newest.some((row, index) => !shown[index] || keyOf(shown[index]) !== keyOf(row));
  return { rows, gone, newer, moved };
}

/**
 * @template R
 * @param {ReadonlyArray<R> | null} newest the rows of the newest answer; null while there is none
 * @param {(row: R) => string} keyOf
 * @param {string} list what they are rows of: another list is shown as it is
 * @param {boolean} [follow] show what is newer at once
 * @returns {Pinned<R>}
 */
export function usePinned(newest, keyOf, list, follow = false) {
  const [shown, setShown] = useState(/** @type {{list: string, rows: ReadonlyArray<R>} | null} */ (null));
  const show = () => setShown(newest ? { list, rows: newest } : null);
  if (!newest) return { rows: [], gone: new Set(), newer: 0, moved: false, show };
  // Nothing to hold on to yet: what was empty may fill.
  if (follow || !shown || shown.list !== list || !shown.rows.length) {
    if (!shown || shown.list !== list || shown.rows !== newest) show();
    return { rows: [...newest], gone: new Set(), newer: 0, moved: false, show };
  }
  return { ...merged(shown.rows, newest, keyOf), show };
}

/**
 * Rows in the order in which they were seen first, for tables whose sums must not miss one: new ones come last.
 *
 * @template R
 * @param {ReadonlyArray<R>} newest
 * @param {(row: R) => string} keyOf
 * @param {string} list what they are rows of: another list has another order
 * @returns {R[]}
 */
export function useSeenOrder(newest, keyOf, list) {
  const seen = useRef({ list, places: /** @type {Map<string, number>} */ (new Map()) });
  if (seen.current.list !== list) seen.current = { list, places: new Map() };
  const { places } = seen.current;
  for (const row of newest) if (!places.has(keyOf(row))) places.set(keyOf(row), places.size);
  return [...newest].sort((a, b) => (places.get(keyOf(a)) ?? 0) - (places.get(keyOf(b)) ?? 0));
}

/** @param {{pinned: Pick<Pinned<unknown>, "newer" | "moved" | "gone" | "show">}} properties */
export function Newer({ pinned }) {
  if (!pinned.newer && !pinned.moved && !pinned.gone.size) return null;
  const text = pinned.newer ? t("newer.show", { count: pinned.newer }) : t("newer.order");
  return h("button", { type: "button", class: "newer", onClick: pinned.show }, text);
}
