// Keeps the focus near its place when what has it disappears: a button that was used, a photo.

import { byId } from "./dom.js";

const FOCUSABLE = "summary, button:enabled, a[href], input:enabled";

let last = null;
let around = [];

const isVisible = (node) => node.isConnected && node.getClientRects().length > 0;

addEventListener("focusin", ({ target }) => {
  last = target.closest("main") ? target : null; // a dialog gives it back by itself
  around = [];
  for (let node = target.parentElement; node && node.tagName !== "MAIN"; node = node.parentElement) around.push(node);
});

/** Move the focus if it was lost: to what is next to its place in the section, else to the photos. */
export function keepFocus() {
  const { activeElement } = document;
  if (!last || isVisible(last) || ![document.body, null, last].includes(activeElement)) return;
  last = null;
  const near = around.filter(isVisible).map((node) => [...node.querySelectorAll(FOCUSABLE)].find(isVisible));
  (near.find(Boolean) ?? byId("photos")).focus({ preventScroll: true });
}
