/** The parts of a view, as links: the address says which one is shown. */

import { h } from "preact";
import { changedHref, href, usePlace } from "../url.js";

/**
 * @template {string} T
 * @param {import("../url.js").Place} at
 * @param {ReadonlyArray<T>} names the first is shown where the address names none
 * @returns {T}
 */
export function shownTab(at, names) {
  const asked = at.query.get("tab");
  return names.find((name) => name === asked) ?? /** @type {T} */ (names[0]);
}

/**
 * @param {{label: string, tabs: ReadonlyArray<{name: string, title: import("preact").ComponentChildren}>, shown: string, subject: import("../url.js").Query}} properties
 *   What the filters of one part say means nothing to the others: only the `subject` of the view goes along.
 */
export function Tabs({ label, tabs, shown, subject }) {
  const at = usePlace();
  return h("nav", { class: "tabs", "aria-label": label },
    tabs.map(({ name, title }, index) =>
      h("a", { key: name, href: name === shown ? changedHref(at, {}) : href(at.view, { ...subject, tab: index ? name : null }), "aria-current": name === shown ? "page" : undefined }, title)));
}
