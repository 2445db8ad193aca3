/** Columns that several views show. */

import { h } from "preact";
import { Age, Time, useNow } from "../components/clock.js";
import { IdLink, Name } from "../components/ident.js";
import { ProgressBar, shareDone } from "../components/progress.js";
import { Status, shownStatus } from "../components/status.js";
import { Strip } from "../components/strip.js";
import { formatCount, formatPercent } from "../format.js";
import { t } from "../i18n/index.js";
import { formatDuration, parseTime, zoneLabel } from "../time.js";
import { href } from "../url.js";

/**
 * @typedef {import("../types.js").Record} Record
 * @typedef {import("../types.js").ShortRun} ShortRun
 */

/** How long a run takes or took. @param {{record: {startTime: string, endTime: string | null}}} properties */
export function Duration({ record }) {
  const now = useNow(record.endTime ? 3_600_000 : 1000);
  return h("span", null, formatDuration((record.endTime ? parseTime(record.endTime) : now) - parseTime(record.startTime)));
}

/** @param {{taskKey: string}} properties */
export function TaskLink({ taskKey }) {
  return h("a", { href: href("task", { key: taskKey }) }, h(Name, { text: taskKey, most: 44 }));
}

/** @param {{record: Record}} properties */
export function ProgressCell({ record }) {
  const overview = record.replicaOverview;
  return h("span", { class: "progress-cell" }, h(ProgressBar, { overview }), h("span", { class: "num" }, Number(overview.total) ? formatPercent(shareDone(overview)) : "–"));
}

/**
 * Why a run needs a look: its reason, else how long it has been silent.
 *
 * @param {{record: Record}} properties
 */
export function Reason({ record }) {
  if (record.status === "RUNNING" && record.stale) return h("span", { class: "s-silent" }, t("silent.recordOnly"));
  return h("span", { class: "reason", title: record.errorReason ?? undefined }, record.errorReason ? h("bdi", null, record.errorReason) : "");
}

export const column = {
  /** @param {(row: any) => Record} of */
  status: (of) => ({ name: "status", title: t("column.status"), cell: (/** @type {any} */ row) => h(Status, { status: of(row).status === "RUNNING" ? "RUNNING" : shownStatus(of(row)) }) }),
  /** @param {(row: any) => string} of */
  task: (of) => ({ name: "task", title: t("column.task"), cell: (/** @type {any} */ row) => h(TaskLink, { taskKey: of(row) }) }),
  /** @param {(row: any) => string} of */
  record: (of, rank = /** @type {1 | 2 | 3} */ (2)) => ({ name: "record", title: t("column.record"), rank, cell: (/** @type {any} */ row) => h(IdLink, { text: of(row), href: href("record", { id: of(row) }) }) }),
  /** @param {(row: any) => ShortRun[] | null} of */
  runs: (of) => ({ name: "runs", title: t("column.runs"), rank: /** @type {3} */ (3), cell: (/** @type {any} */ row) => h(Strip, { runs: of(row) }) }),
  /** @param {(row: any) => string} of */
  started: (of) => ({ name: "started", title: `${t("column.started")} (${zoneLabel()})`, rank: /** @type {2} */ (2), cell: (/** @type {any} */ row) => h(Time, { at: of(row) }) }),
  /** @param {(row: any) => string | null} of */
  ended: (of) => ({ name: "ended", title: `${t("column.ended")} (${zoneLabel()})`, rank: /** @type {3} */ (3), cell: (/** @type {any} */ row) => h(Time, { at: of(row) }) }),
  /** @param {(row: any) => {startTime: string, endTime: string | null}} of */
  duration: (of) => ({ name: "duration", title: t("column.duration"), number: true, rank: /** @type {2} */ (2), cell: (/** @type {any} */ row) => h(Duration, { record: of(row) }) }),
  /** @param {(row: any) => Record} of */
  progress: (of) => ({ name: "progress", title: t("column.progress"), cell: (/** @type {any} */ row) => h(ProgressCell, { record: of(row) }) }),
  /** @param {(row: any) => Record} of */
  failed: (of) => ({ name: "failed", title: t("column.failed"), number: true, cell: (/** @type {any} */ row) => {
    const failed = of(row).replicaOverview.failed;
    return h("span", { class: Number(failed) ? "s-failed num" : "muted num" }, formatCount(failed));
  } }),
  /** @param {(row: any) => Record} of */
  reason: (of) => ({ name: "reason", title: t("column.reason"), rank: /** @type {2} */ (2), cell: (/** @type {any} */ row) => h(Reason, { record: of(row) }) }),
  /** @param {(row: any) => string} of */
  lastNews: (of) => ({ name: "news", title: t("column.lastNews"), cell: (/** @type {any} */ row) => h("span", { class: "s-silent" }, h(Age, { at: of(row) })) }),
};
