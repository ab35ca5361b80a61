// The dialog with one large video beside its photo. The arrow keys and the back button work in it.

import { announce, byId } from "./dom.js";
import { videoOf } from "./clip_card.js";
import { attempt, showMessage } from "./messages.js";

export class Viewer {
  #studio;
  #clips = [];
  #id = null;
  /** Whether the entry of the history is being removed; the viewer may be open again by then. */
  #isGoingBack = false;

  constructor(studio, remove) {
    this.#studio = studio;
    const dialog = byId("viewer");
    byId("viewer-close").addEventListener("click", () => dialog.close());
    byId("viewer-back").addEventListener("click", () => this.#step(-1));
    byId("viewer-next").addEventListener("click", () => this.#step(1));
    byId("viewer-again").addEventListener("click", () => this.#chooseAgain());
    byId("viewer-share").addEventListener("click", () => this.#share());
    byId("viewer-remove").addEventListener("click", () => remove(this.#id));
    dialog.addEventListener("close", () => this.#closed());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener("keydown", (event) => {
      if (event.target === byId("viewer-video")) return;
      if (event.key === "ArrowLeft") this.#step(-1);
      if (event.key === "ArrowRight") this.#step(1);
    });
    addEventListener("popstate", () => {
      if (!this.#isGoingBack) dialog.close();
      this.#isGoingBack = false;
    });
  }

  /** Set the clips to step through. */
  show(clips) {
    this.#clips = clips;
    if (byId("viewer").open && !clips.some((clip) => clip.id === this.#id)) byId("viewer").close();
  }

  open(id) {
    this.#fill(id);
    history.pushState({ viewer: true }, "");
    byId("viewer").showModal();
  }

  get #clip() {
    return this.#clips.find((each) => each.id === this.#id);
  }

  #closed() {
    byId("viewer-video").removeAttribute("src");
    byId("viewer-video").load();
    if (history.state?.viewer) {
      this.#isGoingBack = true;
      history.back();
    }
    // The card that opened it may be gone.
    const { activeElement } = document;
    if (activeElement === document.body || byId("viewer").contains(activeElement)) byId(byId("album").hidden ? "photos" : "album-title").focus();
  }

  #step(by) {
    const at = this.#clips.findIndex((clip) => clip.id === this.#id);
    this.#fill(this.#clips.at((at + by) % this.#clips.length).id);
  }

  #fill(id) {
    this.#id = id;
    const clip = this.#clip;
    const { name } = this.#studio.photoOf(clip);
    const title = this.#studio.titleOf(clip);
    byId("viewer-title").textContent = name;
    byId("viewer-how").textContent = title;
    byId("viewer-photo").src = `/photos/${clip.photo}`;
    byId("viewer-photo").alt = `${name}, the photo`;
    byId("viewer-video").poster = `/photos/${clip.photo}/poster`;
    byId("viewer-video").src = videoOf(clip);
    byId("viewer-video").setAttribute("aria-label", `${name}: ${title}`);
    byId("viewer-video").play().catch(() => {});
    byId("viewer-download").href = `/clips/${id}/download`;
    byId("viewer-share").hidden = !navigator.canShare?.({ files: [new File([], "a.mp4", { type: "video/mp4" })] });
    for (const button of ["viewer-back", "viewer-next"]) byId(button).hidden = this.#clips.length < 2;
  }

  async #share() {
    const { name } = this.#studio.photoOf(this.#clip);
    try {
      const video = await (await fetch(videoOf(this.#clip))).blob();
      await navigator.share({ files: [new File([video], `${name}.mp4`, { type: "video/mp4" })] });
    } catch (error) {
      if (error.name !== "AbortError") showMessage("share", "The video could not be shared. Download it instead.");
    }
  }

  #chooseAgain() {
    const clip = this.#clip;
    byId("viewer").close();
    return attempt("again", async () => {
      await this.#studio.setWaiting(clip.photo, true);
      byId("photos").focus();
      byId("photos").scrollIntoView({ block: "start" });
      announce(`${this.#studio.photoOf(clip).name} is selected: choose another expression.`);
    });
  }
}
