// A grid of cards that has only those in the DOM that are near the screen.

const OVERSCAN_ROWS = 2;

/**
 * The list is a CSS grid, whose cards all have the same height. Rows that are off screen are
 * replaced by padding. An item's card is kept as long as it is near, so that its video keeps
 * playing; the one that has the focus is never removed.
 */
export class VirtualGrid {
  /** The number of rows to show; further items are left out. */
  maxRows = Infinity;
  #list;
  #make;
  #items = [];
  #cards = new Map();
  #rowHeight = 0;
  #frame = 0;

  /** `make` returns `{ node, update, close }` for an item; `close` is optional. */
  constructor(list, make) {
    this.#list = list;
    this.#make = make;
    list.setAttribute("role", "list"); // Safari drops it from lists without markers
    const resizes = new ResizeObserver(() => this.#schedule());
    resizes.observe(list.parentElement);
    resizes.observe(document.body); // what is above it grew or shrank, and has moved it
    addEventListener("scroll", () => this.#schedule(), { passive: true });
    addEventListener("resize", () => {
      this.#rowHeight = 0;
      this.#schedule();
    });
  }

  show(items) {
    this.#items = items;
    this.#render();
  }

  /** How many items are in one row. */
  get columns() {
    const columns = getComputedStyle(this.#list).gridTemplateColumns;
    return columns === "none" ? 1 : columns.split(" ").length;
  }

  #schedule() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#render());
  }

  #render() {
    if (!this.#list.getClientRects().length) return this.#showRows([], 0, 0);
    const columns = this.columns;
    const rows = Math.min(Math.ceil(this.#items.length / columns), this.maxRows);
    this.#measure(columns);
    const [first, last] = this.#rowsNearScreen(rows);
    const items = this.#items.slice(first * columns, last * columns);
    this.#showRows(items, first * this.#rowHeight, (rows - last) * this.#rowHeight, first * columns);
  }

  /** Measure the height of a row by that of a card, with the gap below it. */
  #measure(columns) {
    if (!this.#items.length) return;
    if (!this.#cards.size) this.#showRows(this.#items.slice(0, columns), 0, 0, 0);
    const card = [...this.#cards.values()].find(({ node }) => !node.classList.contains("parked"));
    const height = card?.node.getBoundingClientRect().height;
    if (height) this.#rowHeight = height + (parseFloat(getComputedStyle(this.#list).rowGap) || 0);
  }

  #rowsNearScreen(rows) {
    if (!this.#rowHeight) return [0, Math.min(rows, OVERSCAN_ROWS)];
    const { top } = this.#list.getBoundingClientRect();
    const first = Math.floor(-top / this.#rowHeight) - OVERSCAN_ROWS;
    const last = Math.ceil((innerHeight - top) / this.#rowHeight) + OVERSCAN_ROWS;
    return [Math.min(Math.max(first, 0), rows), Math.min(Math.max(last, 0), rows)];
  }

  #showRows(items, above, below, index = 0) {
    const ids = new Set(items.map((item) => item.id));
    const all = new Map(this.#items.map((item) => [item.id, item]));
    for (const [id, card] of this.#cards) if (!ids.has(id)) this.#remove(id, card, all.has(id));
    let before = null;
    items.forEach((item, at) => {
      if (!this.#cards.has(item.id)) this.#cards.set(item.id, this.#make(item));
      const card = this.#cards.get(item.id);
      card.update(item);
      card.node.classList.remove("parked");
      card.node.setAttribute("aria-setsize", this.#items.length);
      card.node.setAttribute("aria-posinset", index + at + 1);
      const next = before ? before.nextSibling : this.#list.firstChild;
      if (card.node !== next) this.#list.insertBefore(card.node, next);
      before = card.node;
    });
    this.#list.style.paddingBlock = `${above}px ${below}px`;
  }

  /** Remove a card; one that has the focus is parked, or passes the focus on. */
  #remove(id, card, isLeft) {
    const hasFocus = card.node.contains(document.activeElement);
    if (hasFocus && isLeft) {
      card.node.classList.add("parked");
      return;
    }
    const neighbour = card.node.nextElementSibling ?? card.node.previousElementSibling;
    card.close?.();
    card.node.remove();
    this.#cards.delete(id);
    if (hasFocus) (neighbour?.querySelector("button, a, input") ?? document.getElementById("photos")).focus();
  }
}
