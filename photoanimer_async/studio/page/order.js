// The cost, the remaining balance, and the start button.

import { announce, byId, counted, element, shownSeconds } from "./dom.js";

export class Order {
  #studio;
  #tray;
  #expressions;
  #isSending = false;

  constructor(studio, tray, expressions) {
    this.#studio = studio;
    this.#tray = tray;
    this.#expressions = expressions;
    byId("start").addEventListener("click", () => this.#start());
  }

  show() {
    const { chosen } = this.#tray;
    const fresh = chosen.filter((photo) => !this.#isInAlbum(photo));
    const { account } = this.#studio;
    const cost = fresh.length * this.#costOfOne;
    const isShort = account.seconds !== null && cost > account.seconds;
    byId("order").hidden = !this.#tray.isUsable;
    byId("start").disabled = !fresh.length || isShort || this.#isSending;
    byId("start").textContent = fresh.length > 1 ? `Bring ${fresh.length} photos to life` : "Bring it to life";
    byId("cost").replaceChildren(...this.#costText(chosen, fresh, cost, isShort));
  }

  #costText(chosen, fresh, cost, isShort) {
    const { account } = this.#studio;
    if (!chosen.length) return ["None of the photos can be animated. Add another one."];
    if (!fresh.length) return ["This video is in your album already: choose another expression."];
    const least = this.#expressions.voice && !this.#expressions.voice.seconds ? "at least " : "";
    const existing = chosen.length - fresh.length;
    const known = existing ? ` (${existing} ${existing === 1 ? "is" : "are"} in your album already)` : "";
    const price = element("strong", {}, `${least}${shownSeconds(cost)} video seconds`);
    const text = [`${counted(fresh.length, "photo")}${known}: `, price];
    if (account.seconds === null) {
      text.push(element("span", { class: "left" }, "The account balance is unknown."));
    } else if (isShort) {
      text.push(element("span", { class: "short" }, `Only ${shownSeconds(account.seconds)} are left.`));
    } else {
      const left = `${shownSeconds(account.seconds)} are left`;
      text.push(element("span", { class: "left" }, account.service ? `${left}.` : `Free on this machine; ${left}.`));
    }
    return text;
  }

  /** Video seconds for one photo; with a voice, the voice's duration. */
  get #costOfOne() {
    const { template, voice } = this.#expressions;
    const chosen = this.#studio.expressions.find((each) => each.template === template);
    return voice?.seconds ?? chosen?.seconds ?? 0;
  }

  #isInAlbum(photo) {
    const { template, voice } = this.#expressions;
    return [...this.#studio.clips.values()].some(
      (clip) =>
        clip.photo === photo.id &&
        clip.template === template &&
        clip.voice === (voice?.name ?? null) &&
        clip.stage !== "failed",
    );
  }

  async #start() {
    const { template, voice } = this.#expressions;
    const photos = this.#tray.chosen.map((photo) => photo.id);
    this.#isSending = true;
    this.show();
    try {
      const clips = await this.#studio.start(photos, template, voice !== null);
      announce(`${counted(clips.length, "video")} started.`);
      byId("album").hidden = false;
      byId("album-title").focus();
      byId("album").scrollIntoView({ block: "start" });
    } catch (error) {
      byId("cost").replaceChildren(element("span", { class: "short" }, error.message));
      announce(error.message);
    } finally {
      this.#isSending = false;
      byId("start").disabled = false;
    }
  }
}
