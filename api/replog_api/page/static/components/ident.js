/** Ids and names: shortened in the middle, copied whole, kept apart from the direction of the text around. */

import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { shortened } from "../format.js";
import { t } from "../i18n/index.js";

const SAID_MS = 2000;

/** Copy also where the page came over plain HTTP, for which browsers have no clipboard. @param {string} text */
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "off-screen";
  area.readOnly = true;
  const focused = document.activeElement;
  // Inside an open dialog nothing else can be focused.
  (focused?.closest("dialog") ?? document.body).append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  if (!copied) throw new Error("not copied");
}

/** @param {{text: string, label?: string, children?: import("preact").ComponentChildren}} properties */
export function CopyButton({ text, label, children }) {
  const [said, setSaid] = useState("");
  /** @type {{current: ReturnType<typeof setTimeout> | undefined}} */
  const timer = useRef(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  /** @param {string} words */
  const say = (words) => {
    setSaid(words);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setSaid(""), SAID_MS);
  };
  const onClick = () => copy(text).then(() => say(t("copy.done")), () => say(t("copy.failed")));
  const name = label ?? t("copy.button");
  const icon = h("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    h("path", { d: "M5.5 5.5V3h7.5v7.5h-2.5M3 5.5h7.5V13H3z", fill: "none", stroke: "currentColor", "stroke-width": 1.3, "stroke-linejoin": "round" }));
  return h("span", { class: "copy" },
    h("button", { type: "button", class: children ? "button" : "icon-button", onClick, title: name, "aria-label": children ? undefined : `${name}: ${text}` }, children ?? icon),
    h("span", { class: said ? "said" : "off-screen", role: "status" }, said));
}

/**
 * @param {{text: string, most?: number, mono?: boolean}} properties
 */
export function Name({ text, most = 40, mono = false }) {
  const shown = shortened(text, most);
  return h("bdi", { class: mono ? "mono" : undefined, title: shown === text ? undefined : text }, shown);
}

/** An id that leads somewhere. @param {{text: string, href: string, most?: number}} properties */
export function IdLink({ text, href, most = 13 }) {
  return h("a", { href, class: "mono" }, h(Name, { text, most }));
}
