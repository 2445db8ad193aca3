/** A record's details: every filter, pages, and the export of what matches. */

import { h } from "preact";
import { idUrl } from "../api.js";
import { Export } from "../components/export.js";
import { Chips, Filters } from "../components/filters.js";
import { Newer, usePinned } from "../components/newer.js";
import { Pager, pageSize } from "../components/pager.js";
import { NoRows, Problem } from "../components/states.js";
import { t } from "../i18n/index.js";
import { usePolled } from "../poll.js";
import { pageNumber, usePlace } from "../url.js";
import { DetailsTable } from "./details_table.js";

const FIRST = /** @type {const} */ (["status", "remoteCluster", "localRepoName", "packageName"]);
const MORE = /** @type {const} */ (["artifactName", "path", "version", "clusterName", "repoName"]);
const FILTERS = [...FIRST, ...MORE];

/** @param {{id: string, everyMs: number}} properties */
export function RecordDetails({ id, everyMs }) {
  const at = usePlace();
  const filters = Object.fromEntries(FILTERS.map((name) => [name, at.query.get(name)]));
  const url = idUrl("detail/page", id, { ...filters, pageNumber: pageNumber(at), pageSize: pageSize(at) });
  const of = usePolled(url, everyMs);
  const pinned = usePinned(/** @type {import("../types.js").Detail[] | null} */ (of.data && of.data.records), (row) => row.id, url);
  return h("div", { class: "view" },
    h("div", { class: "toolbar" }, h(Filters, { names: FIRST, more: MORE, label: t("record.details") }), h(Newer, { pinned })),
    h(Chips, { names: FILTERS }),
    h(Problem, { of }),
    h(NoRows, { data: of.data, of, filters: FILTERS, none: t("details.none") }),
    pinned.rows.length ? h(DetailsTable, { details: pinned.rows, gone: pinned.gone, caption: t("record.details") }) : null,
    h(Pager, { data: of.data }),
    of.data && Number(of.data.totalRecords) ? h(Export, { id, filters }) : null);
}
