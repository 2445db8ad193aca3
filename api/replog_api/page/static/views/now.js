/** Now: what fails, what is stuck, what runs. */

import { h } from "preact";
import { apiUrl } from "../api.js";
import { Filters } from "../components/filters.js";
import { Newer, usePinned } from "../components/newer.js";
import { Empty, Problem } from "../components/states.js";
import { StatusIcon, statusClass } from "../components/status.js";
import { Table } from "../components/table.js";
import { useNow } from "../components/clock.js";
import { formatCount } from "../format.js";
import { t } from "../i18n/index.js";
import { LISTS_MS, usePolled } from "../poll.js";
import { useLastRuns } from "../runs.js";
import { formatAge, parseTime } from "../time.js";
import { changedHref, href, usePlace } from "../url.js";
import { column } from "./rows.js";

/**
 * @typedef {import("../types.js").Task} Task
 * @typedef {import("../types.js").SilentRecord} SilentRecord
 * @typedef {import("../components/status.js").Shown} Shown
 */

/** Rows of each list; the rest is a click away. */
const ROWS = 12;

/** @param {string} prefix @param {string} status */
function tasksUrl(prefix, status) {
  return apiUrl("list", { prefix, status, pageNumber: 1, pageSize: ROWS });
}

/** @param {{status: Shown, count: import("../json.js").Count | undefined, to: string}} properties */
function Tile({ status, count, to }) {
  const none = count !== undefined && Number(count) === 0;
  return h("a", { class: `tile ${statusClass(status)}${none ? " none" : ""}`, href: to },
    h("span", { class: "tile-name" }, h(StatusIcon, { status }), t(`status.${status}`)),
    h("span", { class: "tile-count num" }, count === undefined ? "–" : formatCount(count)));
}

/** @param {{row: SilentRecord}} properties */
function SilentFor({ row }) {
  const now = useNow();
  return h("a", { class: "s-silent", href: href("record", { id: row.record.id }) }, t("silent.news", { age: formatAge(now - parseTime(row.lastActivityTime)) }));
}

/**
 * One list of the view, with what is newer, and what is wrong.
 *
 * @template R
 * @param {{id: string, title: string, none: string, of: import("../poll.js").Polled, pinned: import("../components/newer.js").Pinned<R>, columns: import("../components/table.js").Column<R>[], keyOf: (row: R) => string, all: string | null}} properties
 */
function Section({ id, title, none, of, pinned, columns, keyOf, all }) {
  const total = of.data?.totalRecords;
  return h("div", { class: "block" },
    h("div", { class: "block-head" },
      h("h2", { id }, title),
      all && Number(total) > pinned.rows.length ? h("a", { href: all }, t("now.all", { count: formatCount(total) })) : null,
      h(Newer, { pinned })),
    h(Problem, { of }),
    pinned.rows.length
      ? h(Table, /** @type {any} */ ({ caption: title, columns, rows: pinned.rows, keyOf, rowClass: (/** @type {R} */ row) => (pinned.gone.has(keyOf(row)) ? "gone" : undefined) }))
      : of.data ? h("p", { class: "empty muted" }, none) : of.error ? null : h("p", { class: "empty muted", "aria-busy": "true" }, t("state.loading")));
}

/** Tasks whose latest run has a status, as rows that stay. @param {string} prefix @param {string} status @param {boolean} follow */
function useTasks(prefix, status, follow) {
  const of = usePolled(tasksUrl(prefix, status), LISTS_MS);
  const rows = /** @type {Task[] | null} */ (of.data && of.data.records);
  return { of, pinned: usePinned(rows, (task) => task.taskKey, `${status} ${prefix}`, follow) };
}

export function NowView() {
  const at = usePlace();
  const prefix = at.query.get("prefix") ?? "";
  const follow = at.query.get("follow") === "1";
  const failing = useTasks(prefix, "FAILED", follow);
  const running = useTasks(prefix, "RUNNING", follow);
  const succeeded = usePolled(apiUrl("list", { prefix, status: "SUCCESS", pageNumber: 1, pageSize: 1 }), LISTS_MS);
  const silentOf = usePolled(apiUrl("silent", { prefix, pageNumber: 1, pageSize: ROWS }), LISTS_MS);
  const silent = usePinned(/** @type {SilentRecord[] | null} */ (silentOf.data && silentOf.data.records), (row) => row.record.id, `silent ${prefix}`, follow);
  const keyOf = (/** @type {Task} */ task) => task.taskKey;
  const of = (/** @type {Task} */ task) => /** @type {import("../types.js").Record} */ (task.record);
  const runs = useLastRuns([...failing.pinned.rows, ...running.pinned.rows].map(keyOf).concat(silent.rows.map((row) => row.record.taskKey)));
  const nothing = [failing.of, silentOf, running.of, succeeded].every(({ data }) => data && !Number(data.totalRecords));
  const strips = column.runs((/** @type {Task} */ task) => runs(task.taskKey));
  return h("div", { class: "view now" },
    h("div", { class: "toolbar title-bar" },
      h("h1", { tabindex: -1 }, t("now.title")),
      h(Filters, { names: ["prefix"], label: t("now.title") }),
      h("a", { class: follow ? "button active" : "button", href: changedHref(at, { follow: follow ? null : 1 }), title: t("follow.explain"), "aria-current": follow ? "true" : undefined }, t("follow.label"))),
    h("nav", { class: "tiles", "aria-label": t("now.tiles") },
      h(Tile, { status: "FAILED", count: failing.of.data?.totalRecords, to: href("tasks", { prefix, status: "FAILED" }) }),
      h(Tile, { status: "SILENT", count: silentOf.data?.totalRecords, to: "#now-silent" }),
      h(Tile, { status: "RUNNING", count: running.of.data?.totalRecords, to: href("tasks", { prefix, status: "RUNNING" }) }),
      h(Tile, { status: "SUCCESS", count: succeeded.data?.totalRecords, to: href("tasks", { prefix, status: "SUCCESS" }) })),
    nothing && !prefix ? h(Empty, null, h("strong", null, t("now.nothing")), " ", t("now.nothingWhy")) : null,
    h(Section, /** @type {any} */ ({ id: "now-failing", title: t("now.failing"), none: t("now.noneFailing"), ...failing, keyOf, all: href("tasks", { prefix, status: "FAILED" }),
      columns: [column.status(of), column.task(keyOf), column.record((task) => of(task).id, 3), column.reason(of), column.failed(of), column.started((task) => of(task).startTime), column.duration(of), strips] })),
    h(Section, /** @type {any} */ ({ id: "now-silent", title: t("now.silent"), none: t("now.noneSilent"), of: silentOf, pinned: silent, keyOf: (/** @type {SilentRecord} */ row) => row.record.id, all: null,
      columns: [
        { name: "status", title: t("column.status"), cell: () => h("span", { class: "status s-silent" }, h(StatusIcon, { status: "SILENT" }), h("span", null, t("status.SILENT"))) },
        column.task((row) => row.record.taskKey), column.record((row) => row.record.id),
        { name: "reason", title: t("column.lastNews"), cell: (/** @type {SilentRecord} */ row) => h(SilentFor, { row }) },
        column.started((row) => row.record.startTime), { ...column.progress((row) => row.record), rank: 2 },
        column.runs((row) => runs(row.record.taskKey))] })),
    h(Section, /** @type {any} */ ({ id: "now-running", title: t("now.running"), none: t("now.noneRunning"), ...running, keyOf, all: href("tasks", { prefix, status: "RUNNING" }),
      columns: [column.status(of), column.task(keyOf), column.record((task) => of(task).id, 3), column.progress(of), { ...column.failed(of), rank: 2 }, column.started((task) => of(task).startTime), column.duration(of), strips] })));
}
