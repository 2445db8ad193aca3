/** Exports what matches the filters. Read by fetch, because a token is a header, and a cut is to be seen. */

import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, idUrl, request } from "../api.js";
import { formatBytes } from "../format.js";
import { t } from "../i18n/index.js";
import { Problem } from "./states.js";

/** @typedef {"csv" | "ndjson"} Format */

const LAST_LINE = /\{"rows":\d+\}\s*$/;
const TAIL_BYTES = 64;

/** A name that every file system takes. @param {string} id @param {Format} format */
function fileName(id, format) {
  return `replog-${id.replace(/[^\w.-]+/g, "_").slice(0, 80)}.${format}`;
}

/**
 * The parts of the answer; browsers keep a large blob of them on disk.
 *
 * @param {Response} response
 * @param {(bytes: number) => void} told
 */
async function collected(response, told) {
  /** @type {BlobPart[]} */
  const parts = [];
  let bytes = 0;
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    parts.push(part.value);
    bytes += part.value.length;
    told(bytes);
  }
  return new Blob(parts, { type: response.headers.get("Content-Type") ?? "" });
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param {Blob} blob @param {Format} format */
async function isWhole(blob, format) {
  return format === "csv" || LAST_LINE.test(await blob.slice(-TAIL_BYTES).text());
}

/** @param {{id: string, filters: import("../api.js").Parameters}} properties of a record */
export function Export({ id, filters }) {
  const [said, setSaid] = useState("");
  const [error, setError] = useState(/** @type {ApiError | null} */ (null));
  /** @type {{current: AbortController | null}} */
  const running = useRef(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => () => running.current?.abort(), []);
  /** @param {Format} format */
  const start = async (format) => {
    const own = (running.current = new AbortController());
    setError(null);
    setBusy(true);
    setSaid(t("export.running", { bytes: formatBytes(0) }));
    try {
      const response = await request(idUrl("detail/export", id, { ...filters, format }), { signal: own.signal });
      const blob = await collected(response, (bytes) => setSaid(t("export.running", { bytes: formatBytes(bytes) })));
      if (!(await isWhole(blob, format))) throw new Error("cut");
      save(blob, fileName(id, format));
      setSaid(t("export.done", { bytes: formatBytes(blob.size) }));
    } catch (problem) {
      if (problem instanceof ApiError) setError(problem);
      setSaid(own.signal.aborted || problem instanceof ApiError ? "" : t("export.cut"));
    } finally {
      setBusy(false);
    }
  };
  const button = (/** @type {Format} */ format) => h("button", { type: "button", class: "button", disabled: busy, onClick: () => start(format), title: t(`export.${format}`) }, `${t("export.button")} ${format.toUpperCase()}`);
  return h("div", { class: "export", role: "group", "aria-label": t("export.button") },
    button("csv"), button("ndjson"),
    busy ? h("button", { type: "button", class: "button", onClick: () => running.current?.abort() }, t("export.cancel")) : null,
    h("span", { class: "muted num" }, said || t("export.explain")),
    h(Problem, { of: { error, retryAtMs: 0, refresh: () => setError(null) } }));
}
