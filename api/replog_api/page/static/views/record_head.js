/** The head of a record: what it is, how far it has got, when it will be done. */

import { Fragment, h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { apiUrl, idUrl } from "../api.js";
import { Announcer } from "../components/announcer.js";
import { Countdown, Time, useNow } from "../components/clock.js";
import { CopyButton, Name } from "../components/ident.js";
import { ProgressBar, shareDone } from "../components/progress.js";
import { Status, shownStatus } from "../components/status.js";
import { estimate } from "../estimate.js";
import { formatBytes, formatCount, formatPercent } from "../format.js";
import { t } from "../i18n/index.js";
import { usePolled } from "../poll.js";
import { LAST_RUNS } from "../runs.js";
import { formatAge, formatDuration, parseTime } from "../time.js";
import { Duration, TaskLink } from "./rows.js";

/**
 * @typedef {import("../types.js").Record} Record
 * @typedef {import("../types.js").Overview} Overview
 * @typedef {import("../estimate.js").Sample} Sample
 */

const HISTORY_MS = 60_000;
const SILENCE_MS = 15_000;
/** For how long what was seen of the record counts for its rate. */
const LATELY_MS = 120_000;

/** @param {Overview} overview */
function doneOf(overview) {
  return Number(overview.success) + Number(overview.failed);
}

/** How many details had ended when, as far as this page has seen it lately. @param {Record} record @returns {Sample[]} */
function useSamples(record) {
  /** @type {{current: Sample[]}} */
  const samples = useRef([]);
  const done = doneOf(record.replicaOverview);
  useEffect(() => {
    const now = Date.now();
    samples.current = [...samples.current.filter(({ atMs }) => atMs > now - LATELY_MS), { atMs: now, done }];
  }, [done]);
  return samples.current;
}

/** How long the finished ones of the task's last runs took. @param {string} taskKey */
function useHistory(taskKey) {
  const { data } = usePolled(taskKey ? apiUrl("runs", { key: taskKey, last: LAST_RUNS }) : null, HISTORY_MS);
  const runs = /** @type {import("../types.js").ShortRun[]} */ (data?.[0]?.runs ?? []);
  return runs.flatMap(({ startTime, endTime }) => (endTime ? [parseTime(endTime) - parseTime(startTime)] : []));
}

/** @param {{record: Record}} properties */
function ExpectedEnd({ record }) {
  const now = useNow();
  const samples = useSamples(record);
  const history = useHistory(record.taskKey);
  const overview = record.replicaOverview;
  const found = estimate({
    whole: Number(overview.expected ?? 0),
    done: doneOf(overview),
    elapsedMs: now - parseTime(record.startTime),
    samples,
    history,
  });
  if (!found) return h("span", { class: "muted" }, t("record.noEstimate"));
  const source = found.source === "rate" ? t("record.fromRate") : t("record.fromHistory", { count: found.count });
  const soon = found.highMs < 2000;
  const range = soon ? t("record.doneSoon") : t("record.doneIn", { low: formatDuration(Math.round(found.lowMs / 1000) * 1000), high: formatDuration(Math.round(found.highMs / 1000) * 1000) });
  return h("span", null, h("strong", null, range), " ", h("span", { class: "muted" }, source));
}

/**
 * Whether a silent record's details are silent, too, and since when all of it is: its own flag says nothing of them.
 *
 * @param {string} id
 * @param {Record} record
 */
function useSilence(id, record) {
  const silent = record.status === "RUNNING" && record.stale;
  const { data } = usePolled(silent ? idUrl("detail/page", id, { status: "RUNNING", pageNumber: 1, pageSize: 50 }) : null, SILENCE_MS);
  const details = /** @type {import("../types.js").Detail[]} */ (data?.records ?? []);
  const sinceMs = Math.max(parseTime(record.lastEventTime), ...details.map((detail) => parseTime(detail.lastEventTime)));
  return { silent, moving: silent && details.some((detail) => !detail.stale), sinceMs };
}

/** @param {{watched: import("../stream.js").Watched}} properties */
function Connection({ watched }) {
  const { state, retryAtMs } = watched;
  if (state === "again") return h("span", { class: "s-silent" }, h(Countdown, { atMs: retryAtMs, text: (age) => t("record.again", { age }) }));
  if (state === "final" || state === "removed") return h("span", { class: "muted" }, t(state === "final" ? "record.final" : "record.removed"));
  if (state === "live") return h("span", { class: "live" }, h("span", { class: "dot", "aria-hidden": "true" }), t("record.live"));
  return state === "connecting" ? h("span", { class: "muted" }, t("record.connecting")) : null;
}

/** @param {{overview: Overview, record: Record}} properties */
function Sums({ overview, record }) {
  const parts = [
    h("strong", { class: "num" }, formatPercent(shareDone(overview))),
    h("span", { class: "s-success" }, `${formatCount(overview.success)} ${t("word.ok")}`),
    h("span", { class: Number(overview.failed) ? "s-failed" : "muted" }, `${formatCount(overview.failed)} ${t("word.failed")}`),
    Number(overview.running) ? h("span", { class: "s-running" }, `${formatCount(overview.running)} ${t("word.running")}`) : null,
    overview.expected === null ? h("span", { class: "muted" }, `${formatCount(overview.total)} ${t("word.total")}`) : h("span", { class: "muted" }, t("record.ofExpected", { count: formatCount(overview.expected) })),
    Number(overview.conflict) ? h("span", { class: "muted" }, t("record.conflicts", { count: formatCount(overview.conflict) })) : null,
    Number(overview.skip) ? h("span", { class: "muted" }, t("record.skipped", { count: formatCount(overview.skip) })) : null,
    h(Bytes, { record }),
  ];
  return h("p", { class: "sums num" }, parts);
}

/** @param {{record: Record}} properties */
function Bytes({ record }) {
  const { replicatedBytes: done, totalBytes: total, replicaOverview: { totalSize } } = record;
  const exact = done ?? totalSize;
  const text = done !== null && total !== null ? t("record.bytes", { done: formatBytes(done), total: formatBytes(total) }) : formatBytes(exact);
  return Number(exact) ? h("span", { class: "muted", title: `${formatCount(exact)} B` }, text) : null;
}

/** @param {{id: string, run: import("../types.js").Run, watched: import("../stream.js").Watched}} properties */
function Known({ id, run, watched }) {
  const { record } = run;
  const { silent, moving, sinceMs } = useSilence(id, record);
  const now = useNow();
  const status = silent && !moving ? "SILENT" : shownStatus({ status: record.status });
  const overview = record.replicaOverview;
  const [heard, setHeard] = useState("");
  useEffect(() => {
    setHeard(t("record.announce", { id: id.slice(0, 12), status: t(`status.${status}`), percent: formatPercent(shareDone(overview)), failed: formatCount(overview.failed) }));
  }, [status]);
  return h(Fragment, null,
    h("p", { class: "facts" },
      h(Status, { status }),
      h("span", null, t("record.ofTask"), " ", h(TaskLink, { taskKey: record.taskKey })),
      h("span", { class: "muted kind" }, `${run.replicaType} · ${run.replicaObjectType}`),
      h("span", null, h(Time, { at: record.startTime, date: "auto" }), record.endTime ? [" – ", h(Time, { at: record.endTime })] : null, " · ", h(Duration, { record })),
      record.status === "RUNNING" ? h(ExpectedEnd, { record }) : null,
      silent ? h("span", { class: "s-silent" }, moving ? t("silent.recordOnly") : t("silent.news", { age: formatAge(now - sinceMs) })) : null,
      h(Connection, { watched })),
    record.errorReason ? h("p", { class: "s-failed why" }, h("bdi", null, record.errorReason)) : null,
    h(ProgressBar, { overview, wide: true }),
    h(Sums, { overview, record }),
    h(Announcer, { text: heard }));
}

/** @param {{id: string, watched: import("../stream.js").Watched}} properties */
export function RecordHead({ id, watched }) {
  return h("div", { class: "record-head" },
    h("h1", { tabindex: -1 }, h("span", { class: "kind-of" }, t("record.title", { id: "" })), h(Name, { text: id, most: 44, mono: true }), h(CopyButton, { text: id })),
    watched.run ? h(Known, { id, run: watched.run, watched }) : watched.error ? null : h("p", { class: "facts" }, h(Connection, { watched })));
}
