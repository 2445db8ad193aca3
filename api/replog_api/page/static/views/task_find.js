/** Where an artifact has got to: each that matches by cluster, as the newest runs left it. */

import { h } from "preact";
import { idUrl, runsUrl } from "../api.js";
import { ChoiceField, Form, TextField, textOf } from "../components/form.js";
import { Name } from "../components/ident.js";
import { useSeenOrder } from "../components/newer.js";
import { Cut, Empty, Loading, Problem } from "../components/states.js";
import { Status, shownStatus } from "../components/status.js";
import { Time } from "../components/clock.js";
import { t } from "../i18n/index.js";
import { LISTS_MS, usePolled } from "../poll.js";
import { go, href, usePlace } from "../url.js";
import { shortVersionOf, subjectOf, versionOf } from "./details_table.js";

/** @typedef {import("../types.js").Detail} Detail */

const NEWEST_RUNS = /** @type {const} */ ([0, 1, 2, 3, 4]);
/** Details of one run that are looked at. */
const MOST = 200;
/** Rows that are shown. */
const MOST_ROWS = 200;
const BY = /** @type {const} */ ({ package: "packageName", artifact: "artifactName", path: "path" });

/** @param {{taskKey: string, by: keyof typeof BY, text: string}} properties */
function Question({ taskKey, by, text }) {
  const take = (/** @type {FormData} */ given) => go(href("task", { key: taskKey, tab: "find", by: textOf(given, "by"), find: textOf(given, "find") }));
  const names = /** @type {Array<keyof typeof BY>} */ (Object.keys(BY));
  const options = names.map((name) => /** @type {const} */ ([name, t(`find.${name}`)]));
  return h(Form, { label: t("task.find"), take, stamp: `${by} ${text}` }, h("div", { class: "fields" },
    h("div", { class: "field" }, h("label", { for: "find-by" }, t("find.by")), h(ChoiceField, { id: "find-by", name: "by", value: by, options })),
    h("div", { class: "field" }, h("label", { for: "find-text" }, t("find.label")), h(TextField, { id: "find-text", name: "find", value: text })),
    h("button", { type: "submit", class: "button primary" }, t("find.button"))));
}

/**
 * The newest detail of each artifact in each cluster.
 *
 * @param {ReadonlyArray<ReadonlyArray<Detail>>} runs the newest first
 */
export function byArtifact(runs) {
  /** @type {Map<string, {subject: string, version: string, short: string, clusters: Map<string, Detail>}>} */
  const artifacts = new Map();
  for (const detail of runs.flat()) {
    const [subject, version] = [subjectOf(detail), versionOf(detail)];
    const key = artifactOf({ subject, version });
    const artifact = artifacts.get(key) ?? { subject, version, short: shortVersionOf(detail), clusters: new Map() };
    artifacts.set(key, artifact);
    if (!artifact.clusters.has(detail.remoteCluster)) artifact.clusters.set(detail.remoteCluster, detail);
  }
  return [...artifacts.values()];
}

const artifactOf = (/** @type {{subject: string, version: string}} */ of) => JSON.stringify([of.subject, of.version]);

/** @param {{runs: Detail[][], by: keyof typeof BY, text: string}} properties */
function Found({ runs, by, text }) {
  const artifacts = useSeenOrder(byArtifact(runs), artifactOf, `${by} ${text}`);
  if (!artifacts.length) return h(Empty, null, t("find.none", { count: runs.length }));
  const clusters = [...new Set(runs.flat().map((detail) => detail.remoteCluster))].sort();
  const cell = (/** @type {Detail | undefined} */ detail) => detail
    ? h("a", { class: "found", href: href("record", { id: detail.recordId, tab: "details", remoteCluster: detail.remoteCluster, [BY[by]]: text, open: detail.id }) }, h(Status, { status: shownStatus(detail) }), h("span", { class: "muted" }, h(Time, { at: detail.endTime ?? detail.startTime })))
    : h("span", { class: "muted" }, "·", h("span", { class: "off-screen" }, t("find.notThere")));
  return [h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": t("task.find") }, h("table", { class: "data" },
    h("caption", { class: "off-screen" }, t("find.explain")),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, t("column.what")), h("th", { scope: "col" }, t("column.version")), clusters.map((cluster) => h("th", { key: cluster, scope: "col" }, cluster ? h(Name, { text: cluster, most: 24 }) : t("matrix.unknown"))))),
    h("tbody", null, artifacts.slice(0, MOST_ROWS).map(({ subject, version, short, clusters: found }) => h("tr", { key: `${subject} ${version}` },
      h("th", { scope: "row" }, h(Name, { text: subject, most: 48 })), h("td", null, h(Name, { text: short, most: 24 })),
      clusters.map((cluster) => h("td", { key: cluster }, cell(found.get(cluster))))))))),
    h(Cut, { shown: MOST_ROWS, total: artifacts.length })];
}

/** @param {{taskKey: string}} properties */
export function TaskFind({ taskKey }) {
  const at = usePlace();
  const asked = at.query.get("by");
  const by = asked === "artifact" || asked === "path" ? asked : "package";
  const text = at.query.get("find") ?? "";
  const newest = usePolled(text ? runsUrl(taskKey, { pageNumber: 1, pageSize: NEWEST_RUNS.length }) : null, LISTS_MS);
  const ids = /** @type {string[]} */ (newest.data?.records.map((/** @type {{id: string}} */ run) => run.id) ?? []);
  const parameters = { [BY[by]]: text, pageNumber: 1, pageSize: MOST };
  const answers = NEWEST_RUNS.map((index) => usePolled(ids[index] === undefined ? null : idUrl("detail/page", ids[index], parameters), LISTS_MS));
  const asking = answers.slice(0, ids.length);
  const problem = [newest, ...asking].find((of) => of.error) ?? newest;
  const known = newest.data && asking.every((of) => of.data);
  return h("div", { class: "view" },
    h(Question, { taskKey, by, text }),
    h("p", { class: "muted" }, t("find.explain")),
    h(Problem, { of: problem }),
    known ? h(Found, { runs: asking.map((of) => of.data.records), by, text }) : text && !problem.error ? h(Loading, null) : null,
    known && asking.some((of) => Number(of.data.totalRecords) > MOST) ? h("p", { class: "s-silent" }, t("find.cut", { count: MOST })) : null);
}
