/** The last runs of a task in a row: a bar for each, as high as it took long, of the colour and shape of its status. */

import { h } from "preact";
import { t } from "../i18n/index.js";
import { formatDuration, formatTime, parseTime } from "../time.js";
import { shownStatus } from "./status.js";

/** @typedef {import("../types.js").ShortRun} ShortRun */

const STEP = 7;
const HEIGHT = 20;
const LEAST = 4;

/** @param {{runs: ReadonlyArray<ShortRun> | null, slots?: number}} properties */
export function Strip({ runs, slots = 20 }) {
  if (!runs) return h("span", { class: "strip" });
  if (!runs.length) return h("span", { class: "muted" }, t("strip.none"));
  const ordered = [...runs].reverse();
  const took = ordered.map((run) => (run.endTime ? parseTime(run.endTime) : Date.now()) - parseTime(run.startTime));
  // One that runs on for ever would press all others flat.
  const longest = Math.max(...took.filter((_, index) => ordered[index]?.endTime), 1);
  const statuses = ordered.map((run) => t(`status.${shownStatus(run)}`)).join(", ");
  const bars = ordered.map((run, index) => {
    const height = Math.max(LEAST, Math.round(Math.min(1, (took[index] ?? 0) / longest) * HEIGHT));
    const x = (slots - ordered.length + index) * STEP;
    const title = `${t(`status.${shownStatus(run)}`)} · ${formatTime(parseTime(run.startTime))} · ${formatDuration(took[index] ?? 0)}`;
    const failed = run.status === "FAILED";
    return h("g", { key: run.id },
      h("title", null, title),
      h("rect", { x, y: 0, width: STEP, height: HEIGHT + 4, class: "strip-ground" }),
      h("rect", { x: x + 1, y: HEIGHT + 2 - height, width: STEP - 2, height, rx: 1, class: `strip-${run.status.toLowerCase()}` }),
      failed ? h("path", { d: `M${x + 1.2} ${HEIGHT + 3.5}h4.6`, class: "strip-mark" }) : null);
  });
  // The runs themselves are rows of the task's page; here, a picture of them is enough for who does not see it.
  return h("svg", { class: "strip", width: slots * STEP, height: HEIGHT + 5, viewBox: `0 0 ${slots * STEP} ${HEIGHT + 5}`, role: "img", "aria-label": t("strip.label", { count: ordered.length, statuses }) }, bars);
}
