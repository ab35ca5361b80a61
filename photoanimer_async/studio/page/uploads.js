// Photos on their way to the studio: chosen, dropped, pasted, or given by a link.

import { announce, byId, counted } from "./dom.js";
import { isPhoto, withoutSuffix } from "./dropped_files.js";
import { showMessage } from "./messages.js";
import { UnreachableError } from "./studio_client.js";

const MAX_AT_ONCE = 4;
const MAX_ATTEMPTS = 3;

/**
 * Sends photos one after the other, some at once. While the studio is away they wait; one that
 * fails keeps its reason, and can be sent again.
 */
export class Uploads {
  #studio;
  #changed;
  #items = new Map();
  #sending = 0;
  #count = 0;
  #total = 0;

  constructor(studio, changed) {
    this.#studio = studio;
    this.#changed = changed;
    studio.addEventListener("connection", () => this.#sendNext());
    addEventListener("beforeunload", (event) => {
      if (this.underWay.length) event.preventDefault();
    });
  }

  /** Photos that have not arrived. */
  get underWay() {
    return [...this.#items.values()].filter((item) => !item.reason);
  }

  /** Forget the photos that are not being sent yet. */
  stop() {
    const waiting = this.underWay.filter((item) => !item.isSending);
    this.#total -= waiting.length;
    this.remove(waiting.map((item) => item.id));
  }

  /** Photos that could not be sent, each with its reason. */
  get failed() {
    return [...this.#items.values()].filter((item) => item.reason);
  }

  /** How many of the photos that were added together have arrived, and how many there are. */
  get progress() {
    return { done: this.#total - this.underWay.length, total: this.#total };
  }

  addFiles(files, others = 0) {
    const photos = files.filter((file) => isPhoto(file, this.#studio.formats));
    const skipped = files.length - photos.length + others;
    for (const file of photos) this.#add(withoutSuffix(file.name), (at) => this.#sendFile(file, at));
    if (skipped) {
      const text = skipped === 1 ? "1 file is no photo and was left out." : `${counted(skipped, "file")} are no photos and were left out.`;
      showMessage("no-photos", text, photos.length ? [] : [["Choose photos", () => byId("files").click()]], "note");
    }
    this.#sendNext();
  }

  addLinks(text) {
    const links = text.split(/\s+/).filter((line) => /^https?:\/\//i.test(line));
    for (const link of links) this.#add(nameOf(link), (at) => this.#studio.addLink(link, at));
    this.#sendNext();
    return links.length > 0;
  }

  retry(ids) {
    for (const id of ids) Object.assign(this.#items.get(id), { reason: null, attempts: 0 });
    this.#sendNext();
  }

  remove(ids) {
    for (const id of ids) this.#items.delete(id);
    this.#changed();
  }

  #add(name, send) {
    if (!this.underWay.length) this.#total = 0;
    this.#total += 1;
    this.#count += 1;
    const id = `upload-${this.#count}`;
    this.#items.set(id, { id, name, added: Date.now() / 1000 + this.#count / 1000, send, isSending: false, attempts: 0, reason: null });
  }

  async #sendFile(file, at) {
    const { limits } = this.#studio;
    if (file.size >= limits.photo) {
      throw new Error(`This file is too large: photos must have less than ${Math.round(limits.photo / 2 ** 20)} MB.`);
    }
    try {
      await file.slice(0, 1).arrayBuffer();
    } catch {
      throw new Error("This file cannot be read: it was moved or deleted, or is not on this device yet.");
    }
    return this.#studio.addFile(file, at);
  }

  #sendNext() {
    this.#changed();
    const waiting = this.underWay.filter((item) => !item.isSending);
    while (this.#studio.isConnected && this.#sending < MAX_AT_ONCE && waiting.length) this.#send(waiting.shift());
  }

  async #send(item) {
    this.#sending += 1;
    item.isSending = true;
    try {
      const photo = await item.send(item.added);
      this.#items.delete(item.id);
      this.#studio.photos.set(photo.id, photo);
    } catch (error) {
      await this.#failed(item, error);
    }
    item.isSending = false;
    this.#sending -= 1;
    if (!this.underWay.length) announce(`${counted(this.#total - this.failed.length, "photo")} added.`);
    this.#sendNext();
  }

  /** Keep a photo for when the studio is back; if it is not away, the photo has failed. */
  async #failed(item, error) {
    if (error instanceof UnreachableError) {
      await new Promise((resolve) => setTimeout(resolve, 1000)); // the event stream notices it too
      item.attempts += 1;
      if (!this.#studio.isConnected || item.attempts < MAX_ATTEMPTS) return;
    }
    item.reason = error instanceof UnreachableError ? "The photo could not be sent." : error.message;
  }
}

/** Return the name for a photo added by a link: the last part of its path. */
function nameOf(link) {
  const end = link.split(/[?#]/)[0].split("/").pop();
  try {
    return withoutSuffix(decodeURIComponent(end));
  } catch {
    return withoutSuffix(end);
  }
}
