/** The head of every view: where one can go, how fresh the data is, and how it is shown. */

import { h } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { paused, reading } from "../attention.js";
import { useFreshness } from "../freshness.js";
import { t } from "../i18n/index.js";
import { prefer, setToken, token, usePreferences } from "../preferences.js";
import { useStore } from "../store.js";
import { formatAge, formatTime, fullTime, zoneLabel } from "../time.js";
import { go, href, usePlace } from "../url.js";
import { Form, textOf } from "./form.js";

const VIEWS = /** @type {const} */ (["now", "tasks", "compare"]);
/** Which entry of the navigation a view belongs to. */
const BELONGS = { now: "now", tasks: "tasks", task: "tasks", record: "tasks", compare: "compare" };

function Navigation() {
  const { view } = usePlace();
  return h("nav", { class: "views", "aria-label": t("app.navigation") },
    VIEWS.map((name) => h("a", { key: name, href: href(name), "aria-current": name === view ? "page" : BELONGS[view] === name ? "true" : undefined }, t(`nav.${name}`))));
}

function OpenRecord() {
  const at = usePlace();
  const take = (/** @type {FormData} */ given) => textOf(given, "id") && go(href("record", { id: textOf(given, "id") }));
  return h(Form, { label: t("nav.open"), take, class: "open-record", stamp: `${at.view} ${at.query.get("id")}` },
    h("input", { name: "id", type: "search", placeholder: t("open.label"), "aria-label": t("open.label"), autocomplete: "off", spellcheck: false }),
    h("button", { type: "submit", class: "button" }, t("open.button")));
}

function FreshnessLine() {
  const { state, asOfMs, behind } = useFreshness();
  const title = `${t("fresh.explain")}${Number.isNaN(asOfMs) ? "" : ` ${fullTime(asOfMs)}`}`;
  /** @type {string} */
  let text = t("fresh.asOf", { time: formatTime(asOfMs), age: formatAge(behind) });
  if (state === "none") text = t("fresh.none");
  if (state === "unknown") text = t("fresh.unknown");
  return h("span", { class: `freshness f-${state}`, "data-freshness": state, title }, h("span", { class: "dot", "aria-hidden": "true" }), text);
}

/** Says in words, over the whole width, that what is shown is old. */
export function FreshnessBanner() {
  const { state, behind } = useFreshness();
  const pause = useStore(paused);
  if (state !== "old") return null;
  return h("div", { class: "banner", role: "status" },
    h("strong", null, t("fresh.old", { age: formatAge(behind) })), " ",
    pause ? t("fresh.oldPaused") : t("fresh.oldWhy"));
}

function PauseButton() {
  const pause = useStore(paused);
  const held = useStore(reading);
  return h("span", { class: "pause" },
    h("button", { type: "button", class: pause ? "button active" : "button", "aria-pressed": pause, onClick: () => paused.set(!pause) }, pause ? t("pause.resume") : t("pause.button")),
    held && !pause ? h("span", { class: "muted held" }, t("pause.reading")) : null);
}

/** A disclosure that Escape and a click elsewhere close. */
function useMenu() {
  /** @type {{current: HTMLDetailsElement | null}} */
  const menu = useRef(null);
  useEffect(() => {
    const onClick = (/** @type {MouseEvent} */ event) => {
      if (menu.current && !(event.target instanceof Node && menu.current.contains(event.target))) menu.current.open = false;
    };
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Escape" || !menu.current?.open) return;
      menu.current.open = false;
      menu.current.querySelector("summary")?.focus();
    };
    document.addEventListener("click", onClick);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("click", onClick);
      document.removeEventListener("keydown", onKey);
    };
  }, []);
  return menu;
}

function Settings() {
  const { theme, zone, language } = usePreferences();
  const known = useStore(token);
  const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zones = Intl.supportedValuesOf("timeZone");
  /** @param {string} value @param {string} text @param {string} chosen */
  const option = (value, text, chosen) => h("option", { key: value, value, selected: value === chosen }, text);
  const themes = /** @type {const} */ (["auto", "light", "dark"]);
  return h("details", { class: "settings", ref: useMenu() },
    h("summary", { class: "button", "aria-label": `${t("app.settings")}, ${zoneLabel()}` }, zoneLabel(), h("span", { "aria-hidden": "true" }, " ▾")),
    h("div", { class: "settings-panel" },
      h("div", { class: "field" }, h("label", { for: "zone" }, t("setting.zone")),
        h("select", { id: "zone", onChange: (/** @type {Event} */ event) => prefer({ zone: /** @type {HTMLSelectElement} */ (event.currentTarget).value }) },
          option("local", t("zone.local", { zone: local }), zone),
          option("UTC", "UTC", zone),
          h("optgroup", { label: t("zone.others") }, zones.filter((name) => name !== "UTC").map((name) => option(name, name, zone))))),
      h("div", { class: "field" }, h("label", { for: "theme" }, t("setting.theme")),
        h("select", { id: "theme", onChange: (/** @type {Event} */ event) => prefer({ theme: /** @type {any} */ (/** @type {HTMLSelectElement} */ (event.currentTarget).value) }) },
          themes.map((name) => option(name, t(`theme.${name}`), theme)))),
      h("div", { class: "field" }, h("label", { for: "language" }, t("setting.language")),
        h("select", { id: "language", onChange: (/** @type {Event} */ event) => prefer({ language: /** @type {any} */ (/** @type {HTMLSelectElement} */ (event.currentTarget).value) }) },
          option("en", "English", language), option("zh", "中文", language))),
      known ? h("button", { type: "button", class: "button", onClick: () => setToken("", false) }, t("token.forget")) : null));
}

export function Header() {
  const { language } = usePreferences();
  const other = language === "en" ? "zh" : "en";
  return h("header", { class: "head" },
    h("a", { class: "brand", href: href("now") },
      h("svg", { viewBox: "0 0 16 16", class: "mark", "aria-hidden": "true", focusable: "false" },
        h("rect", { width: 16, height: 16, rx: 3.5, class: "mark-ground" }),
        h("path", { d: "M3.5 5h9M3.5 8h6M3.5 11h8", class: "mark-lines" })), "replog"),
    h(Navigation, null),
    h(OpenRecord, null),
    h("div", { class: "tools" },
      h(FreshnessLine, null),
      h(PauseButton, null),
      h(Settings, null),
      h("button", { type: "button", class: "button", lang: other, onClick: () => prefer({ language: other }) }, other === "zh" ? "中文" : "English")));
}
