/** What screen readers hear of what changes by itself: the newest text, at most one in ten seconds. */

import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const APART_MS = 10_000;

/** @param {{text: string}} properties */
export function Announcer({ text }) {
  const [said, setSaid] = useState("");
  const last = useRef({ text, atMs: -Infinity });
  useEffect(() => {
    if (text === last.current.text) return undefined;
    const say = () => {
      last.current = { text, atMs: Date.now() };
      setSaid(text);
    };
    const timer = setTimeout(say, Math.max(0, last.current.atMs + APART_MS - Date.now()));
    return () => clearTimeout(timer);
  }, [text]);
  return h("div", { class: "off-screen", role: "status", "aria-live": "polite" }, said);
}
