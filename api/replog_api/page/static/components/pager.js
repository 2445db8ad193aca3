/** Which rows of how many are seen, and the way to the others. */

import { h } from "preact";
import { formatCount } from "../format.js";
import { t } from "../i18n/index.js";
import { changedHref, usePlace } from "../url.js";

/** Rows on a page; the address may ask for more, up to the last of these. */
export const PAGE_SIZES = [50, 100, 200];

/** @param {import("../url.js").Place} at */
export function pageSize(at) {
  const size = Number(at.query.get("size"));
  return PAGE_SIZES.includes(size) ? size : 50;
}

/** @param {{data: import("../types.js").Page<unknown> | null}} properties */
export function Pager({ data }) {
  const at = usePlace();
  if (!data || !data.records.length) return null;
  const { pageNumber: page } = data;
  const pages = Number(data.totalPages);
  const first = (page - 1) * data.pageSize + 1;
  const range = { first: formatCount(first), last: formatCount(first + data.records.length - 1), total: formatCount(data.totalRecords) };
  /** @param {number} to @param {"page.previous" | "page.next"} label @param {string} sign */
  const step = (to, label, sign) =>
    to >= 1 && to <= pages
      ? h("a", { class: "button", href: changedHref(at, { page: to }), "aria-label": t(label), rel: label === "page.next" ? "next" : "prev" }, sign)
      : h("span", { class: "button disabled", "aria-hidden": "true" }, sign);
  return h("div", { class: "pager" },
    h("span", { class: "num" }, t("page.range", range)),
    Number(data.totalRecords) > PAGE_SIZES[0]
      ? h("span", { class: "sizes" }, t("page.size"), " ", PAGE_SIZES.map((size) =>
        size === data.pageSize
          ? h("strong", { key: size, class: "num" }, size)
          : h("a", { key: size, class: "num", href: changedHref(at, { size: size === PAGE_SIZES[0] ? null : size }) }, size)))
      : null,
    pages > 1 ? h("nav", { class: "steps", "aria-label": t("page.number", { page, pages }) }, step(page - 1, "page.previous", "‹"), h("span", { class: "num" }, t("page.number", { page: formatCount(page), pages: formatCount(pages) })), step(page + 1, "page.next", "›")) : null);
}
