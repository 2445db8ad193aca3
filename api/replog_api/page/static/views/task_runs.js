/** The runs of a task. */

import { h } from "preact";
import { runsUrl } from "../api.js";
import { Chips, Filters } from "../components/filters.js";
import { Newer, usePinned } from "../components/newer.js";
import { Pager, pageSize } from "../components/pager.js";
import { NoRows, Problem } from "../components/states.js";
import { Table } from "../components/table.js";
import { formatBytes } from "../format.js";
import { t } from "../i18n/index.js";
import { LISTS_MS, usePolled } from "../poll.js";
import { href, pageNumber, usePlace } from "../url.js";
import { column } from "./rows.js";

/** @typedef {import("../types.js").Record} Record */

const FILTERS = /** @type {const} */ (["status"]);

/** @param {{taskKey: string}} properties */
export function TaskRunsTab({ taskKey }) {
  const at = usePlace();
  const url = runsUrl(taskKey, { status: at.query.get("status"), pageNumber: pageNumber(at), pageSize: pageSize(at) });
  const of = usePolled(url, LISTS_MS);
  const keyOf = (/** @type {Record} */ record) => record.id;
  const pinned = usePinned(/** @type {Record[] | null} */ (of.data && of.data.records), keyOf, url);
  const itself = (/** @type {Record} */ record) => record;
  const before = new Map(pinned.rows.map((record, index) => [record.id, pinned.rows[index + 1]?.id]));
  const columns = [
    column.status(itself), column.record(keyOf, 1), column.started((record) => record.startTime), column.duration(itself), column.progress(itself), column.failed(itself),
    { name: "bytes", title: t("column.bytes"), number: true, rank: 3, cell: (/** @type {Record} */ record) => formatBytes(record.replicatedBytes ?? record.replicaOverview.totalSize) },
    { ...column.reason(itself), rank: 3 },
    { name: "compare", title: h("span", { class: "off-screen" }, t("task.compare")), rank: 2, cell: (/** @type {Record} */ record) => (before.get(record.id) ? h("a", { href: href("compare", { a: before.get(record.id), b: record.id }), title: t("task.compare"), "aria-label": `${t("task.compare")}: ${record.id}` }, t("nav.compare")) : null) },
  ];
  return h("div", { class: "view" },
    h("div", { class: "toolbar" }, h(Filters, { names: FILTERS, label: t("task.runs") }), h(Newer, { pinned })),
    h(Chips, { names: FILTERS }),
    h(Problem, { of }),
    h(NoRows, { data: of.data, of, filters: FILTERS, none: t("task.none") }),
    pinned.rows.length ? h(Table, /** @type {any} */ ({ caption: t("task.runs"), columns, rows: pinned.rows, keyOf, rowClass: (/** @type {Record} */ record) => (pinned.gone.has(record.id) ? "gone" : undefined) })) : null,
    h(Pager, { data: of.data }));
}
