/** How far a record is, as a bar of its details: ok, failed (hatched), running (striped), open. */

import { h } from "preact";
import { formatCount, formatPercent } from "../format.js";
import { t } from "../i18n/index.js";

/** @typedef {import("../types.js").Overview} Overview */

/** @param {Overview} overview */
export function shareDone(overview) {
  const whole = Math.max(Number(overview.expected ?? 0), Number(overview.total));
  return whole ? (Number(overview.success) + Number(overview.failed)) / whole : 0;
}

/** @param {{overview: Overview, wide?: boolean}} properties */
export function ProgressBar({ overview, wide = false }) {
  const whole = Math.max(Number(overview.expected ?? 0), Number(overview.total)) || 1;
  let x = 0;
  const part = (/** @type {number} */ count, /** @type {string} */ kind) => {
    const width = (100 * count) / whole;
    const at = x;
    x += width;
    return width ? h("rect", { x: `${at}%`, y: 0, width: `${width}%`, height: "100%", class: `bar-${kind}` }) : null;
  };
  const done = formatPercent(shareDone(overview));
  const label = `${done}: ${formatCount(overview.success)} ${t("word.ok")}, ${formatCount(overview.failed)} ${t("word.failed")}, ${formatCount(overview.running)} ${t("word.running")}`;
  return h("svg", { class: wide ? "progress wide" : "progress", role: "img", "aria-label": label, preserveAspectRatio: "none" },
    h("rect", { width: "100%", height: "100%", class: "bar-open" }),
    part(Number(overview.success), "ok"),
    part(Number(overview.failed), "failed"),
    part(Number(overview.running), "running"));
}

/** The patterns that bars are filled with, once a page. */
export function Patterns() {
  return h("svg", { class: "patterns", width: 0, height: 0, "aria-hidden": "true", focusable: "false" },
    h("defs", null,
      h("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        h("rect", { width: 5, height: 5, class: "hatch-ground" }), h("rect", { width: 2, height: 5, class: "hatch-line" })),
      h("pattern", { id: "stripe", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(-45)" },
        h("rect", { width: 8, height: 8, class: "stripe-ground" }), h("rect", { width: 4, height: 8, class: "stripe-line" }))));
}
