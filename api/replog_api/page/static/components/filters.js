/** Filters: a form that writes the address, and a chip for each that holds. */

import { h } from "preact";
import { t } from "../i18n/index.js";
import { changedHref, go, usePlace } from "../url.js";
import { ChoiceField, Form, TextField, textOf } from "./form.js";
import { Name } from "./ident.js";

/**
 * @typedef {"prefix" | "status" | "remoteCluster" | "localRepoName" | "clusterName" | "repoName" | "packageName" | "path" | "artifactName" | "version"} FilterName
 */

const STATUSES = /** @type {const} */ (["FAILED", "RUNNING", "SUCCESS"]);

/** @param {string} name @param {string} value */
function valueText(name, value) {
  return name === "status" && (value === "FAILED" || value === "RUNNING" || value === "SUCCESS") ? t(`status.${value}`) : value;
}

/** @param {{name: FilterName, value: string}} properties */
function Field({ name, value }) {
  const id = `filter-${name}`;
  const options = /** @type {Array<[string, string]>} */ ([["", t("filter.any")], ...STATUSES.map((status) => [status, t(`status.${status}`)])]);
  const input = name === "status" ? h(ChoiceField, { id, name, value, options, eager: true }) : h(TextField, { id, name, value });
  return h("div", { class: `field field-${name}` }, h("label", { for: id }, t(`filter.${name}`)), input);
}

/**
 * @param {{names: readonly FilterName[], more?: readonly FilterName[], label: string}} properties `more` are behind a
 *   disclosure, which is open where one of them holds.
 */
export function Filters({ names, more = [], label }) {
  const at = usePlace();
  const value = (/** @type {FilterName} */ name) => at.query.get(name) ?? "";
  const field = (/** @type {FilterName} */ name) => h(Field, { key: name, name, value: value(name) });
  const take = (/** @type {FormData} */ given) => go(changedHref(at, Object.fromEntries([...names, ...more].map((name) => [name, textOf(given, name)]))));
  return h(Form, { label, take, stamp: at.query.toString() },
    h("div", { class: "fields" }, names.map(field), h("button", { type: "submit", class: "button" }, t("filter.apply"))),
    more.length ? h("details", { open: more.some(value), class: "more-filters" }, h("summary", null, t("filter.more")), h("div", { class: "fields" }, more.map(field))) : null);
}

/** @param {{names: readonly FilterName[]}} properties */
export function Chips({ names }) {
  const at = usePlace();
  const held = names.filter((name) => at.query.get(name));
  if (!held.length) return null;
  return h("div", { class: "chips" },
    h("span", { class: "muted" }, t("filter.active")),
    held.map((name) => {
      const text = valueText(name, at.query.get(name) ?? "");
      return h("a", { key: name, class: "chip", href: changedHref(at, { [name]: null }), "aria-label": t("filter.remove", { name: `${t(`filter.${name}`)} ${text}` }) },
        h("span", { class: "muted" }, t(`filter.${name}`)), " ", h(Name, { text, most: 36 }), h("span", { "aria-hidden": "true" }, " ×"));
    }),
    h("a", { href: changedHref(at, Object.fromEntries(names.map((name) => [name, null]))) }, t("filter.clear")));
}
