/** Asks for a token when the service wants one; afterwards the same address is shown. */

import { h } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { tokenWanted } from "../api.js";
import { t } from "../i18n/index.js";
import { setToken } from "../preferences.js";
import { useStore } from "../store.js";

export function TokenDialog() {
  const wanted = useStore(tokenWanted);
  /** @type {{current: HTMLDialogElement | null}} */
  const dialog = useRef(null);
  useEffect(() => {
    if (wanted && !dialog.current?.open) dialog.current?.showModal();
    if (!wanted) dialog.current?.close();
  }, [wanted]);
  const onSubmit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.currentTarget);
    const given = new FormData(form);
    const text = String(given.get("token")).trim();
    if (text) setToken(text, given.get("keep") !== null);
    form.reset();
  };
  return h("dialog", { ref: dialog, class: "token", "aria-labelledby": "token-title", onCancel: (/** @type {Event} */ event) => event.preventDefault() },
    h("form", { onSubmit },
      h("h2", { id: "token-title" }, t("token.title")),
      h("p", null, t("token.text")),
      h("label", { for: "token" }, t("token.label")),
      h("input", { id: "token", name: "token", type: "password", autocomplete: "off", required: true, autofocus: true }),
      h("label", { class: "check" }, h("input", { type: "checkbox", name: "keep" }), " ", t("token.keep")),
      h("button", { type: "submit", class: "button primary" }, t("token.use"))));
}
