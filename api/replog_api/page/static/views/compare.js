import { h } from "preact";
export function CompareView() { return h("h1", { tabindex: -1 }, "compare"); }
