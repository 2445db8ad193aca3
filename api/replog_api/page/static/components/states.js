/** What stands where rows would: that they come, that there are none and why, or what went wrong. */

import { h } from "preact";
import { UNKNOWN_RECORD, forgetToken } from "../api.js";
import { formatCount } from "../format.js";
import { t } from "../i18n/index.js";
import { changedHref, usePlace } from "../url.js";
import { Countdown } from "./clock.js";
import { CopyButton } from "./ident.js";

/**
 * @typedef {import("../api.js").ApiError} ApiError
 * @typedef {import("../poll.js").Polled} Polled
 */

/** @param {ApiError} error */
function sentence(error) {
  if (error.status === 0) return t("state.unreachable");
  if (error.status === 429) return t("state.limited", { message: error.message });
  if (error.status === 503) return t("state.busy", { message: error.message });
  if (error.status === 403) return `${t("state.forbidden")}: ${error.message}`;
  if (error.code === UNKNOWN_RECORD) return `${t("state.unknownRecord")}. ${t("state.unknownRecordWhy")}`;
  return `${t("state.error")}: ${error.message} (${error.status})`;
}

/**
 * The last error of what is polled, above the rows that are still there.
 *
 * @param {{of: Pick<Polled, "error" | "retryAtMs" | "refresh">}} properties
 */
export function Problem({ of }) {
  const { error, retryAtMs, refresh } = of;
  // For a token there is a dialog.
  if (!error || error.status === 401) return null;
  return h("div", { class: "problem", role: "alert" },
    h("span", null, sentence(error)),
    retryAtMs ? h(Countdown, { atMs: retryAtMs, text: (age) => t("state.retryIn", { age }) }) : null,
    error.status === 403
      ? h("button", { type: "button", class: "button", onClick: forgetToken }, t("state.otherToken"))
      : h("button", { type: "button", class: "button", onClick: refresh }, t("state.retry")),
    error.traceId ? h("span", { class: "trace muted" }, t("state.trace"), " ", h("code", null, error.traceId), h(CopyButton, { text: error.traceId })) : null);
}

export function Loading() {
  return h("p", { class: "empty muted", "aria-busy": "true" }, t("state.loading"));
}

/** @param {{children: import("preact").ComponentChildren}} properties */
export function Empty({ children }) {
  return h("p", { class: "empty" }, children);
}

/** No row matches: offers to do without the filters. @param {{filters: readonly string[]}} properties */
export function NoMatch({ filters }) {
  const at = usePlace();
  const cleared = Object.fromEntries(filters.map((name) => [name, null]));
  return h("p", { class: "empty" }, t("state.noMatch"), " ", h("a", { href: changedHref(at, cleared) }, t("state.clear")));
}

/** A page that does not exist: offers the last one. @param {{page: number, pages: number}} properties */
export function PastEnd({ page, pages }) {
  const at = usePlace();
  return h("p", { class: "empty" }, t("state.pastEnd", { page, pages }), " ",
    h("a", { href: changedHref(at, { page: pages }) }, t("state.lastPage")));
}

/** That a list is longer than what is shown of it; nothing where it is not. @param {{shown: number, total: number}} properties */
export function Cut({ shown, total }) {
  return total > shown ? h("p", { class: "muted" }, t("state.cut", { shown: formatCount(shown), total: formatCount(total) })) : null;
}

/**
 * Why a page has no rows; null where it has some.
 *
 * @param {{data: import("../types.js").Page<unknown> | null, of: Polled, filters: readonly string[], none: string}} properties
 */
export function NoRows({ data, of, filters, none }) {
  const at = usePlace();
  if (!data) return of.error ? null : h(Loading, null);
  if (data.records.length) return null;
  if (data.totalPages) return h(PastEnd, { page: data.pageNumber, pages: Number(data.totalPages) });
  return filters.some((name) => at.query.get(name)) ? h(NoMatch, { filters }) : h(Empty, null, none);
}
