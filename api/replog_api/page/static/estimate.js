/** When a running record will be done: a range, and what it is drawn from. Pure. */

/**
 * @typedef {{atMs: number, done: number}} Sample how many details had ended at a time
 * @typedef {{lowMs: number, highMs: number, source: "rate" | "history", count: number}} Estimate
 */

/** Shorter observations say nothing of a rate. */
const LEAST_MS = 5_000;
const LEAST_RUNS = 3;
/** How far the ends of the range are moved apart, for rates vary. */
const WIDENED = 1.15;

/**
 * @param {object} of
 * @param {number} of.whole details that there will be; 0 where nobody knows
 * @param {number} of.done
 * @param {number} of.elapsedMs since the record started
 * @param {ReadonlyArray<Sample>} of.samples what was seen of it lately, oldest first
 * @param {ReadonlyArray<number>} of.history how long finished runs of the task took, in ms
 * @returns {Estimate | null}
 */
export function estimate({ whole, done, elapsedMs, samples, history }) {
  return byRate(whole, done, elapsedMs, samples) ?? byHistory(elapsedMs, history);
}

/** @param {number} whole @param {number} done @param {number} elapsedMs @param {ReadonlyArray<Sample>} samples @returns {Estimate | null} */
function byRate(whole, done, elapsedMs, samples) {
  if (!whole || !done || done > whole || elapsedMs < LEAST_MS) return null;
  const rates = [done / elapsedMs];
  const [first, last] = [samples[0], samples[samples.length - 1]];
  if (first && last && last.atMs - first.atMs >= LEAST_MS && last.done > first.done) {
    rates.push((last.done - first.done) / (last.atMs - first.atMs));
  }
  const left = whole - done;
  return { lowMs: left / Math.max(...rates) / WIDENED, highMs: (left / Math.min(...rates)) * WIDENED, source: "rate", count: 0 };
}

/** @param {number} elapsedMs @param {ReadonlyArray<number>} history @returns {Estimate | null} */
function byHistory(elapsedMs, history) {
  if (history.length < LEAST_RUNS) return null;
  const sorted = [...history].sort((a, b) => a - b);
  const low = quantile(sorted, 0.25) - elapsedMs;
  const high = quantile(sorted, 0.75) - elapsedMs;
  return high > 0 ? { lowMs: Math.max(0, low), highMs: high, source: "history", count: history.length } : null;
}

/** @param {ReadonlyArray<number>} sorted ascending, not empty @param {number} part */
export function quantile(sorted, part) {
  const place = (sorted.length - 1) * part;
  const below = sorted[Math.floor(place)] ?? 0;
  const above = sorted[Math.ceil(place)] ?? below;
  return below + (above - below) * (place - Math.floor(place));
}

/**
 * How often a task usually runs: the median time between two starts; NaN where that cannot be said.
 *
 * @param {ReadonlyArray<number>} starts in ms, in any order
 */
export function usualIntervalMs(starts) {
  if (starts.length <= LEAST_RUNS) return NaN;
  const sorted = [...starts].sort((a, b) => a - b);
  const gaps = sorted.slice(1).map((start, index) => start - (sorted[index] ?? start)).sort((a, b) => a - b);
  return quantile(gaps, 0.5);
}
