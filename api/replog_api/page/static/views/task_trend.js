/** Whether a task gets slower or less reliable: its newest runs as bars. */

import { h } from "preact";
import { runsUrl } from "../api.js";
import { Chart, ChartTable } from "../components/chart.js";
import { Empty, Loading, Problem } from "../components/states.js";
import { formatBytes, formatCount } from "../format.js";
import { t } from "../i18n/index.js";
import { LISTS_MS, usePolled } from "../poll.js";
import { formatDuration, parseTime } from "../time.js";

/** @typedef {import("../types.js").Record} Record */

const RUNS = 100;

/** @param {Record} run */
function tookMs(run) {
  return parseTime(run.endTime) - parseTime(run.startTime);
}

/** @param {Record} run */
function bytesOf(run) {
  return Number(run.replicatedBytes ?? run.replicaOverview.totalSize) || NaN;
}

/** @param {{taskKey: string}} properties */
export function TaskTrend({ taskKey }) {
  const of = usePolled(runsUrl(taskKey, { pageNumber: 1, pageSize: RUNS }), LISTS_MS);
  if (!of.data) return of.error ? h(Problem, { of }) : h(Loading, null);
  const runs = /** @type {Record[]} */ ([...of.data.records]).filter((run) => run.endTime).reverse();
  if (runs.length < 2) return h("div", null, h(Problem, { of }), h(Empty, null, t("trend.none")));
  const rate = (/** @type {Record} */ run) => (bytesOf(run) / Math.max(1, tookMs(run))) * 1000;
  const bars = (/** @type {(run: Record) => number} */ value) => runs.map((run) => ({ id: run.id, status: run.status, startTime: run.startTime, value: value(run) }));
  const formatRate = (/** @type {number} */ value) => (Number.isFinite(value) ? `${formatBytes(value)}/s` : "–");
  const at = (/** @type {number} */ index) => /** @type {Record} */ (runs[index]);
  return h("div", { class: "view trend" },
    h(Problem, { of }),
    h(Chart, { title: t("trend.duration"), bars: bars(tookMs), format: formatDuration }),
    h(Chart, { title: t("trend.failures"), bars: bars((run) => Number(run.replicaOverview.failed)), format: (value) => formatCount(Math.round(value)) }),
    runs.some((run) => Number.isFinite(bytesOf(run))) ? h(Chart, { title: t("trend.rate"), bars: bars(rate), format: formatRate }) : h("p", { class: "muted" }, t("trend.noBytes")),
    h(ChartTable, { bars: bars(tookMs), columns: [
      { title: t("trend.duration"), of: (index) => formatDuration(tookMs(at(index))) },
      { title: t("trend.failures"), of: (index) => formatCount(at(index).replicaOverview.failed) },
      { title: t("trend.rate"), of: (index) => formatRate(rate(at(index))) },
    ] }));
}
