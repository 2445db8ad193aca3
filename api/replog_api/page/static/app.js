/** The frame of every view, and which of them is shown. */

import { h } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { FreshnessBanner, Header } from "./components/header.js";
import { Patterns } from "./components/progress.js";
import { TokenDialog } from "./components/token_dialog.js";
import { t } from "./i18n/index.js";
import { usePreferences } from "./preferences.js";
import { usePlace } from "./url.js";
import { CompareView } from "./views/compare.js";
import { NowView } from "./views/now.js";
import { RecordView } from "./views/record.js";
import { TaskView } from "./views/task.js";
import { TasksView } from "./views/tasks.js";

const VIEWS = { now: NowView, tasks: TasksView, task: TaskView, record: RecordView, compare: CompareView };

/** The subject of a view: another one is drawn from nothing, and its heading gets the focus. @param {import("./url.js").Place} at */
function subject(at) {
  return `${at.view} ${at.query.get("key") ?? ""} ${at.query.get("id") ?? ""}`;
}

export function App() {
  const at = usePlace();
  const { language } = usePreferences();
  const shown = subject(at);
  const first = useRef(true);
  useEffect(() => {
    const heading = document.querySelector("h1");
    document.title = `${heading?.textContent ?? ""} · replog`;
    if (!first.current && heading instanceof HTMLElement) heading.focus({ preventScroll: true });
    first.current = false;
  }, [shown]);
  useEffect(() => {
    document.title = `${document.querySelector("h1")?.textContent ?? ""} · replog`;
  }, [language]);
  return h("div", { class: "page" },
    h("a", { class: "skip", href: "#content" }, t("app.skip")),
    h(Patterns, null),
    h(Header, null),
    h(FreshnessBanner, null),
    h("main", { id: "content", tabindex: -1 }, h(VIEWS[at.view], { key: shown })),
    h(TokenDialog, null));
}
