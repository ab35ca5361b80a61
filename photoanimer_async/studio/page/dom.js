// Making elements and keeping lists of them. Text is only ever text: nothing is parsed as HTML.

/** An element with attributes; those that are functions listen, `true` and `false` switch. */
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

/** The element of an id. */
export const byId = (id) => document.getElementById(id);

/** Sets a text, if it is another, so that a live region speaks only of what is new. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Keeps a list's elements in step with things that have ids: an element stays the same for
 * as long as its thing is there, so that a video goes on playing and the focus stays.
 */
export class KeyedList {
  constructor(list, make) {
    this.list = list;
    this.make = make;
    this.shown = new Map();
  }

  show(things) {
    const ids = new Set(things.map((thing) => thing.id));
    for (const [id, item] of this.shown) if (!ids.has(id)) this.#remove(id, item);
    let before = null;
    for (const thing of things) {
      if (!this.shown.has(thing.id)) this.shown.set(thing.id, this.make(thing));
      const item = this.shown.get(thing.id);
      item.update(thing);
      const next = before ? before.nextSibling : this.list.firstChild;
      if (item.node !== next) this.list.insertBefore(item.node, next);
      before = item.node;
    }
  }

  /** Who has the focus in an item that goes hands it to its neighbour. */
  #remove(id, item) {
    const held = item.node.contains(document.activeElement);
    const neighbour = item.node.nextElementSibling ?? item.node.previousElementSibling;
    item.node.remove();
    this.shown.delete(id);
    if (held) (neighbour?.querySelector("button, a, input") ?? byId("photos")).focus();
  }
}

/** Asks something that can be answered with no; gives whether it was yes. */
export function ask(text, yes) {
  const dialog = byId("question");
  byId("question-text").textContent = text;
  byId("question-yes").textContent = yes;
  byId("question-yes").onclick = () => dialog.close("yes");
  byId("question-no").onclick = () => dialog.close("no");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}

let speech = 0;

/** Tells it to a screen reader. What is told in one moment is told together. */
export function announce(text) {
  const announcer = byId("announcer");
  clearTimeout(speech);
  const waiting = announcer.dataset.waiting ? `${announcer.dataset.waiting} ${text}` : text;
  announcer.dataset.waiting = waiting;
  speech = setTimeout(() => {
    announcer.textContent = waiting;
    delete announcer.dataset.waiting;
  }, 250);
}

/** A number of video seconds as people write it. */
export function shownSeconds(seconds) {
  return seconds.toLocaleString("en", { maximumFractionDigits: 2 });
}

/** `1 photo`, `2 photos`. */
export const counted = (count, thing) => `${count} ${thing}${count === 1 ? "" : "s"}`;
