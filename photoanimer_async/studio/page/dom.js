// DOM helpers: elements, keyed lists, dialogs and announcements. Text is never parsed as HTML.

/** Create an element. Functions among the attributes become listeners, booleans properties. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (key in made && typeof value === "boolean") made[key] = value;
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Return the element with an id. */
export const byId = (id) => document.getElementById(id);

/** Set a text if it differs, so that a live region announces changes only. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Keeps a list's elements in sync with items that have ids. An item's element is never
 * replaced, so that its video keeps playing and its button keeps the focus.
 */
export class KeyedList {
  constructor(list, make) {
    this.list = list;
    this.make = make;
    this.shown = new Map();
  }

  show(items) {
    const ids = new Set(items.map((item) => item.id));
    for (const [id, card] of this.shown) if (!ids.has(id)) this.#remove(id, card);
    let before = null;
    for (const item of items) {
      if (!this.shown.has(item.id)) this.shown.set(item.id, this.make(item));
      const card = this.shown.get(item.id);
      card.update(item);
      const next = before ? before.nextSibling : this.list.firstChild;
      if (card.node !== next) this.list.insertBefore(card.node, next);
      before = card.node;
    }
  }

  /** Remove an element; if it has the focus, move the focus to its neighbour. */
  #remove(id, card) {
    const hasFocus = card.node.contains(document.activeElement);
    const neighbour = card.node.nextElementSibling ?? card.node.previousElementSibling;
    card.node.remove();
    this.shown.delete(id);
    if (hasFocus) (neighbour?.querySelector("button, a, input") ?? byId("photos")).focus();
  }
}

/** Ask for confirmation; resolves to whether the user confirmed. */
export function confirm(text, yes) {
  const dialog = byId("question");
  byId("question-text").textContent = text;
  byId("question-yes").textContent = yes;
  byId("question-yes").onclick = () => dialog.close("yes");
  byId("question-no").onclick = () => dialog.close("no");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

let announcement = 0;

/** Announce a text to screen readers. Announcements in quick succession are joined. */
export function announce(text) {
  const announcer = byId("announcer");
  clearTimeout(announcement);
  const waiting = announcer.dataset.waiting ? `${announcer.dataset.waiting} ${text}` : text;
  announcer.dataset.waiting = waiting;
  announcement = setTimeout(() => {
    announcer.textContent = waiting;
    delete announcer.dataset.waiting;
  }, 250);
}

/** Format a number of seconds. */
export function shownSeconds(seconds) {
  return seconds.toLocaleString("en", { maximumFractionDigits: 2 });
}

/** Format a count: `1 photo`, `2 photos`. */
export const counted = (count, thing) => `${count} ${thing}${count === 1 ? "" : "s"}`;
