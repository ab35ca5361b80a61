// The album: videos that are ready, then those that are being made; what has failed is above them.

import { announce, byId, confirm, counted, forEach, prefersReducedMotion, setText, shownSeconds } from "./dom.js";
import { makeCard, Player } from "./clip_card.js";
import { attempt } from "./messages.js";
import { Problems } from "./problems.js";
import { isOpen } from "./progress.js";
import { Viewer } from "./viewer.js";
import { VirtualGrid } from "./virtual_grid.js";

const ORDER = ["done", "saving", "moving", "sending", "waiting"];
const FILTERS = { all: () => true, done: (clip) => clip.stage === "done", open: isOpen };

export class Album {
  #studio;
  #player = new Player();
  #viewer;
  #filter = "all";
  #grid = new VirtualGrid(byId("clips"), (clip) => makeCard(this.#studio, this.#player, clip, (id) => this.#viewer.open(id)));
  #problems = new Problems(byId("failed"), (count) => `${counted(count, "video")} failed`, (items) => this.#actionsFor(items));

  constructor(studio) {
    this.#studio = studio;
    this.#viewer = new Viewer(studio, (id) => this.#remove([id]));
    this.#player.isPaused = prefersReducedMotion.matches;
    studio.addEventListener("stage", (event) => this.#announceStage(event.detail));
    for (const radio of document.querySelectorAll('input[name="filter"]')) {
      radio.addEventListener("change", () => {
        this.#filter = radio.value;
        this.show();
      });
    }
    byId("pause-videos").addEventListener("click", () => {
      this.#player.isPaused = !this.#player.isPaused;
      this.#player.play();
      this.show();
    });
    byId("viewer").addEventListener("close", () => this.#player.play());
  }

  show() {
    const clips = [...this.#studio.clips.values()];
    const shown = clips.filter((clip) => ORDER.includes(clip.stage)).sort(compare);
    const done = shown.filter(FILTERS.done);
    const failed = clips.filter((clip) => !ORDER.includes(clip.stage));
    byId("album").hidden = !clips.length;
    byId("download-all").hidden = !done.length;
    setText(byId("download-all"), done.length > 1 ? `Download all ${done.length}` : "Download all");
    byId("pause-videos").hidden = !done.length;
    setText(byId("pause-videos"), this.#player.isPaused ? "Play" : "Pause");
    byId("pause-videos").setAttribute("aria-label", this.#player.isPaused ? "Play the videos" : "Pause the videos");
    this.#showFilters(shown.length, done.length);
    this.#grid.show(shown.filter(FILTERS[this.#filter]));
    this.#problems.show(failed.map((clip) => this.#problem(clip)));
    this.#viewer.show(done);
  }

  #showFilters(all, done) {
    const isMixed = done > 0 && done < all;
    byId("filters").hidden = !isMixed;
    setText(byId("count-done"), `Ready (${done})`);
    setText(byId("count-open"), `Not ready (${all - done})`);
    if (isMixed || this.#filter === "all") return;
    this.#filter = "all";
    document.querySelector('input[name="filter"][value="all"]').checked = true;
  }

  #problem(clip) {
    return { ...clip, name: this.#studio.photoOf(clip).name, reason: clip.error ?? "It has failed.", picture: `/photos/${clip.photo}/small` };
  }

  #announceStage(clip) {
    const { name } = this.#studio.photoOf(clip);
    if (clip.stage === "done") announce(`The video of ${name} is ready.`);
    else if (clip.error) announce(`${name}: ${clip.error}`);
  }

  #actionsFor(items) {
    const all = items.length > 1 ? " all" : "";
    const remove = [`Remove${all}`, () => this.#remove(items.map((item) => item.id))];
    const again = [`Try${all} again`, () => this.#retry(items)];
    return items.every((item) => item.repeatable) ? [again, remove] : [remove];
  }

  async #retry(clips) {
    const cost = clips.filter((clip) => !clip.paid).reduce((sum, clip) => sum + clip.cost, 0);
    const warning = clips.some((clip) => clip.stage === "unclear") ? " It may be charged twice." : "";
    if ((cost && this.#studio.isPaid) || warning) {
      const price = this.#studio.isPaid ? ` for ${shownSeconds(cost)} video seconds` : "";
      if (!(await confirm(`Make ${counted(clips.length, "video")} again${price}?${warning}`, "Try again"))) return;
    }
    await attempt("retry", () => this.#studio.retry(clips.map((clip) => clip.id)));
  }

  async #remove(ids) {
    const clips = ids.map((id) => this.#studio.clips.get(id));
    const question = this.#questionBeforeRemoving(clips);
    if (question && !(await confirm(question, "Remove"))) return;
    await attempt("remove", async () => {
      await forEach(ids.filter((id) => this.#studio.clips.has(id)), (id) => this.#studio.remove(id));
    });
  }

  #questionBeforeRemoving(clips) {
    const { name } = this.#studio.photoOf(clips[0]);
    if (clips[0].stage === "done") return `Remove this video of ${name}? This cannot be undone.`;
    if (clips.some((clip) => clip.paid) && this.#studio.isPaid) return "This is paid for, and its video can still be fetched. Remove it all the same?";
    return clips.length > 1 ? `Remove ${counted(clips.length, "video")} that failed?` : null;
  }
}

/** Order: what is ready, by the start and then by the end; what is being made; what waits. */
function compare(a, b) {
  const isDone = a.stage === "done" && b.stage === "done";
  return (
    ORDER.indexOf(a.stage) - ORDER.indexOf(b.stage) ||
    b.added - a.added ||
    (isDone ? a.ended - b.ended : 0)
  );
}
