/**
 * Whether somebody reads: then tables stand still. The focus or a selection in a table and the Pause button
 * hold; a hidden tab asks nothing at all.
 */

import { Store } from "./store.js";

/** The user's Pause. @type {Store<boolean>} */
export const paused = new Store(false);
/** Focus or selection inside a table. @type {Store<boolean>} */
export const reading = new Store(false);
/** @type {Store<boolean>} */
export const visible = new Store(document.visibilityState !== "hidden");

/** Whether polls go on. */
export function isFree() {
  return visible.value && !paused.value && !reading.value;
}

/** @param {() => void} listener @returns {() => void} ends the subscription */
export function onAttention(listener) {
  const ends = [paused, reading, visible].map((store) => store.subscribe(listener));
  return () => {
    for (const end of ends) end();
  };
}

/** @param {Node | null} node */
function isInTable(node) {
  const element = node instanceof Element ? node : node?.parentElement;
  return Boolean(element?.closest("table"));
}

function look() {
  const selection = document.getSelection();
  const selected = selection && !selection.isCollapsed && isInTable(selection.anchorNode);
  reading.set(Boolean(selected) || isInTable(document.activeElement));
}

export function watchAttention() {
  for (const name of ["focusin", "focusout", "selectionchange"]) {
    // When the focus moves, it is nowhere for a moment.
    document.addEventListener(name, () => setTimeout(look), true);
  }
  document.addEventListener("visibilitychange", () => visible.set(document.visibilityState !== "hidden"));
}
