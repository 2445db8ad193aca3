/** Details as rows, each with everything about it behind a button. */

import { h } from "preact";
import { CopyButton, Name } from "../components/ident.js";
import { Time } from "../components/clock.js";
import { Status, shownStatus } from "../components/status.js";
import { Table } from "../components/table.js";
import { formatBytes, formatCount } from "../format.js";
import { t } from "../i18n/index.js";
import { zoneLabel } from "../time.js";
import { changedHref, go, usePlace } from "../url.js";
import { Duration } from "./rows.js";

/**
 * @typedef {import("../types.js").Detail} Detail
 * @typedef {import("../types.js").Tally} Tally
 */

/** What a detail is about: its package, else its path, else its artifact. @param {Detail} detail */
export function subjectOf(detail) {
  return detail.packageConstraint?.packageKey ?? detail.pathConstraint?.path ?? detail.artifactName ?? detail.id;
}

/** Its version, or all of its package's. @param {Detail} detail */
export function versionOf(detail) {
  return detail.version ?? detail.packageConstraint?.versions?.join(", ") ?? "";
}

/** The same, short: of many versions the first and the last. @param {Detail} detail */
export function shortVersionOf(detail) {
  const versions = detail.packageConstraint?.versions ?? [];
  return detail.version || versions.length <= 2 ? versionOf(detail) : `${versions[0]} … ${versions[versions.length - 1]}`;
}

/** @param {Tally | null} tally */
function tallyText(tally) {
  if (!tally) return null;
  return t("details.counts", { success: formatCount(tally.success), skip: formatCount(tally.skip), failed: formatCount(tally.failed), total: formatCount(tally.total) });
}

/** Everything about a detail. @param {{detail: Detail}} properties */
function Facts({ detail }) {
  const { progress } = detail;
  const size = detail.size ?? (Number(progress.totalSize) ? progress.totalSize : null);
  /** @type {Array<[string, import("preact").ComponentChildren]>} */
  const facts = [
    [t("column.reason"), detail.errorReason && h("bdi", { class: "s-failed" }, detail.errorReason)],
    [t("details.id"), [h("code", null, detail.id), h(CopyButton, { text: detail.id })]],
    [t("details.package"), detail.packageConstraint && h("bdi", null, detail.packageConstraint.packageKey)],
    [t("details.versions"), versionOf(detail) && h("bdi", null, versionOf(detail))],
    [t("details.path"), detail.pathConstraint && [h("bdi", { class: "mono" }, detail.pathConstraint.path), h(CopyButton, { text: detail.pathConstraint.path })]],
    [t("details.artifact"), detail.artifactName && h("bdi", null, detail.artifactName)],
    [t("details.local"), detail.localCluster && h("bdi", null, detail.localCluster)],
    [t("details.type"), detail.repoType],
    [t("details.conflict"), detail.conflictStrategy],
    [t("column.size"), size !== null && `${formatBytes(size)} (${formatCount(size)} B)`],
    [t("details.sha256"), detail.sha256 && [h("code", null, detail.sha256), h(CopyButton, { text: detail.sha256 })]],
    [t("details.blob"), tallyText(progress.blob)],
    [t("details.node"), tallyText(progress.node)],
    [t("details.version"), tallyText(progress.version)],
    [t("column.ended"), detail.endTime && h(Time, { at: detail.endTime })],
    [t("details.lastEvent"), h(Time, { at: detail.lastEventTime })],
  ];
  return h("dl", { class: "detail-facts" }, facts.flatMap(([name, value]) => (value ? [h("div", { key: name }, h("dt", null, name), h("dd", null, value))] : [])));
}

/** @param {{detail: Detail, open: boolean}} properties */
function Opener({ detail, open }) {
  const at = usePlace();
  const onClick = () => go(changedHref(at, { open: open ? null : detail.id }), { replace: true });
  return h("button", { type: "button", class: "icon-button opener", "aria-expanded": open, "aria-label": `${t("details.show")}: ${subjectOf(detail)}`, onClick },
    h("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, h("path", { d: "M6 4l4 4-4 4", fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round", "stroke-linejoin": "round" })));
}

/** @param {{details: Detail[], gone?: ReadonlySet<string>, caption: string}} properties */
export function DetailsTable({ details, gone, caption }) {
  const at = usePlace();
  const opened = at.query.get("open");
  const name = (/** @type {string} */ text, most = 28) => (text ? h(Name, { text, most }) : h("span", { class: "muted" }, "–"));
  const columns = [
    { name: "opener", title: h("span", { class: "off-screen" }, t("details.show")), cell: (/** @type {Detail} */ row) => h(Opener, { detail: row, open: row.id === opened }) },
    { name: "status", title: t("column.status"), cell: (/** @type {Detail} */ row) => h(Status, { status: shownStatus(row) }) },
    { name: "cluster", title: t("column.cluster"), cell: (/** @type {Detail} */ row) => name(row.remoteCluster, 20) },
    { name: "repository", title: t("column.repository"), rank: /** @type {2} */ (2), cell: (/** @type {Detail} */ row) => name(row.localRepoName, 24) },
    { name: "what", title: t("column.what"), cell: (/** @type {Detail} */ row) => name(subjectOf(row), 44) },
    { name: "version", title: t("column.version"), rank: /** @type {2} */ (2), cell: (/** @type {Detail} */ row) => name(shortVersionOf(row), 24) },
    { name: "size", title: t("column.size"), number: true, rank: /** @type {3} */ (3), cell: (/** @type {Detail} */ row) => formatBytes(row.size ?? row.progress.totalSize) },
    { name: "started", title: `${t("column.started")} (${zoneLabel()})`, rank: /** @type {3} */ (3), cell: (/** @type {Detail} */ row) => h(Time, { at: row.startTime }) },
    { name: "duration", title: t("column.duration"), number: true, rank: /** @type {2} */ (2), cell: (/** @type {Detail} */ row) => h(Duration, { record: row }) },
    { name: "why", title: t("column.reason"), rank: /** @type {3} */ (3), cell: (/** @type {Detail} */ row) => h("span", { class: "reason s-failed", title: row.errorReason ?? undefined }, row.errorReason ? h("bdi", null, row.errorReason) : "") },
  ];
  const properties = {
    caption,
    columns,
    rows: details,
    keyOf: (/** @type {Detail} */ row) => row.id,
    rowClass: (/** @type {Detail} */ row) => (gone?.has(row.id) ? "gone" : undefined),
    after: (/** @type {Detail} */ row) => (row.id === opened ? h(Facts, { detail: row }) : null),
  };
  return h(Table, /** @type {any} */ (properties));
}
