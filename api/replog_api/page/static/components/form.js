/** Forms whose fields begin with what the address says: what is typed stays while answers come, Back brings it back. */

import { h } from "preact";
import { useEffect, useRef } from "preact/hooks";

/**
 * @param {{
 *   stamp: string,
 *   take: (given: FormData) => void,
 *   label: string,
 *   search?: boolean,
 *   class?: string,
 *   children?: import("preact").ComponentChildren,
 * }} properties Another `stamp` sets the fields to their defaults.
 */
export function Form({ stamp, take, label, search = true, class: kind = "filters", children }) {
  /** @type {{current: HTMLFormElement | null}} */
  const form = useRef(null);
  useEffect(() => form.current?.reset(), [stamp]);
  const onSubmit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    take(new FormData(/** @type {HTMLFormElement} */ (event.currentTarget)));
  };
  return h("form", { ref: form, class: kind, role: search ? "search" : undefined, "aria-label": label, onSubmit }, children);
}

/** The text of a field. @param {FormData} given @param {string} name */
export function textOf(given, name) {
  return String(given.get(name) ?? "").trim();
}

/** @param {{id: string, name: string, value: string, required?: boolean}} properties */
export function TextField({ id, name, value, required }) {
  return h("input", { id, name, defaultValue: value, required, type: "search", autocomplete: "off", spellcheck: false, maxLength: 1024 });
}

/**
 * @param {{id: string, name: string, value: string, options: ReadonlyArray<readonly [value: string, text: string]>, eager?: boolean}} properties
 *   An `eager` choice is taken at once.
 */
export function ChoiceField({ id, name, value, options, eager = false }) {
  const onChange = (/** @type {Event} */ event) => /** @type {HTMLSelectElement} */ (event.currentTarget).form?.requestSubmit();
  return h("select", { id, name, onChange: eager ? onChange : undefined },
    options.map(([option, text]) => h("option", /** @type {any} */ ({ key: option, value: option, defaultSelected: option === value }), text)));
}
