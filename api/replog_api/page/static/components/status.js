/** A status: its shape, its word and its colour. */

import { h } from "preact";
import { t } from "../i18n/index.js";

/**
 * @typedef {"SUCCESS" | "FAILED" | "RUNNING"} RunStatus
 * @typedef {RunStatus | "SILENT"} Shown
 */

/** @type {Record<Shown, string>} The shapes, in a square of 16. */
const SHAPES = {
  SUCCESS: "M3 8.6 6.4 12 13 4.6",
  FAILED: "M4 4l8 8M12 4l-8 8",
  RUNNING: "M8 2a6 6 0 1 0 0 12z",
  SILENT: "M8 4.4V8l2.6 2",
};

/** @param {Shown} status */
export function statusClass(status) {
  return `s-${status.toLowerCase()}`;
}

/** @param {{status: Shown}} properties */
export function StatusIcon({ status }) {
  const ring = status === "RUNNING" || status === "SILENT" ? h("circle", { cx: 8, cy: 8, r: 6, fill: "none", stroke: "currentColor", "stroke-width": 1.6 }) : null;
  const shape = h("path", {
    d: SHAPES[status],
    fill: status === "RUNNING" ? "currentColor" : "none",
    stroke: status === "RUNNING" ? "none" : "currentColor",
    "stroke-width": status === "SILENT" ? 1.6 : 2,
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
  });
  return h("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, ring, shape);
}

/**
 * What to show of a status: a record is called silent where it and its details are.
 *
 * @param {{status: string, stale?: boolean}} of
 * @returns {Shown}
 */
export function shownStatus({ status, stale }) {
  if (status === "RUNNING" && stale) return "SILENT";
  return status === "SUCCESS" || status === "FAILED" ? status : "RUNNING";
}

/** @param {{status: Shown}} properties */
export function Status({ status }) {
  return h("span", { class: `status ${statusClass(status)}` }, h(StatusIcon, { status }), h("span", null, t(`status.${status}`)));
}
