/** A record's details by cluster and repository: how many of each status, each number leading to its details. */

import { h } from "preact";
import { idUrl } from "../api.js";
import { Name } from "../components/ident.js";
import { useSeenOrder } from "../components/newer.js";
import { Cut, Empty, Loading, Problem } from "../components/states.js";
import { StatusIcon } from "../components/status.js";
import { formatCount, plus } from "../format.js";
import { t } from "../i18n/index.js";
import { usePolled } from "../poll.js";
import { href, usePlace } from "../url.js";

/** @typedef {import("../types.js").Counts} Counts */

/** Repositories that have a column each; more are shown for one cluster at a time. */
const MOST_COLUMNS = 8;
/** Rows of one table: those with the most failed come first. */
const MOST_ROWS = 100;
const STATUSES = /** @type {const} */ ([["FAILED", "failed"], ["RUNNING", "running"], ["SUCCESS", "success"]]);

const clusterOf = (/** @type {Counts} */ counts) => counts.remoteCluster ?? "";
const repositoryOf = (/** @type {Counts} */ counts) => counts.localRepoName ?? "";

/** @param {string | null} text */
function Unknowable(text) {
  return text ? h(Name, { text, most: 32 }) : h("span", { class: "muted" }, t("matrix.unknown"));
}

/** @param {{id: string, counts: Counts | undefined, cluster?: string | null, repository?: string | null}} properties */
export function Cell({ id, counts, cluster = null, repository = null }) {
  if (!counts) return h("span", { class: "muted" }, "·");
  // What is unknown cannot be filtered for.
  const leads = cluster !== "" && repository !== "";
  const parts = STATUSES.filter(([, field]) => Number(counts[field])).map(([status, field]) => {
    const text = [h(StatusIcon, { status }), h("span", { class: "num" }, formatCount(counts[field])), h("span", { class: "off-screen" }, t(`status.${status}`))];
    const to = href("record", { id, tab: "details", status, remoteCluster: cluster, localRepoName: repository });
    return leads ? h("a", { key: status, class: `tally s-${status.toLowerCase()}`, href: to }, text) : h("span", { key: status, class: `tally s-${status.toLowerCase()}` }, text);
  });
  return h("span", { class: "tallies" }, parts);
}

/** The sum of counts. @param {ReadonlyArray<Counts>} of @returns {Counts} */
export function summed(of) {
  const none = { remoteCluster: null, localRepoName: null, success: 0, failed: 0, running: 0, total: 0 };
  return of.reduce((/** @type {Counts} */ sum, one) => ({
    ...sum,
    success: plus(sum.success, one.success),
    failed: plus(sum.failed, one.failed),
    running: plus(sum.running, one.running),
    total: plus(sum.total, one.total),
  }), none);
}

/** @param {string} id @param {import("../api.js").Parameters} parameters */
export function countsUrl(id, parameters) {
  return idUrl("detail/counts", id, parameters);
}

/** @param {{id: string, clusters: Counts[], repositories: Counts[], pairs: Counts[]}} properties */
function Matrix({ id, clusters, repositories, pairs }) {
  const at = new Map(pairs.map((pair) => [JSON.stringify([pair.remoteCluster, pair.localRepoName]), pair]));
  const all = summed(clusters);
  const row = (/** @type {Counts} */ cluster) => h("tr", { key: cluster.remoteCluster ?? "" },
    h("th", { scope: "row" }, Unknowable(cluster.remoteCluster)),
    h("td", null, h(Cell, { id, counts: cluster, cluster: cluster.remoteCluster })),
    h("td", { class: "number" }, formatCount(cluster.total)),
    repositories.map((repository) => h("td", { key: repository.localRepoName ?? "" },
      h(Cell, { id, counts: at.get(JSON.stringify([cluster.remoteCluster, repository.localRepoName])), cluster: cluster.remoteCluster, repository: repository.localRepoName }))));
  return h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": t("matrix.caption") },
    h("table", { class: "data matrix" },
      h("caption", { class: "off-screen" }, t("matrix.caption")),
      h("thead", null, h("tr", null,
        h("th", { scope: "col" }, t("column.cluster")), h("th", { scope: "col" }, t("matrix.all")), h("th", { scope: "col", class: "number" }, t("column.total")),
        repositories.map((repository) => h("th", { key: repository.localRepoName ?? "", scope: "col" }, Unknowable(repository.localRepoName))))),
      h("tbody", null, clusters.slice(0, MOST_ROWS).map(row)),
      h("tfoot", null, h("tr", null,
        h("th", { scope: "row" }, t("matrix.all")),
        h("td", null, h(Cell, { id, counts: all })),
        h("td", { class: "number", "data-total": String(all.total) }, formatCount(all.total)),
        repositories.map((repository) => h("td", { key: repository.localRepoName ?? "" }, h(Cell, { id, counts: repository, repository: repository.localRepoName })))))));
}

/** One count a row. @param {{id: string, caption: string, rows: Counts[], by: "cluster" | "repository", cluster?: string}} properties */
function List({ id, caption, rows, by, cluster }) {
  const row = (/** @type {Counts} */ counts) => {
    const name = by === "cluster" ? counts.remoteCluster : counts.localRepoName;
    return h("tr", { key: name ?? "" },
      h("th", { scope: "row" }, by === "cluster" && name ? h("a", { href: href("record", { id, cluster: name }) }, Unknowable(name)) : Unknowable(name)),
      h("td", null, h(Cell, { id, counts, cluster: by === "cluster" ? name : cluster, repository: by === "repository" ? name : null })),
      h("td", { class: "number" }, formatCount(counts.total)));
  };
  return h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": caption },
    h("table", { class: "data matrix" },
      h("caption", { class: "off-screen" }, caption),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, t(by === "cluster" ? "column.cluster" : "column.repository")), h("th", { scope: "col" }, t("matrix.all")), h("th", { scope: "col", class: "number" }, t("column.total")))),
      h("tbody", null, rows.slice(0, MOST_ROWS).map(row))));
}

/** @param {{id: string, cluster: string, everyMs: number}} properties */
function OneCluster({ id, cluster, everyMs }) {
  const of = usePolled(countsUrl(id, { by: "repository", remoteCluster: cluster }), everyMs);
  const rows = useSeenOrder(/** @type {Counts[]} */ (of.data ?? []), repositoryOf, `${id} ${cluster}`);
  const title = t("matrix.ofCluster", { cluster });
  return h("div", { class: "block" },
    h("h2", null, title),
    h(Problem, { of }),
    of.data ? [h(List, { id, caption: title, rows, by: "repository", cluster }), h(Cut, { shown: MOST_ROWS, total: of.data.length })] : null);
}

/** @param {{id: string, everyMs: number}} properties */
export function RecordClusters({ id, everyMs }) {
  const at = usePlace();
  const cluster = at.query.get("cluster") ?? "";
  const clusters = usePolled(countsUrl(id, { by: "cluster" }), everyMs);
  const repositories = usePolled(countsUrl(id, { by: "repository" }), everyMs);
  const narrow = repositories.data !== null && repositories.data.length <= MOST_COLUMNS;
  const pairs = usePolled(narrow ? countsUrl(id, { by: "pair" }) : null, everyMs);
  const problem = [clusters, repositories, pairs].find((of) => of.error) ?? clusters;
  const clusterRows = useSeenOrder(/** @type {Counts[]} */ (clusters.data ?? []), clusterOf, `${id} clusters`);
  const repositoryRows = useSeenOrder(/** @type {Counts[]} */ (repositories.data ?? []), repositoryOf, `${id} repositories`);
  if (!clusters.data || !repositories.data || (narrow && !pairs.data)) return problem.error ? h(Problem, { of: problem }) : h(Loading, null);
  if (!clusters.data.length) return h("div", null, h(Problem, { of: problem }), h(Empty, null, t("record.noDetails")));
  return h("div", { class: "view" },
    h(Problem, { of: problem }),
    narrow
      ? h(Matrix, { id, clusters: clusterRows, repositories: repositoryRows, pairs: pairs.data })
      : [cluster ? h(OneCluster, { id, cluster, everyMs }) : null, h("p", { class: "muted" }, t("matrix.wide", { count: formatCount(repositories.data.length) })), h(List, { id, caption: t("matrix.byCluster"), rows: clusterRows, by: "cluster" })],
    h(Cut, { shown: MOST_ROWS, total: clusters.data.length }),
    h("p", { class: "muted" }, t("matrix.explain")));
}
