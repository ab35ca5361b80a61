// The tray: photos being uploaded, and photos selected for the next clips.

import { announce, byId, element, KeyedList, setText } from "./dom.js";

const MAX_UPLOADS = 3;
/** Types for the file chooser. Phones convert photos to one of the named formats. */
const ACCEPTED = {
  PNG: "image/png,.png",
  JPEG: "image/jpeg,.jpg,.jpeg",
  BMP: "image/bmp,.bmp",
  WEBP: "image/webp,.webp",
  TIFF: "image/tiff,.tif,.tiff",
  HEIC: "image/heic,image/heif,.heic,.heif,.hif",
  AVIF: "image/avif,.avif",
};

export class Tray {
  /** Ids of photos without a detected face that the user wants to try. */
  anyway = new Set();
  #studio;
  #changed;
  #pending = new Map();
  #queue = [];
  #uploading = 0;
  #count = 0;
  #list = new KeyedList(byId("tray"), (photo) => this.#card(photo));

  constructor(studio, changed) {
    this.#studio = studio;
    this.#changed = changed;
    this.#listenForFiles();
    this.#listenForDrops();
    this.#listenForLinks();
  }

  /** The photos that the start button would animate. */
  get chosen() {
    return this.#waiting.filter(
      (photo) => !photo.refusal && (!photo.faceless || this.anyway.has(photo.id)),
    );
  }

  get isEmpty() {
    return this.#waiting.length + this.#pending.size === 0;
  }

  /** Whether at least one photo was accepted. */
  get isUsable() {
    return this.#waiting.some((photo) => !photo.refusal);
  }

  get #waiting() {
    return [...this.#studio.photos.values()]
      .filter((photo) => photo.waiting)
      .sort((a, b) => a.added - b.added);
  }

  show() {
    const waiting = this.#waiting;
    // The event for a new photo may arrive before the response to its upload.
    const hasArrived = ({ name, before }) =>
      waiting.some((photo) => photo.name === name && !before.has(photo.id));
    const pending = [...this.#pending.values()].filter((each) => each.refusal || !hasArrived(each));
    this.#list.show([...waiting, ...pending].sort((a, b) => a.added - b.added));
    this.#showFormats();
  }

  // --- adding photos ---

  #listenForFiles() {
    byId("files").addEventListener("change", (event) => {
      this.#addFiles([...event.target.files]);
      event.target.value = "";
    });
    document.addEventListener("paste", (event) => {
      if (event.target.closest("input")) return;
      this.#addFiles([...event.clipboardData.files]);
      this.#addLinks(event.clipboardData.getData("text"));
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
    addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      const files = [...event.dataTransfer.files];
      if (files.length) this.#addFiles(files);
      else this.#addLinks(event.dataTransfer.getData("text/uri-list"));
    });
  }

  #listenForLinks() {
    byId("link").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#addLinks(byId("url").value);
      byId("url").value = "";
    });
  }

  #addFiles(files) {
    for (const file of files) {
      const name = withoutSuffix(file.name);
      const isTooLarge = file.size >= this.#studio.limits.photo;
      this.#add(
        name,
        isTooLarge
          ? () => Promise.reject(new Error(
              `The file has ${megabytes(file.size)} MB; it must have less than ${megabytes(this.#studio.limits.photo)} MB.`,
            ))
          : (at) => this.#studio.addFile(file, at),
      );
    }
  }

  #addLinks(text) {
    for (const line of text.split(/\s+/)) {
      if (/^https?:\/\//i.test(line)) {
        this.#add(nameOf(line), (at) => this.#studio.addLink(line, at));
      }
    }
  }

  #add(name, send) {
    this.#count += 1;
    const before = new Set(this.#studio.photos.keys());
    const added = Date.now() / 1000 + this.#count / 1000;
    const pending = { id: `pending-${this.#count}`, name, added, before, pending: true };
    this.#pending.set(pending.id, pending);
    this.#queue.push([pending, send]);
    this.#changed();
    this.#startUploads();
  }

  #startUploads() {
    while (this.#uploading < MAX_UPLOADS && this.#queue.length) {
      const [pending, send] = this.#queue.shift();
      this.#uploading += 1;
      this.#send(pending, send).finally(() => {
        this.#uploading -= 1;
        this.#changed();
        this.#startUploads();
      });
    }
  }

  async #send(pending, send) {
    try {
      const photo = await send(pending.added);
      this.#pending.delete(pending.id);
      this.#studio.photos.set(photo.id, photo);
      announce(photo.refusal ? `${photo.name}: ${photo.refusal}` : `${photo.name} was added.`);
    } catch (error) {
      this.#pending.set(pending.id, { ...pending, pending: false, refusal: error.message });
      announce(`${pending.name}: ${error.message}`);
    }
  }

  // --- rendering ---

  #showFormats() {
    const { formats, limits } = this.#studio;
    if (!formats.length) return;
    byId("files").accept = formats.map((format) => ACCEPTED[format]).join();
    const kinds = `${formats.slice(0, -1).join(", ")} or ${formats.at(-1)}, under ${megabytes(limits.photo)} MB`;
    const more = limits.side
      ? `, up to ${limits.side} pixels wide and high`
      : "; location and time are removed from files";
    setText(byId("formats"), kinds + more);
  }

  #card(photo) {
    const name = element("p", { class: "name", title: photo.name }, photo.name);
    const reason = element("p", { class: "why" });
    const picture = element("div", { class: "picture" });
    const anyway = element("input", {
      type: "checkbox",
      change: () => {
        if (anyway.checked) this.anyway.add(photo.id);
        else this.anyway.delete(photo.id);
        this.#changed();
      },
    });
    const anywayRow = element("label", { class: "anyway-row" }, anyway, "Try it anyway");
    const remove = element(
      "button",
      { class: "button remove", type: "button", "aria-label": `Remove ${photo.name}`, click: () => this.#remove(photo.id) },
      "×",
    );
    const node = element("li", { class: "print" }, picture, name, reason, anywayRow, remove);
    const update = ({ id, pending, refusal, faceless }) => {
      node.classList.toggle("refused", Boolean(refusal));
      node.classList.toggle("faceless", Boolean(faceless));
      node.classList.toggle("anyway", this.anyway.has(id));
      remove.hidden = Boolean(pending);
      reason.hidden = !refusal && !faceless;
      setText(reason, refusal ?? (faceless ? "No face was found in this photo." : ""));
      anywayRow.hidden = !faceless;
      const text = pending ? "Checking" : "Cannot be used";
      if (pending || refusal) picture.replaceChildren(element("span", { class: pending ? "dots" : "" }, text));
      else if (!picture.querySelector("img")) {
        picture.replaceChildren(element("img", { src: `/photos/${id}/small`, alt: "" }));
      }
    };
    return { node, update };
  }

  async #remove(id) {
    if (this.#pending.delete(id)) this.#changed();
    else await this.#studio.setWaiting(id, false).catch((error) => announce(error.message));
  }
}

const megabytes = (bytes) => (bytes / 2 ** 20).toFixed(bytes % 2 ** 20 ? 1 : 0);

const withoutSuffix = (name) => name.replace(/\.[^.]*$/, "").trim() || "photo";

/** Return the name for a photo added by a link: the last part of its path. */
function nameOf(link) {
  const end = link.split(/[?#]/)[0].split("/").pop();
  try {
    return withoutSuffix(decodeURIComponent(end));
  } catch {
    return withoutSuffix(end);
  }
}
