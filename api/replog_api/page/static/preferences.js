/** What the user prefers: language, theme and zone are kept by the browser; the token only if the user wants that. */

import { Store, useStore } from "./store.js";

/**
 * @typedef {"en" | "zh"} Language
 * @typedef {"auto" | "light" | "dark"} Theme
 * @typedef {object} Preferences
 * @property {Language} language
 * @property {Theme} theme
 * @property {string} zone `local`, `UTC` or an IANA name
 */

const KEPT_AS = "replog.preferences";
const TOKEN_KEPT_AS = "replog.token";

/** A zone that the browser knows. @param {string} zone */
export function isZone(zone) {
  if (zone === "local") return true;
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** @param {unknown} given @returns {Preferences} */
function checked(given) {
  const { language, theme, zone } = /** @type {Record<string, unknown>} */ (given ?? {});
  const browsers = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
  return {
    language: language === "en" || language === "zh" ? language : browsers,
    theme: theme === "light" || theme === "dark" ? theme : "auto",
    zone: typeof zone === "string" && isZone(zone) ? zone : "local",
  };
}

/**
 * A place of the browser's that may be forbidden: then nothing is kept.
 *
 * @template T
 * @param {() => T} use
 * @returns {T | null}
 */
function ifAllowed(use) {
  try {
    return use();
  } catch {
    return null;
  }
}

/** @type {Store<Preferences>} */
export const preferences = new Store(
  checked(ifAllowed(() => JSON.parse(localStorage.getItem(KEPT_AS) ?? "null"))),
);

/** @param {Partial<Preferences>} changed */
export function prefer(changed) {
  preferences.set(checked({ ...preferences.value, ...changed }));
  ifAllowed(() => localStorage.setItem(KEPT_AS, JSON.stringify(preferences.value)));
}

/** @returns {Preferences} */
export function usePreferences() {
  return useStore(preferences);
}

/** The token that requests carry; empty for none. @type {Store<string>} */
export const token = new Store(ifAllowed(() => sessionStorage.getItem(TOKEN_KEPT_AS)) ?? "");

/** @param {string} value @param {boolean} kept for this tab, over a reload */
export function setToken(value, kept) {
  ifAllowed(() => (kept && value ? sessionStorage.setItem(TOKEN_KEPT_AS, value) : sessionStorage.removeItem(TOKEN_KEPT_AS)));
  token.set(value);
}
