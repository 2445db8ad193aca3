import { h } from "preact";
export function RecordView() { return h("h1", { tabindex: -1 }, "record"); }
