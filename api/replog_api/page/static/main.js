/** The entry: watches the address and the reader's attention, and draws the page. */

import { h, render } from "preact";
import { App } from "./app.js";
import { watchAttention } from "./attention.js";
import { preferences } from "./preferences.js";
import { followLinks } from "./url.js";

/** The theme and the language, for the style sheet and for screen readers. */
function showPreferences() {
  const { theme, language } = preferences.value;
  document.documentElement.dataset.theme = theme;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}

showPreferences();
preferences.subscribe(showPreferences);
followLinks();
watchAttention();
const root = document.getElementById("app");
if (root) {
  root.replaceChildren();
  render(h(App, null), root);
}
