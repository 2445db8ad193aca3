/** Why details of a record failed: grouped by reason, most first. */

import { h } from "preact";
import { idUrl } from "../api.js";
import { Name } from "../components/ident.js";
import { Newer, usePinned } from "../components/newer.js";
import { Empty, Loading, Problem } from "../components/states.js";
import { Table } from "../components/table.js";
import { formatCount } from "../format.js";
import { t } from "../i18n/index.js";
import { usePolled } from "../poll.js";
import { href } from "../url.js";

/** @typedef {import("../types.js").Reason} Reason */

const MOST_REASONS = 20;

/** @param {{id: string, everyMs: number}} properties */
export function RecordFailures({ id, everyMs }) {
  const of = usePolled(idUrl("detail/reasons", id, { limit: MOST_REASONS }), everyMs);
  const data = /** @type {import("../types.js").Reasons | null} */ (of.data);
  const keyOf = (/** @type {Reason} */ row) => row.errorReason ?? "";
  const pinned = usePinned(data && data.reasons, keyOf, id);
  if (!data) return of.error ? h(Problem, { of }) : h(Loading, null);
  if (!data.reasons.length && !pinned.rows.length) return h("div", null, h(Problem, { of }), h(Empty, null, t("reasons.none")));
  const details = (/** @type {string | null} */ cluster) => href("record", { id, tab: "details", status: "FAILED", remoteCluster: cluster });
  const columns = [
    { name: "count", title: t("column.failed"), number: true, cell: (/** @type {Reason} */ row) => h("strong", { class: "s-failed num" }, formatCount(row.failed)) },
    { name: "why", title: t("column.reason"), cell: (/** @type {Reason} */ row) => (row.errorReason ? h("bdi", { class: "wrapped" }, row.errorReason) : h("span", { class: "muted" }, t("reasons.noText"))) },
    { name: "clusters", title: t("column.clusters"), cell: (/** @type {Reason} */ row) => h("span", { class: "names" }, row.remoteClusters.map((cluster) => (cluster ? h("a", { key: cluster, href: details(cluster) }, h(Name, { text: cluster, most: 24 })) : null))) },
    { name: "example", title: t("column.example"), rank: /** @type {2} */ (2), cell: (/** @type {Reason} */ row) => h("a", { href: href("record", { id, tab: "details", status: "FAILED", remoteCluster: row.remoteClusters[0], open: row.detailId }), class: "mono" }, h(Name, { text: row.detailId, most: 13 })) },
  ];
  return h("div", { class: "view" },
    h(Problem, { of }),
    h("div", { class: "toolbar" }, h(Newer, { pinned })),
    h(Table, /** @type {any} */ ({ caption: t("reasons.caption"), columns, rows: pinned.rows, keyOf, rowClass: (/** @type {Reason} */ row) => (pinned.gone.has(keyOf(row)) ? "gone" : undefined) })),
    h("p", { class: "muted" }, t("reasons.examined", { examined: formatCount(data.examined), failed: formatCount(data.failed) })));
}
