/** A record: live at its head; its clusters, failures and details below. */

import { h } from "preact";
import { useEffect } from "preact/hooks";
import { idUrl } from "../api.js";
import { shownTab, Tabs } from "../components/tabs.js";
import { Empty, Problem } from "../components/states.js";
import { CopyButton } from "../components/ident.js";
import { formatCount } from "../format.js";
import { t } from "../i18n/index.js";
import { RECORD_MS, usePolled } from "../poll.js";
import { useStream } from "../stream.js";
import { usePlace } from "../url.js";
import { RecordClusters } from "./record_clusters.js";
import { RecordDetails } from "./record_details.js";
import { RecordFailures } from "./record_failures.js";
import { RecordHead } from "./record_head.js";

const TABS = /** @type {const} */ (["clusters", "failures", "details"]);
/** How often it is looked at once it is finished: a retry may put it back to RUNNING. */
export const FINISHED_MS = 30_000;

/** The record by its stream, which begins again when the record does. @param {string} id */
function useRecord(id) {
  const watched = useStream(id);
  const over = watched.state === "final";
  const later = usePolled(over ? idUrl("", id) : null, FINISHED_MS);
  const runsAgain = over && later.data?.record.status === "RUNNING";
  useEffect(() => {
    if (runsAgain) watched.refresh();
  }, [runsAgain]);
  return watched;
}

export function RecordView() {
  const at = usePlace();
  const id = at.query.get("id") ?? "";
  const watched = useRecord(id);
  if (!id) return h("div", { class: "view" }, h("h1", { tabindex: -1 }, t("record.missing")));
  const tab = shownTab(at, TABS);
  const run = watched.run;
  const everyMs = run && run.record.status !== "RUNNING" ? FINISHED_MS : RECORD_MS;
  const failed = run ? run.record.replicaOverview.failed : 0;
  const tabs = [
    { name: "clusters", title: t("record.clusters") },
    { name: "failures", title: [t("record.failures"), Number(failed) ? h("span", { class: "count s-failed" }, formatCount(failed)) : null] },
    { name: "details", title: [t("record.details"), run ? h("span", { class: "count" }, formatCount(run.record.replicaOverview.total)) : null] },
  ];
  const shown = { clusters: RecordClusters, failures: RecordFailures, details: RecordDetails }[tab];
  return h("div", { class: "view record" },
    h(RecordHead, { id, watched }),
    h(Problem, { of: watched }),
    watched.state === "removed" ? h(Empty, null, t("record.removed")) : null,
    h("div", { class: "tab-bar" }, h(Tabs, { label: t("record.view"), tabs, shown: tab, subject: { id } }), h(CopyButton, { text: location.href, label: t("copy.link") }, t("copy.link"))),
    h(shown, { id, everyMs }));
}
