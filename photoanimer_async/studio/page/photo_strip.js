// The photos for the next videos: a strip that unfolds, and those that cannot be used.

import { button, byId, counted, element, forEach, setText } from "./dom.js";
import { acceptOf, filesOf, ofFolder } from "./dropped_files.js";
import { attempt, dismissMessage, showMessage } from "./messages.js";
import { Problems } from "./problems.js";
import { VirtualGrid } from "./virtual_grid.js";

const NO_FACE = "No face was found.";

export class PhotoStrip {
  #studio;
  #uploads;
  #changed;
  /** Ids of photos without a detected face that the user wants to try. */
  #anyway = new Set();
  #shown = [];
  #grid = new VirtualGrid(byId("strip"), (photo) => this.#card(photo));
  #problems = new Problems(byId("unusable"), (count) => `${counted(count, "photo")} cannot be used`, (items) => this.#actionsFor(items));

  constructor(studio, uploads, changed) {
    this.#studio = studio;
    this.#uploads = uploads;
    this.#changed = changed;
    this.#grid.maxRows = 1;
    byId("unfold").addEventListener("click", () => this.#fold(this.#grid.maxRows > 1));
    byId("stop-adding").addEventListener("click", () => uploads.stop());
    addEventListener("resize", () => this.#showUnfold());
    byId("clear").addEventListener("click", () => this.#deselect(this.chosen.map((photo) => photo.id)));
    this.#listenForFiles();
    this.#listenForDrops();
  }

  /** The photos that the start button would animate. */
  get chosen() {
    return this.#waiting.filter((photo) => !this.#problemOf(photo));
  }

  /** Whether no photo is selected, on its way, or refused. */
  get isEmpty() {
    return !this.#waiting.length && !this.#uploads.underWay.length && !this.#uploads.failed.length;
  }

  get #waiting() {
    return [...this.#studio.photos.values()].filter((photo) => photo.waiting).sort((a, b) => a.added - b.added);
  }

  #problemOf({ id, refusal, faces }) {
    return refusal ?? (faces === 0 && !this.#anyway.has(id) ? NO_FACE : null);
  }

  show() {
    const { chosen } = this;
    const { underWay } = this.#uploads;
    byId("strip-head").hidden = !chosen.length && !underWay.length;
    byId("strip-title").setAttribute("aria-live", underWay.length ? "off" : "polite"); // not each number
    setText(byId("strip-title"), this.#title(chosen.length, underWay.length));
    // A photo's event may arrive before the answer to its upload.
    const arrived = new Set([...this.#studio.photos.values()].map((photo) => photo.added));
    this.#shown = [...chosen, ...underWay.filter((item) => !arrived.has(item.added))].sort((a, b) => a.added - b.added);
    this.#grid.show(this.#shown);
    this.#showUnfold();
    const canStop = underWay.some((item) => !item.isSending);
    byId("stop-adding").hidden = !canStop;
    byId("clear").hidden = chosen.length < 2 || canStop;
    const refused = this.#waiting.filter((photo) => this.#problemOf(photo));
    this.#problems.show([
      ...refused.map((photo) => ({ ...photo, reason: this.#problemOf(photo), picture: photo.refusal ? null : `/photos/${photo.id}/small` })),
      ...this.#uploads.failed.map((item) => ({ ...item, picture: null, isUpload: true })),
    ]);
    const { formats } = this.#studio;
    if (formats.length) byId("files").accept = acceptOf(formats);
  }

  #showUnfold() {
    byId("unfold").hidden = this.#shown.length <= this.#grid.columns && this.#grid.maxRows === 1;
  }

  #title(count, adding) {
    if (!adding) return counted(count, "photo");
    const { done, total } = this.#uploads.progress;
    if (!this.#studio.isConnected) return `${counted(adding, "photo")} will be sent when the studio is back`;
    return total > 1 ? `Adding photos: ${done} of ${total}` : "Adding the photo";
  }

  #fold(isFolded) {
    this.#grid.maxRows = isFolded ? 1 : Infinity;
    setText(byId("unfold"), isFolded ? "Show all" : "Show less");
    byId("unfold").setAttribute("aria-expanded", !isFolded);
    this.#changed();
  }

  // --- adding and removing ---

  #listenForFiles() {
    byId("files").addEventListener("change", ({ target }) => {
      this.#uploads.addFiles([...target.files]);
      target.value = "";
    });
    byId("folder").addEventListener("change", ({ target }) => {
      this.#uploads.addFiles(ofFolder(target.files));
      target.value = "";
    });
    byId("link").addEventListener("submit", (event) => {
      event.preventDefault();
      dismissMessage("link");
      if (this.#uploads.addLinks(byId("url").value)) byId("url").value = "";
      else showMessage("link", "This is no link to a photo on the web, which begins with https://");
    });
    document.addEventListener("paste", (event) => {
      if (event.target.closest("input")) return;
      if (event.clipboardData.files.length) this.#uploads.addFiles([...event.clipboardData.files]);
      else this.#uploads.addLinks(event.clipboardData.getData("text"));
    });
  }

  #listenForDrops() {
    const drop = byId("drop");
    addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) drop.classList.remove("over");
    });
    addEventListener("drop", async (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      const links = event.dataTransfer.getData("text/uri-list");
      const files = await filesOf(event.dataTransfer);
      if (files.length || !this.#uploads.addLinks(links)) this.#uploads.addFiles(files);
    });
  }

  #actionsFor(items) {
    const all = items.length > 1 ? " all" : "";
    const ids = items.map((item) => item.id);
    const uploads = items.filter((item) => item.isUpload).map((item) => item.id);
    const photos = ids.filter((id) => !uploads.includes(id));
    const actions = [];
    if (!photos.length) actions.push([`Try${all} again`, () => this.#uploads.retry(uploads)]);
    if (items.every((item) => item.reason === NO_FACE)) actions.push([`Try${all} anyway`, () => this.#tryAnyway(ids)]);
    const remove = () => {
      this.#uploads.remove(uploads);
      return this.#deselect(photos);
    };
    return [...actions, [`Remove${all}`, remove]];
  }

  #tryAnyway(ids) {
    for (const id of ids) this.#anyway.add(id);
    this.#changed();
  }

  /** Deselect photos; they disappear at once, and are back if the studio cannot be reached. */
  #deselect(ids) {
    return attempt("deselect", async () => {
      const photos = ids.map((id) => this.#studio.photos.get(id)).filter(Boolean);
      this.#setWaiting(photos, false);
      try {
        await forEach(photos, ({ id }) => this.#studio.setWaiting(id, false));
      } catch (error) {
        this.#setWaiting(photos, true); // those that are deselected have been replaced meanwhile
        throw error;
      }
    });
  }

  #setWaiting(photos, waiting) {
    for (const photo of photos) photo.waiting = waiting;
    this.#changed();
  }

  #card(photo) {
    const picture = element("div", { class: "picture" });
    const remove = button("×", () => this.#deselect([photo.id]), { class: "remove", "aria-label": `Remove ${photo.name}` });
    const name = element("p", { class: "name", dir: "auto", title: photo.name }, photo.name);
    const node = element("li", { class: "print" }, picture, name, remove);
    const update = ({ id, send }) => {
      remove.hidden = Boolean(send);
      if (send) picture.replaceChildren(element("span", { class: "dots" }));
      else if (!picture.querySelector("img")) picture.replaceChildren(element("img", { src: `/photos/${id}/small`, alt: "", loading: "lazy" }));
    };
    return { node, update };
  }
}
