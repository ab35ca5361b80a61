// Messages that stay until they are dismissed, each with the way on.

import { announce, button, byId, element } from "./dom.js";

const shown = new Map();

/**
 * Show a message; it replaces an earlier one with the same key.
 *
 * `actions` are pairs of a text and a function; using one dismisses the message.
 */
export function showMessage(key, text, actions = [], kind = "trouble") {
  const buttons = actions.map(([label, run]) =>
    button(label, () => {
      dismissMessage(key);
      run();
    }),
  );
  const close = button("×", () => dismissMessage(key), { class: "button text close", "aria-label": "Dismiss this message" });
  const node = element("li", { class: `message ${kind}` }, element("p", {}, text), ...buttons, close);
  dismissMessage(key);
  shown.set(key, node);
  byId("messages").append(node);
  byId("messages").hidden = false;
  announce(text);
}

export function dismissMessage(key) {
  const node = shown.get(key);
  if (!node) return;
  if (node.contains(document.activeElement)) byId("photos").focus();
  node.remove();
  shown.delete(key);
  byId("messages").hidden = !shown.size;
}

/** Run an action; if it fails, say so and offer to try again. */
export async function attempt(key, action) {
  try {
    dismissMessage(key);
    return await action();
  } catch (error) {
    showMessage(key, error.message, [["Try again", () => attempt(key, action)]]);
    return null;
  }
}
