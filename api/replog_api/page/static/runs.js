/** The last runs of the tasks that a view shows, asked for together. */

import { useMemo } from "preact/hooks";
import { apiUrl } from "./api.js";
import { LISTS_MS, usePolled } from "./poll.js";

/** Runs that a strip shows, and task keys that one URL holds. */
export const LAST_RUNS = 20;
const MOST_KEYS = 100;

/**
 * @param {ReadonlyArray<string>} keys
 * @returns {(key: string) => import("./types.js").ShortRun[] | null} null until they are known
 */
export function useLastRuns(keys) {
  const list = [...new Set(keys)].sort().slice(0, MOST_KEYS);
  const url = list.length ? apiUrl("runs", { key: list, last: LAST_RUNS }) : null;
  const { data } = usePolled(url, LISTS_MS);
  const byKey = useMemo(() => new Map((data ?? []).map((/** @type {import("./types.js").TaskRuns} */ task) => [task.taskKey, task.runs])), [data]);
  return (key) => byKey.get(key) ?? null;
}
