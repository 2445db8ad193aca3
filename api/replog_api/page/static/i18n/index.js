/** The words of the page, by key; both tables have the same keys. */

import { preferences } from "../preferences.js";
import { en } from "./en.js";
import { zh } from "./zh.js";

/** @typedef {keyof typeof en} Key */

/** @type {Record<import("../preferences.js").Language, Record<Key, string>>} */
const TABLES = { en, zh };

/**
 * The text of `key` in the language that the user prefers; `{name}` in it becomes the value of that name.
 *
 * @param {Key} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  return TABLES[preferences.value.language][key].replace(/\{(\w+)\}/g, (whole, name) =>
    name in values ? String(values[name]) : whole,
  );
}
