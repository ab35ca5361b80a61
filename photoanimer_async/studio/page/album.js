// The album: clips in progress, finished videos beside their photos, and failures with the reason.

import { announce, byId, confirm, element, KeyedList, setText, shownSeconds } from "./dom.js";
import { Viewer } from "./viewer.js";

const STAGES = {
  waiting: [1, "Waiting in the queue"],
  sending: [2, "Sending the photo"],
  moving: [3, "Animating"],
  saving: [4, "Saving the video"],
};
const PLAY = "M6 4v16l14-8z";
const PAUSE = "M6 4h4v16H6zM14 4h4v16h-4z";
const SVG = "http://www.w3.org/2000/svg";
const prefersReducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export class Album {
  #studio;
  #list = new KeyedList(byId("clips"), (clip) => this.#card(clip));
  #viewer;
  /** Videos play while they are visible, unless the user has paused them. */
  #visibility = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (target.dataset.stopped) continue;
      if (isIntersecting) target.play().catch(() => {});
      else target.pause();
    }
  });

  constructor(studio) {
    this.#studio = studio;
    this.#viewer = new Viewer(studio);
    studio.addEventListener("stage", (event) => this.#announceStage(event.detail));
  }

  show() {
    const clips = [...this.#studio.clips.values()].sort((a, b) => b.added - a.added);
    const done = clips.filter((clip) => clip.stage === "done");
    byId("album").hidden = !clips.length;
    byId("download-all").hidden = !done.length;
    setText(byId("download-all"), done.length > 1 ? `Download all ${done.length}` : "Download all");
    this.#list.show(clips);
    this.#viewer.show(done);
  }

  #announceStage(clip) {
    const name = this.#name(clip);
    if (clip.stage === "done") announce(`The video of ${name} is ready.`);
    if (clip.error) announce(`${name}: ${clip.error}`);
  }

  #name(clip) {
    return this.#studio.photos.get(clip.photo)?.name ?? "photo";
  }

  #title(clip) {
    return this.#studio.expressions.find((each) => each.template === clip.template)?.title ?? "";
  }

  #card(clip) {
    const name = this.#name(clip);
    const small = `/photos/${clip.photo}/small`;
    const moving = element("div", { class: "moving" });
    const still = element("div", {}, element("img", { src: small, alt: `${name}, the photo` }));
    const stage = element("p", { class: "stage" });
    const progress = element("progress", { max: 5, "aria-label": `Progress of ${name}` });
    const errorText = element("p", { class: "trouble" });
    const actions = element("div", { class: "actions" });
    const voice = clip.voice ? `, with the voice ${clip.voice}` : "";
    const node = element(
      "li",
      { class: "clip" },
      element("div", { class: "pair" }, still, moving),
      element("div", { class: "words" }, element("h3", {}, name), element("p", { class: "how" }, `${this.#title(clip)}${voice}`)),
      stage,
      progress,
      errorText,
      actions,
    );
    let shown = null;
    const update = (now) => {
      if (now.stage === shown) return;
      shown = now.stage;
      const [step, words] = STAGES[now.stage] ?? [0, ""];
      node.dataset.stage = now.stage;
      node.classList.toggle("working", step > 0);
      stage.hidden = progress.hidden = !step;
      setText(stage, words);
      progress.value = step;
      errorText.hidden = !now.error;
      setText(errorText, now.error ?? "");
      moving.replaceChildren(...(now.stage === "done" ? this.#video(now, name) : [element("img", { src: small, alt: "" }), element("div", { class: "veil" })]));
      actions.replaceChildren(...this.#actions(now, name));
    };
    return { node, update };
  }

  #video(clip, name) {
    const icon = (shape) => {
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", "0 0 24 24");
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", shape);
      svg.append(path);
      return svg;
    };
    const video = element("video", {
      src: `/clips/${clip.id}`,
      loop: "",
      playsinline: "",
      preload: "metadata",
      poster: `/photos/${clip.photo}/small`,
      "aria-label": `${name}: ${this.#title(clip)}`,
    });
    video.muted = !clip.voice;
    if (clip.voice || prefersReducedMotion.matches) video.dataset.stopped = "yes";
    const button = element("button", {
      class: "play",
      type: "button",
      click: () => {
        if (video.paused) {
          delete video.dataset.stopped;
          video.play().catch(() => {});
        } else {
          video.dataset.stopped = "yes";
          video.pause();
        }
      },
    });
    const showButton = () => {
      button.setAttribute("aria-label", `${video.paused ? "Play" : "Pause"} ${name}`);
      button.replaceChildren(icon(video.paused ? PLAY : PAUSE));
    };
    video.addEventListener("play", showButton);
    video.addEventListener("pause", showButton);
    showButton();
    this.#visibility.observe(video);
    const enlarge = element("button", {
      class: "enlarge",
      type: "button",
      "aria-label": `Show ${name} large`,
      click: () => this.#viewer.open(clip.id),
    });
    return [video, enlarge, button];
  }

  #actions(clip, name) {
    const button = (text, label, action) =>
      element("button", { class: "button quiet small", type: "button", "aria-label": label, click: () => this.#run(action, name) }, text);
    const remove = button("Remove", `Remove ${name}`, () => this.#remove(clip, name));
    if (clip.stage === "done") {
      return [
        element("a", { class: "button small", href: `/clips/${clip.id}/download`, download: "", "aria-label": `Download ${name}` }, "Download"),
        button("Another expression", `Another expression for ${name}`, () => this.#chooseAgain(clip)),
        remove,
      ];
    }
    if (!clip.error) return [];
    const price = clip.paid ? "at no cost" : `for ${shownSeconds(clip.cost)} video seconds`;
    const retry = button("Try again", `Try ${name} again, ${price}`, () => this.#retry(clip, name, price));
    return clip.repeatable ? [retry, remove] : [remove];
  }

  async #run(action, name) {
    try {
      await action();
    } catch (error) {
      announce(`${name}: ${error.message}`);
    }
  }

  async #chooseAgain(clip) {
    await this.#studio.setWaiting(clip.photo, true);
    byId("photos").focus();
    byId("photos").scrollIntoView({ block: "start" });
    announce(`${this.#name(clip)} is selected: choose another expression.`);
  }

  async #retry(clip, name, price) {
    const warning = clip.stage === "unclear" ? " It may be charged twice." : "";
    if ((this.#studio.account.service && !clip.paid) || warning) {
      if (!(await confirm(`Try ${name} again, ${price}?${warning}`, "Try again"))) return;
    }
    await this.#studio.retry([clip.id]);
  }

  async #remove(clip, name) {
    const text = clip.stage === "done" ? `Remove this video of ${name}? This cannot be undone.` : null;
    if (text && !(await confirm(text, "Remove"))) return;
    await this.#studio.remove(clip.id);
  }
}
