/** The address is the state: the view is the last part of its path, everything else its query string. */

import { useMemo } from "preact/hooks";
import { Store, useStore } from "./store.js";

/**
 * @typedef {"now" | "tasks" | "task" | "record" | "compare"} ViewName
 * @typedef {object} Place
 * @property {ViewName} view
 * @property {URLSearchParams} query
 * @typedef {Record<string, string | number | null | undefined>} Query Null, undefined and "" are left out.
 */

/** Where the views are, as the browser sees it: behind a proxy, below its prefix. */
export const BASE = new URL(".", location.href);

/** @returns {Place} */
function here() {
  const name = location.pathname.slice(BASE.pathname.length);
  const view = name === "tasks" || name === "task" || name === "record" || name === "compare" ? name : "now";
  return { view, query: new URLSearchParams(location.search) };
}

/** @type {Store<Place>} */
export const place = new Store(here());

/** @returns {Place} */
export function usePlace() {
  return useStore(place);
}

/**
 * A relative URL of a view.
 *
 * @param {ViewName} view
 * @param {Query} [query]
 */
export function href(view, query = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return (view === "now" ? "./" : view) + (text && `?${text}`);
}

/** Parameters that say where in a list one is, and what is open there: another list has another such place. */
const OF_THE_ROWS = ["page", "open"];

/**
 * Where the same view would be with `changed` parameters. The list starts at its first page then, unless `changed`
 * names one of the parameters of its rows.
 *
 * @param {Place} from
 * @param {Query} changed
 */
export function changedHref(from, changed) {
  const query = Object.fromEntries(from.query);
  if (!OF_THE_ROWS.some((name) => name in changed)) for (const name of OF_THE_ROWS) delete query[name];
  if ("page" in changed) delete query.open;
  return href(from.view, { ...query, ...changed });
}

/**
 * Go there; Back returns.
 *
 * @param {string} target
 * @param {{replace?: boolean}} [options]
 */
export function go(target, { replace = false } = {}) {
  const url = new URL(target, BASE);
  const before = location.pathname;
  history[replace ? "replaceState" : "pushState"](null, "", url);
  place.set(here());
  if (location.pathname !== before) scrollTo(0, 0);
}

/** The page number of the address, from 1. @param {Place} at */
export function pageNumber(at) {
  const number = Number(at.query.get("page") ?? 1);
  return Number.isInteger(number) && number > 0 && number < 2 ** 31 ? number : 1;
}

/**
 * Parameters of the address by name, "" where absent.
 *
 * @template {string} N
 * @param {readonly N[]} names
 * @returns {Record<N, string>}
 */
export function useQuery(names) {
  const { query } = usePlace();
  const text = query.toString();
  return useMemo(() => {
    const found = /** @type {Record<N, string>} */ ({});
    for (const name of names) found[name] = query.get(name) ?? "";
    return found;
  }, [text, names.join()]);
}

/** Whether a click means to go there in this tab. @param {MouseEvent} event */
function isPlain(event) {
  return event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.defaultPrevented);
}

/** Follow links between views without loading the page again. */
export function followLinks() {
  addEventListener("popstate", () => place.set(here()));
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target.closest("a[href]") : null;
    if (!(target instanceof HTMLAnchorElement) || !isPlain(event) || target.target || target.hasAttribute("download")) return;
    const url = new URL(target.href);
    const below = url.pathname.slice(BASE.pathname.length);
    if (url.origin !== BASE.origin || !url.pathname.startsWith(BASE.pathname) || below.includes("/")) return;
    // A jump inside the page is the browser's.
    if (url.hash && url.pathname === location.pathname && url.search === location.search) return;
    event.preventDefault();
    go(target.href);
  });
}
