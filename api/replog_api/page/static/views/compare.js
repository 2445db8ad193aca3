/** Two runs side by side: where their counts differ, what has newly failed, what has healed. */

import { Fragment, h } from "preact";
import { idUrl } from "../api.js";
import { Time } from "../components/clock.js";
import { Form, TextField, textOf } from "../components/form.js";
import { IdLink, Name } from "../components/ident.js";
import { useSeenOrder } from "../components/newer.js";
import { ProgressCell, Duration, TaskLink } from "./rows.js";
import { Cut, Empty, Loading, Problem } from "../components/states.js";
import { Status, shownStatus } from "../components/status.js";
import { formatCount } from "../format.js";
import { t } from "../i18n/index.js";
import { LISTS_MS, usePolled } from "../poll.js";
import { go, href, usePlace } from "../url.js";
import { DetailsTable, subjectOf, versionOf } from "./details_table.js";
import { Cell, countsUrl } from "./record_clusters.js";

/**
 * @typedef {import("../types.js").Counts} Counts
 * @typedef {import("../types.js").Detail} Detail
 * @typedef {import("../types.js").Run} Run
 */

/** Failures of each run that are compared: one page of the API's largest. */
const MOST_FAILURES = 1000;
/** Rows of each list that are shown. */
const MOST_ROWS = 60;

/** What a detail replicates, and whereto: the same in both runs. @param {Detail} detail */
export function identity(detail) {
  return JSON.stringify([detail.remoteCluster, detail.localRepoName, subjectOf(detail), detail.artifactName, versionOf(detail)]);
}

/**
 * The details of `later` that `earlier` does not have.
 *
 * @param {ReadonlyArray<Detail>} earlier
 * @param {ReadonlyArray<Detail>} later
 */
export function newIn(earlier, later) {
  const known = new Set(earlier.map(identity));
  return later.filter((detail) => !known.has(identity(detail)));
}

/** The pairs whose counts are not the same. @param {ReadonlyArray<Counts>} a @param {ReadonlyArray<Counts>} b */
export function differing(a, b) {
  const key = (/** @type {Counts} */ counts) => JSON.stringify([counts.remoteCluster, counts.localRepoName]);
  const [earlier, later] = [a, b].map((list) => new Map(list.map((counts) => [key(counts), counts])));
  return [...new Set([...b, ...a].map(key))]
    .map((pair) => ({ pair, earlier: earlier?.get(pair), later: later?.get(pair) }))
    .filter(({ earlier: one, later: other }) => ["success", "failed", "running"].some((field) => Number(/** @type {any} */ (one)?.[field] ?? 0) !== Number(/** @type {any} */ (other)?.[field] ?? 0)));
}

/** @param {{a: string, b: string}} properties */
function Question({ a, b }) {
  const take = (/** @type {FormData} */ given) => go(href("compare", { a: textOf(given, "a"), b: textOf(given, "b") }));
  const field = (/** @type {"a" | "b"} */ name, /** @type {string} */ value) => h("div", { class: "field" }, h("label", { for: `compare-${name}` }, t(`compare.${name}`)), h(TextField, { id: `compare-${name}`, name, value, required: true }));
  return h(Form, { label: t("compare.title"), take, search: false, class: "filters compare-form", stamp: `${a} ${b}` }, h("div", { class: "fields" },
    field("a", a), field("b", b), h("button", { type: "submit", class: "button primary" }, t("compare.button")),
    a && b ? h("a", { class: "button", href: href("compare", { a: b, b: a }) }, t("compare.swap")) : null));
}

/** @param {{title: string, run: Run}} properties */
function RunCard({ title, run: { record } }) {
  return h("div", { class: "card" },
    h("h2", null, title),
    h("p", { class: "facts" }, h(IdLink, { text: record.id, href: href("record", { id: record.id }), most: 24 }), h(Status, { status: shownStatus(record) })),
    h("p", { class: "facts" }, h(TaskLink, { taskKey: record.taskKey }), h(Time, { at: record.startTime }), h(Duration, { record })),
    h(ProgressCell, { record }));
}

/** @param {number} change */
function signed(change) {
  return change > 0 ? `+${formatCount(change)}` : change < 0 ? `−${formatCount(-change)}` : "0";
}

/** @param {{a: string, b: string, earlier: Counts[], later: Counts[]}} properties */
function Differences({ a, b, earlier, later }) {
  const rows = useSeenOrder(differing(earlier, later), (row) => row.pair, `${a} ${b}`);
  if (!rows.length) return h(Empty, null, t("compare.same"));
  return [h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": t("compare.matrix") }, h("table", { class: "data" },
    h("caption", { class: "off-screen" }, t("compare.matrix")),
    h("thead", null, h("tr", null,
      h("th", { scope: "col" }, t("column.cluster")), h("th", { scope: "col" }, t("column.repository")),
      h("th", { scope: "col", class: "number" }, t("compare.change")),
      h("th", { scope: "col" }, t("compare.earlier")), h("th", { scope: "col" }, t("compare.later")))),
    h("tbody", null, rows.slice(0, MOST_ROWS).map(({ pair, earlier: one, later: other }) => {
      const [cluster, repository] = /** @type {[string, string]} */ (JSON.parse(pair));
      const change = Number(other?.failed ?? 0) - Number(one?.failed ?? 0);
      return h("tr", { key: pair },
        h("th", { scope: "row" }, h(Name, { text: cluster || t("matrix.unknown"), most: 24 })), h("td", null, h(Name, { text: repository || t("matrix.unknown"), most: 24 })),
        h("td", { class: "number" }, h("strong", { class: change > 0 ? "s-failed" : change < 0 ? "s-success" : "muted" }, signed(change))),
        h("td", null, h(Cell, { id: a, counts: one, cluster, repository })), h("td", null, h(Cell, { id: b, counts: other, cluster, repository })));
    })))),
    h(Cut, { shown: MOST_ROWS, total: rows.length })];
}

/** @param {{title: string, none: string, why?: string, details: Detail[]}} properties */
function Changed({ title, none, why, details }) {
  const rows = useSeenOrder(details, identity, title);
  return h("div", { class: "block" },
    h("h2", null, title, " ", h("span", { class: "count" }, formatCount(details.length))),
    why && details.length ? h("p", { class: "muted" }, why) : null,
    details.length ? h(DetailsTable, { details: rows.slice(0, MOST_ROWS), caption: title }) : h("p", { class: "muted empty" }, none),
    h(Cut, { shown: MOST_ROWS, total: details.length }));
}

/** @param {{a: string, b: string}} properties */
function Comparison({ a, b }) {
  const of = (/** @type {string} */ id) => ({
    run: usePolled(idUrl("", id), LISTS_MS),
    counts: usePolled(countsUrl(id, { by: "pair" }), LISTS_MS),
    failures: usePolled(idUrl("detail/page", id, { status: "FAILED", pageNumber: 1, pageSize: MOST_FAILURES }), LISTS_MS),
  });
  const [earlier, later] = [of(a), of(b)];
  const all = [earlier, later].flatMap(({ run, counts, failures }) => [run, counts, failures]);
  const problem = all.find((polled) => polled.error) ?? earlier.run;
  if (all.some((polled) => !polled.data)) return problem.error ? h(Problem, { of: problem }) : h(Loading, null);
  const [failedBefore, failedNow] = [earlier.failures.data.records, later.failures.data.records];
  const cut = [earlier, later].some(({ failures }) => Number(failures.data.totalRecords) > MOST_FAILURES);
  return h(Fragment, null,
    h(Problem, { of: problem }),
    h("div", { class: "cards" }, h(RunCard, { title: t("compare.earlier"), run: earlier.run.data }), h(RunCard, { title: t("compare.later"), run: later.run.data })),
    earlier.run.data.record.taskKey === later.run.data.record.taskKey ? null : h("p", { class: "s-silent" }, t("compare.otherTask")),
    h("div", { class: "block" }, h("h2", null, t("compare.matrix")), h(Differences, { a, b, earlier: earlier.counts.data, later: later.counts.data })),
    cut ? h("p", { class: "s-silent" }, t("compare.cut", { count: formatCount(MOST_FAILURES) })) : null,
    h(Changed, { title: t("compare.newlyFailed"), none: t("compare.noneNew"), details: newIn(failedBefore, failedNow) }),
    h(Changed, { title: t("compare.healed"), none: t("compare.noneHealed"), why: t("compare.healedWhy"), details: newIn(failedNow, failedBefore) }));
}

export function CompareView() {
  const at = usePlace();
  const [a, b] = [at.query.get("a") ?? "", at.query.get("b") ?? ""];
  return h("div", { class: "view" },
    h("h1", { tabindex: -1 }, t("compare.title")),
    h(Question, { a, b }),
    a && b ? h(Comparison, { key: `${a} ${b}`, a, b }) : h(Empty, null, t("compare.need")));
}
