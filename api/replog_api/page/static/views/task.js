import { h } from "preact";
export function TaskView() { return h("h1", { tabindex: -1 }, "task"); }
