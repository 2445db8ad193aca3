/** A task: its runs, whether it gets slower or less reliable, and where an artifact has got to. */

import { h } from "preact";
import { runsUrl } from "../api.js";
import { CopyButton, Name } from "../components/ident.js";
import { useNow } from "../components/clock.js";
import { shownTab, Tabs } from "../components/tabs.js";
import { usualIntervalMs } from "../estimate.js";
import { t } from "../i18n/index.js";
import { LISTS_MS, usePolled } from "../poll.js";
import { formatAge, formatDuration, parseTime } from "../time.js";
import { usePlace } from "../url.js";
import { TaskFind } from "./task_find.js";
import { TaskRunsTab } from "./task_runs.js";
import { TaskTrend } from "./task_trend.js";

const TABS = /** @type {const} */ (["runs", "trend", "find"]);
/** Starts that the usual interval is drawn from. */
const STARTS = 21;
/** A run is overdue when it is later than usual by this part of the usual interval. */
const PATIENCE = 0.5;

/** How often the task runs, and whether its next run should have begun. @param {{taskKey: string}} properties */
function Interval({ taskKey }) {
  const now = useNow(5000);
  const { data } = usePolled(runsUrl(taskKey, { pageNumber: 1, pageSize: STARTS }), LISTS_MS);
  if (!data || !data.records.length) return null;
  const runs = /** @type {import("../types.js").Record[]} */ (data.records);
  const starts = runs.map((run) => parseTime(run.startTime));
  const interval = usualIntervalMs(starts);
  if (!Number.isFinite(interval) || interval <= 0) return h("span", { class: "muted" }, t("task.noInterval"));
  const nextMs = Math.max(...starts) + interval;
  const late = now - nextMs;
  const usual = h("span", { class: "muted" }, t("task.interval", { age: formatDuration(interval) }));
  if (runs.some((run) => run.status === "RUNNING")) return usual;
  if (late > interval * PATIENCE) return [usual, h("strong", { class: "s-silent" }, t("task.overdue", { age: formatAge(late) }))];
  return late < 0 ? [usual, h("span", { class: "muted" }, t("task.expected", { age: formatAge(-late) }))] : usual;
}

export function TaskView() {
  const at = usePlace();
  const key = at.query.get("key") ?? "";
  if (!key) return h("div", { class: "view" }, h("h1", { tabindex: -1 }, t("task.missing")));
  const tab = shownTab(at, TABS);
  const tabs = TABS.map((name) => ({ name, title: t(`task.${name}`) }));
  const shown = { runs: TaskRunsTab, trend: TaskTrend, find: TaskFind }[tab];
  return h("div", { class: "view" },
    h("div", { class: "record-head" },
      h("h1", { tabindex: -1 }, h("span", { class: "kind-of" }, t("task.title", { key: "" })), h(Name, { text: key, most: 64 }), h(CopyButton, { text: key })),
      h("p", { class: "facts" }, h(Interval, { taskKey: key }))),
    h("div", { class: "tab-bar" }, h(Tabs, { label: t("task.title", { key }), tabs, shown: tab, subject: { key } }), h(CopyButton, { text: location.href, label: t("copy.link") }, t("copy.link"))),
    h(shown, { taskKey: key }));
}
