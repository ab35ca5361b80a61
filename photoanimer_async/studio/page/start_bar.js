// The bar that is always in reach: the chosen expression, the cost, and the start button.

import { announce, byId, counted, element, setText, shownSeconds } from "./dom.js";
import { dismissMessage, showMessage } from "./messages.js";

export class StartBar {
  #studio;
  #strip;
  #expressions;
  #isSending = false;

  constructor(studio, strip, expressions) {
    this.#studio = studio;
    this.#strip = strip;
    this.#expressions = expressions;
    byId("start").addEventListener("click", () => this.#start());
    byId("bar-expression").addEventListener("click", () => expressions.focus());
  }

  show() {
    const { chosen } = this.#strip;
    const existing = this.#inAlbum();
    const fresh = chosen.filter((photo) => !existing.has(keyOf(photo.id, this.#expressions.everyone && photo.faces > 1)));
    const cost = fresh.length * this.#costOfOne;
    const { seconds } = this.#studio.account;
    const isShort = this.#studio.isPaid && seconds !== null && cost > seconds;
    byId("bar").hidden = !chosen.length;
    byId("start").disabled = !fresh.length || isShort || this.#isSending || !this.#studio.isConnected;
    setText(byId("start"), fresh.length > 1 ? `Bring ${fresh.length} photos to life` : "Bring it to life");
    setText(byId("bar-expression"), this.#expressions.chosen?.title ?? "");
    byId("cost").replaceChildren(...this.#words(chosen, fresh, cost, isShort));
  }

  #words(chosen, fresh, cost, isShort) {
    if (chosen.length && !fresh.length) return ["In your album already: choose another expression."];
    const existing = chosen.length - fresh.length;
    const words = [counted(fresh.length, "photo")];
    if (existing) words.push(`, ${existing} more ${existing === 1 ? "is" : "are"} in your album already`);
    if (!this.#studio.isPaid) return words;
    const { seconds } = this.#studio.account;
    const least = this.#expressions.voice && !this.#expressions.voice.seconds ? "at least " : "";
    words.push(": ", element("strong", {}, `${least}${shownSeconds(cost)} video seconds`));
    const left = seconds === null ? "The balance is unknown." : isShort ? `Only ${shownSeconds(seconds)} are left: ${fresh.length > 1 ? "remove photos, or " : ""}choose a shorter expression.` : `${shownSeconds(seconds)} are left.`;
    words.push(element("span", { class: isShort ? "left short" : "left" }, left));
    return words;
  }

  /** Video seconds for one photo; with a voice, the voice's duration. */
  get #costOfOne() {
    return this.#expressions.voice?.seconds ?? this.#expressions.chosen?.seconds ?? 0;
  }

  /** The photos of which there is a video with the chosen expression, each with who moves in it. */
  #inAlbum() {
    const { template, voice } = this.#expressions;
    const isLike = (clip) => clip.template === template && clip.voice === (voice?.name ?? null) && clip.stage !== "failed";
    const clips = [...this.#studio.clips.values()].filter(isLike);
    return new Set(clips.map((clip) => keyOf(clip.photo, clip.everyone)));
  }

  async #start() {
    const { template, voice, everyone } = this.#expressions;
    const photos = this.#strip.chosen.map((photo) => photo.id);
    dismissMessage("start");
    this.#isSending = true;
    this.show();
    try {
      const clips = await this.#studio.start(photos, template, voice !== null, everyone);
      announce(`${counted(clips.length, "video")} started.`);
      byId("album").hidden = false;
      byId("album-title").focus({ preventScroll: true });
      byId("album").scrollIntoView({ block: "start" });
    } catch (error) {
      showMessage("start", error.message, [["Try again", () => this.#start()]]);
    } finally {
      this.#isSending = false;
      this.show();
    }
  }
}

const keyOf = (photo, everyone) => `${photo} ${everyone}`;
