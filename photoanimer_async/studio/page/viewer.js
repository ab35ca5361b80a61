// The dialog with one large video beside its photo; the arrow keys show the next one.

import { byId } from "./dom.js";

export class Viewer {
  #studio;
  #clips = [];
  #id = null;

  constructor(studio) {
    this.#studio = studio;
    const dialog = byId("viewer");
    byId("viewer-close").addEventListener("click", () => dialog.close());
    byId("viewer-back").addEventListener("click", () => this.#step(-1));
    byId("viewer-next").addEventListener("click", () => this.#step(1));
    dialog.addEventListener("close", () => byId("viewer-video").pause());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener("keydown", (event) => {
      if (event.target === byId("viewer-video")) return;
      if (event.key === "ArrowLeft") this.#step(-1);
      if (event.key === "ArrowRight") this.#step(1);
    });
  }

  /** Set the clips to step through. */
  show(clips) {
    this.#clips = clips;
    if (byId("viewer").open && !clips.some((clip) => clip.id === this.#id)) byId("viewer").close();
  }

  open(id) {
    this.#fill(id);
    byId("viewer").showModal();
  }

  #step(by) {
    const at = this.#clips.findIndex((clip) => clip.id === this.#id);
    this.#fill(this.#clips.at((at + by) % this.#clips.length).id);
  }

  #fill(id) {
    const clip = this.#clips.find((each) => each.id === id);
    const { name } = this.#studio.photos.get(clip.photo);
    const { title } = this.#studio.expressions.find((each) => each.template === clip.template);
    this.#id = id;
    byId("viewer-title").textContent = name;
    byId("viewer-how").textContent = title;
    byId("viewer-photo").src = `/photos/${clip.photo}`;
    byId("viewer-photo").alt = `${name}, the photo`;
    byId("viewer-video").src = `/clips/${id}`;
    byId("viewer-video").setAttribute("aria-label", `${name}: ${title}`);
    byId("viewer-video").play().catch(() => {});
    byId("viewer-download").href = `/clips/${id}/download`;
    for (const button of ["viewer-back", "viewer-next"]) byId(button).disabled = this.#clips.length < 2;
  }
}
