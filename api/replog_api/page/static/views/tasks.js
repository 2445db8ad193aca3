/** Tasks: all of them, the last active ones first, each with its last runs. */

import { h } from "preact";
import { apiUrl } from "../api.js";
import { Chips, Filters } from "../components/filters.js";
import { Newer, usePinned } from "../components/newer.js";
import { Pager, pageSize } from "../components/pager.js";
import { NoRows, Problem } from "../components/states.js";
import { Table } from "../components/table.js";
import { t } from "../i18n/index.js";
import { LISTS_MS, usePolled } from "../poll.js";
import { useLastRuns } from "../runs.js";
import { pageNumber, usePlace } from "../url.js";
import { column } from "./rows.js";

/** @typedef {import("../types.js").Task} Task */

const FILTERS = /** @type {const} */ (["prefix", "status"]);

export function TasksView() {
  const at = usePlace();
  const url = apiUrl("list", {
    prefix: at.query.get("prefix"),
    status: at.query.get("status"),
    pageNumber: pageNumber(at),
    pageSize: pageSize(at),
  });
  const of = usePolled(url, LISTS_MS);
  const keyOf = (/** @type {Task} */ task) => task.taskKey;
  const pinned = usePinned(/** @type {Task[] | null} */ (of.data && of.data.records), keyOf, url);
  const runs = useLastRuns(pinned.rows.map(keyOf));
  /** @param {Task} task */
  const record = (task) => task.record ?? NO_RECORD;
  const columns = [
    column.status(record), column.task(keyOf), column.record((task) => record(task).id, 3), column.progress(record), column.failed(record),
    column.started((task) => record(task).startTime), column.duration(record), column.runs((task) => runs(task.taskKey)),
  ];
  return h("div", { class: "view" },
    h("div", { class: "toolbar title-bar" }, h("h1", { tabindex: -1 }, t("tasks.title")), h(Filters, { names: FILTERS, label: t("tasks.title") }), h(Newer, { pinned })),
    h(Chips, { names: FILTERS }),
    h(Problem, { of }),
    h(NoRows, { data: of.data, of, filters: FILTERS, none: t("tasks.none") }),
    pinned.rows.length ? h(Table, /** @type {any} */ ({ caption: t("tasks.title"), columns, rows: pinned.rows, keyOf, rowClass: (/** @type {Task} */ task) => (pinned.gone.has(keyOf(task)) ? "gone" : undefined) })) : null,
    h(Pager, { data: of.data }));
}

/** @type {import("../types.js").Record} What stands for the latest record where none is known. */
const NO_RECORD = {
  id: "",
  taskKey: "",
  status: "RUNNING",
  startTime: "",
  endTime: null,
  errorReason: null,
  replicatedBytes: null,
  totalBytes: null,
  replicaOverview: { success: 0, failed: 0, running: 0, total: 0, expected: null, skip: 0, conflict: 0, totalSize: 0 },
  lastEventTime: "",
  stale: false,
};
