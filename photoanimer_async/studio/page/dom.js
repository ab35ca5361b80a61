// DOM helpers: elements, texts, questions and announcements. Text is never parsed as HTML.

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

/** Create a button without a form. */
export function button(text, click, attributes = {}) {
  return element("button", { class: "button quiet", type: "button", click, ...attributes }, text);
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
let waiting = [];

/** Announce a text to screen readers. Of many in quick succession, the last ones are read. */
export function announce(text) {
  waiting = [...waiting, text].slice(-3);
  clearTimeout(announcement);
  announcement = setTimeout(() => {
    byId("announcer").textContent = waiting.join(" ");
    waiting = [];
  }, 250);
}

/** Run something for each item, some at once; the first error is thrown, and ends it. */
export async function forEach(items, run) {
  const left = [...items];
  const runSome = async () => {
    while (left.length) {
      await run(left.shift()).catch((error) => {
        left.length = 0;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: 4 }, runSome));
}

/** Format a number of seconds. */
export function shownSeconds(seconds) {
  return seconds.toLocaleString("en", { maximumFractionDigits: 2 });
}

/** Format a count: `1 photo`, `2 photos`. */
export const counted = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;

export const prefersReducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
