// What cannot be used, or has failed: one line that unfolds, with what can be done about it.

import { button, element, setText } from "./dom.js";
import { VirtualGrid } from "./virtual_grid.js";

export class Problems {
  #host;
  #titleOf;
  #actionsFor;
  #groups = new Map();
  #summary = element("summary");
  #list = element("div", { class: "groups" });
  #details = element("details", {}, this.#summary, this.#list);
  #actions = element("div", { class: "actions" });

  /**
   * Show problems in an element, by their reasons.
   *
   * `titleOf(count)` says what is wrong with so many items. `actionsFor(items)` returns pairs of
   * a text and a function.
   */
  constructor(host, titleOf, actionsFor) {
    this.#host = host;
    this.#titleOf = titleOf;
    this.#actionsFor = actionsFor;
    host.append(this.#details, this.#actions);
    this.#details.addEventListener("toggle", () => this.#showRows());
  }

  /** Show items, each with `id`, `name`, `reason`, and `picture`, a URL or null. */
  show(items) {
    this.#host.hidden = !items.length;
    const byReason = new Map();
    for (const item of items) byReason.set(item.reason, [...(byReason.get(item.reason) ?? []), item]);
    this.#removeGroups(byReason);
    for (const [reason, theirs] of byReason) {
      if (!this.#groups.has(reason)) this.#groups.set(reason, this.#makeGroup(reason));
      this.#groups.get(reason).items = theirs;
    }
    const only = byReason.size === 1 ? `: ${items[0].reason}` : "";
    const who = items.length === 1 ? items[0].name : this.#titleOf(items.length);
    setText(this.#summary, who + only);
    this.#showActions(this.#actions, items);
    this.#showRows();
  }

  #removeGroups(byReason) {
    for (const [reason, group] of this.#groups) {
      if (byReason.has(reason)) continue;
      group.node.remove();
      this.#groups.delete(reason);
    }
  }

  #showRows() {
    for (const [, group] of this.#groups) {
      group.grid.show(group.items);
      this.#showActions(group.actions, this.#groups.size > 1 && group.items.length > 1 ? group.items : []);
      group.head.hidden = this.#groups.size === 1;
    }
  }

  #showActions(host, items) {
    const actions = items.length ? this.#actionsFor(items) : [];
    const key = `${actions.map(([text]) => text)} ${items.map((item) => item.id)}`;
    if (host.dataset.key === key) return;
    host.dataset.key = key;
    host.replaceChildren(...actions.map(([text, run]) => button(text, run)));
  }

  #makeGroup(reason) {
    const rows = element("ul", { class: "rows", "aria-label": reason });
    const actions = element("div", { class: "actions" });
    const head = element("p", { class: "group-head" }, reason);
    const node = element("div", { class: "group" }, head, actions, rows);
    this.#list.append(node);
    return { node, head, actions, items: [], grid: new VirtualGrid(rows, (item) => this.#makeRow(item)) };
  }

  #makeRow(item) {
    const picture = item.picture ? element("img", { src: item.picture, alt: "", loading: "lazy" }) : element("span");
    const buttons = this.#actionsFor([item]).map(([text, run]) =>
      button(text, run, { class: "button quiet small", "aria-label": `${text}: ${item.name}` }),
    );
    const name = element("span", { class: "name", dir: "auto", title: item.name }, item.name);
    return { node: element("li", {}, picture, name, ...buttons), update: () => {} };
  }
}
