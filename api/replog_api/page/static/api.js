/**
 * The query API, as the page asks it: with the user's token, always in UTC, and conditionally by script, so that a 304
 * and its fresh as-of are seen.
 */

import { parseJson } from "./json.js";
import { preferences, setToken, token } from "./preferences.js";
import { Store } from "./store.js";
import { BASE } from "./url.js";

/**
 * @typedef {Record<string, string | number | readonly string[] | null | undefined>} Parameters Empty ones are left out.
 * @typedef {object} Answer
 * @property {any} data
 * @property {number} asOfMs up to when events are in it; NaN where nobody knows
 * @property {number} lagMs how far that was behind the service's clock when it was read
 * @property {number} readMs when it was read, by this machine's clock
 */

const ROOT = new URL("../replication/api/task/", BASE);
const MOST_KEPT = 100;
const TIMEOUT_MS = 20_000;
/** As-ofs before this say that nobody knows yet. */
const KNOWN_FROM_MS = Date.UTC(2000, 0, 1);

/** An answer that is none. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 where nobody answered
   * @param {string} message the API's own sentence
   * @param {{code?: number, traceId?: string, retryAfterS?: number}} [more]
   */
  constructor(status, message, { code = 0, traceId = "", retryAfterS = 0 } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.traceId = traceId;
    this.retryAfterS = retryAfterS;
  }
}

/** The code of an unknown record. */
export const UNKNOWN_RECORD = 250310;

/** Whether the service wants a token, or another one. @type {Store<boolean>} */
export const tokenWanted = new Store(false);
token.subscribe(() => tokenWanted.set(false));

/** @type {Map<string, {etag: string, data: any}>} */
const kept = new Map();
token.subscribe(() => kept.clear());

/** @param {string} path @param {Parameters} [parameters] */
export function apiUrl(path, parameters = {}) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(parameters)) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(one));
  }
  return url.href;
}

/**
 * What an endpoint below `record`, such as `detail/page`, says of one id or key.
 *
 * @param {string} endpoint "" for the record itself
 * @param {string} id
 * @param {Parameters} [parameters]
 */
export function idUrl(endpoint, id, parameters = {}) {
  const path = endpoint ? `record/${endpoint}/` : "record/";
  // Browsers take these two for a way through folders, also percent-encoded.
  if (id === "." || id === "..") return apiUrl(path, { ...parameters, id });
  return apiUrl(path + encodeURIComponent(id), parameters);
}

/** The pages of a task's runs. @param {string} key @param {Parameters} parameters */
export function runsUrl(key, parameters) {
  return idUrl("page", key, parameters);
}

/** @param {Record<string, string>} [more] */
export function requestHeaders(more = {}) {
  /** @type {Record<string, string>} */
  const headers = { "X-BKREPO-TIME-ZONE": "UTC", "Accept-Language": preferences.value.language, ...more };
  if (token.value) headers.Authorization = `Bearer ${token.value}`;
  return headers;
}

/**
 * A request that is answered well, or an ApiError.
 *
 * @param {string} url
 * @param {{headers?: Record<string, string>, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>} its status is 200, 204 or 304
 */
export async function request(url, { headers, signal } = {}) {
  let response;
  try {
    response = await fetch(url, { headers: requestHeaders(headers), cache: "no-store", credentials: "same-origin", signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "");
  }
  if (response.ok || response.status === 304) return response;
  throw await errorOf(response);
}

/** @param {Response} response */
async function errorOf(response) {
  const body = await response.json().catch(() => null);
  if (response.status === 401) tokenWanted.set(true);
  return new ApiError(response.status, typeof body?.message === "string" ? body.message : response.statusText, {
    code: Number(body?.code ?? 0),
    traceId: typeof body?.traceId === "string" ? body.traceId : "",
    retryAfterS: Number(response.headers.get("Retry-After") ?? 0) || 0,
  });
}

/**
 * The data of an answer.
 *
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<Answer>}
 */
export async function get(url, signal) {
  const known = kept.get(url);
  const within = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    const response = await request(url, { headers: known ? { "If-None-Match": known.etag } : {}, signal: within });
    if (response.status === 304 && known) return { data: known.data, ...freshnessOf(response) };
    const { data } = parseJson(await response.text());
    keep(url, response.headers.get("ETag"), data);
    return { data, ...freshnessOf(response) };
  } catch (error) {
    if (error instanceof ApiError || signal.aborted) throw error;
    throw new ApiError(0, "");
  }
}

/** @param {string} url @param {string | null} etag @param {any} data */
function keep(url, etag, data) {
  kept.delete(url);
  if (!etag) return;
  kept.set(url, { etag, data });
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value ?? "");
}

/** @param {Response} response */
function freshnessOf(response) {
  const asOf = Date.parse(response.headers.get("X-Replog-As-Of") ?? "");
  // The service's clock, to the second; where it is not told, this machine's.
  const now = Date.parse(response.headers.get("Date") ?? "") || Date.now();
  const known = asOf >= KNOWN_FROM_MS;
  return { asOfMs: known ? asOf : NaN, lagMs: known ? Math.max(0, now - asOf) : NaN, readMs: Date.now() };
}

/** Forget the token: the next answer asks for one. */
export function forgetToken() {
  setToken("", false);
  tokenWanted.set(true);
}
