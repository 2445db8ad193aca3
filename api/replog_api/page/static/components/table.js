/** Tables of rows: a caption for screen readers, aligned columns, and a frame that scrolls where it is too narrow. */

import { h } from "preact";

/**
 * @template R
 * @typedef {object} Column
 * @property {string} name its key, also its class
 * @property {import("preact").ComponentChildren} title
 * @property {(row: R) => import("preact").ComponentChildren} cell
 * @property {boolean} [number] aligned to the right
 * @property {1 | 2 | 3} [rank] 2 is left out on phones, 3 also on narrow screens
 */

/**
 * @template R
 * @param {{
 *   caption: string,
 *   columns: ReadonlyArray<Column<R>>,
 *   rows: ReadonlyArray<R>,
 *   keyOf: (row: R) => string,
 *   rowClass?: (row: R) => string | undefined,
 *   after?: (row: R) => import("preact").ComponentChildren,
 * }} properties `after` gives what stands in a row of its own behind a row; null for nothing.
 */
export function Table({ caption, columns, rows, keyOf, rowClass, after }) {
  const classOf = (/** @type {Column<R>} */ column) => `c-${column.name} rank-${column.rank ?? 1}${column.number ? " number" : ""}`;
  const head = columns.map((column) => h("th", { key: column.name, scope: "col", class: classOf(column) }, column.title));
  const body = rows.flatMap((row) => {
    const key = keyOf(row);
    const cells = columns.map((column) => h("td", { key: column.name, class: classOf(column) }, column.cell(row)));
    const more = after?.(row);
    return [
      h("tr", { key, "data-key": key, class: rowClass?.(row) }, cells),
      more ? h("tr", { key: `${key} more`, class: "more" }, h("td", { colSpan: columns.length }, more)) : null,
    ];
  });
  return h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": caption },
    h("table", { class: "data" },
      h("caption", { class: "off-screen" }, caption),
      h("thead", null, h("tr", null, head)),
      h("tbody", null, body)));
}
