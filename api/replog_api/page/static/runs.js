/** The last runs of the tasks that a view shows, asked for together. */

import { apiUrl } from "./api.js";
import { LISTS_MS, usePolled } from "./poll.js";

/** @typedef {import("./types.js").TaskRuns} TaskRuns */

/** Runs that a strip shows, and keys of one request: the API gives 2,000 runs at once. */
export const LAST_RUNS = 20;
const MOST_KEYS = 100;
/** Proxies refuse longer URLs. */
const MOST_URL_CHARACTERS = 6_000;
/** Requests for one view: 200 keys of 128 characters that are percent-encoded once each. */
const REQUESTS = /** @type {const} */ ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);

/**
 * The requests that ask for the last runs of `keys`, none of them too long.
 *
 * @param {ReadonlyArray<string>} keys
 */
export function runsUrls(keys) {
  /** @type {Array<{keys: string[], characters: number}>} */
  const parts = [];
  for (const key of [...new Set(keys)].sort()) {
    const characters = encodeURIComponent(key).length + "&key=".length;
    const last = parts[parts.length - 1];
    if (last && last.keys.length < MOST_KEYS && last.characters + characters <= MOST_URL_CHARACTERS) {
      last.keys.push(key);
      last.characters += characters;
    } else parts.push({ keys: [key], characters });
  }
  return parts.map((part) => apiUrl("runs", { key: part.keys, last: LAST_RUNS }));
}

/**
 * @param {ReadonlyArray<string>} keys
 * @returns {(key: string) => import("./types.js").ShortRun[] | null} null until they are known
 */
export function useLastRuns(keys) {
  const urls = runsUrls(keys);
  const answers = REQUESTS.map((index) => usePolled(urls[index] ?? null, LISTS_MS).data);
  const tasks = answers.flatMap((data) => /** @type {TaskRuns[]} */ (data ?? []));
  const byKey = new Map(tasks.map((task) => [task.taskKey, task.runs]));
  return (key) => byKey.get(key) ?? null;
}
