/** Bars of runs, oldest first, with their median: a picture, and the same as a table for who prefers it. */

import { h } from "preact";
import { quantile } from "../estimate.js";
import { t } from "../i18n/index.js";
import { formatTime, parseTime } from "../time.js";
import { href } from "../url.js";
import { Name } from "./ident.js";

/**
 * @typedef {object} Bar
 * @property {string} id the run
 * @property {"SUCCESS" | "FAILED" | "RUNNING"} status
 * @property {string} startTime
 * @property {number} value NaN where there is none
 */

const HEIGHT = 96;
const LEAST = 2;

/**
 * @param {{title: string, bars: ReadonlyArray<Bar>, format: (value: number) => string}} properties
 */
export function Chart({ title, bars, format }) {
  const values = bars.map(({ value }) => value).filter(Number.isFinite);
  if (values.length < 2) return null;
  const most = Math.max(...values, Number.MIN_VALUE);
  const median = quantile([...values].sort((a, b) => a - b), 0.5);
  const width = 100 / bars.length;
  const y = (/** @type {number} */ value) => HEIGHT - (HEIGHT - LEAST) * (value / most);
  const told = t("trend.explain", { count: values.length, median: format(median) });
  const drawn = bars.map((bar, index) => {
    if (!Number.isFinite(bar.value) || !bar.value) return null;
    const top = Math.min(y(bar.value), HEIGHT - LEAST);
    return h("g", { key: bar.id },
      h("title", null, `${format(bar.value)} · ${t(`status.${bar.status}`)} · ${formatTime(parseTime(bar.startTime))}`),
      h("rect", { x: `${index * width + width * 0.1}%`, y: top, width: `${Math.min(width * 0.8, 3)}%`, height: HEIGHT - top, class: `strip-${bar.status.toLowerCase()}` }));
  });
  return h("figure", { class: "chart" },
    h("figcaption", null, h("strong", null, title), h("span", { class: "muted num" }, `≤ ${format(most)}`)),
    h("svg", { role: "img", "aria-label": `${title}. ${told}`, width: "100%", height: HEIGHT, class: "bars" },
      drawn, h("line", { x1: 0, x2: "100%", y1: y(median), y2: y(median), class: "median" })),
    h("p", { class: "muted" }, told));
}

/**
 * The same numbers as rows, the newest first.
 *
 * @param {{bars: ReadonlyArray<Bar>, columns: ReadonlyArray<{title: string, of: (index: number) => string}>}} properties
 */
export function ChartTable({ bars, columns }) {
  return h("details", { class: "chart-table" }, h("summary", null, t("trend.table")),
    h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": t("trend.table") }, h("table", { class: "data" },
      h("caption", { class: "off-screen" }, t("trend.table")),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, t("column.record")), columns.map(({ title }) => h("th", { key: title, scope: "col", class: "number" }, title)))),
      h("tbody", null, bars.map((bar, index) => h("tr", { key: bar.id },
        h("th", { scope: "row" }, h("a", { href: href("record", { id: bar.id }), class: "mono" }, h(Name, { text: bar.id, most: 13 }))),
        columns.map(({ title, of }) => h("td", { key: title, class: "number" }, of(index))))).reverse()))));
}
