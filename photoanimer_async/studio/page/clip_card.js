// The card of one clip: a poster, which becomes a video while it plays, and what can be done.

import { button, byId, element, setText } from "./dom.js";
import { canStop, stopButton } from "./progress.js";

const STAGES = {
  waiting: "Waiting",
  sending: "Sending the photo",
  moving: "Being made",
  saving: "Saving the video",
};

/** Return the address of a clip's video: another one if it was made again. */
export const videoOf = (clip) => `/clips/${clip.id}?v=${clip.ended}`;

/** Make the picture that stands for a video; small ones are enough for most screens. */
function poster({ photo }) {
  const sources = `/photos/${photo}/small 200w, /photos/${photo}/poster 530w`;
  return element("img", { src: `/photos/${photo}/small`, srcset: sources, sizes: "13rem", alt: "", loading: "lazy", decoding: "async" });
}

/** Make a card; `player` decides when its video plays, `open` shows it large. */
export function makeCard(studio, player, clip, open) {
  const { name } = studio.photoOf(clip);
  const screen = element("div", { class: "screen" }, poster(clip));
  const stage = element("p", { class: "stage" });
  const actions = element("div", { class: "actions" });
  const more = `${clip.everyone ? ", everyone" : ""}${clip.voice ? `, with the voice ${clip.voice}` : ""}`;
  const how = `${studio.titleOf(clip)}${more}`;
  const node = element(
    "li",
    { class: "clip" },
    screen,
    element("h3", { class: "name", dir: "auto", title: name }, name),
    element("p", { class: "how", title: how }, how),
    stage,
    actions,
  );
  let shown = "";
  const update = (now) => {
    const state = `${now.stage} ${now.stopping} ${now.paid} ${now.ended}`;
    if (state === shown) return;
    shown = state;
    node.dataset.stage = now.stage;
    setText(stage, now.stopping ? "Stopping" : (STAGES[now.stage] ?? ""));
    stage.hidden = now.stage === "done";
    if (now.stage === "done") showVideo(now);
    else actions.replaceChildren(...(canStop(studio, now) ? [stopButton(studio, now, name)] : []));
  };
  const showVideo = (now) => {
    const enlarge = button("", () => open(now.id), { class: "enlarge", "aria-label": `Show ${name} large` });
    screen.append(enlarge);
    player.add(node, videoOf(now), `${name}: ${studio.titleOf(now)}`);
    actions.replaceChildren(
      element("a", { class: "button quiet small", href: `/clips/${now.id}/download`, download: "", "aria-label": `Download ${name}` }, "Download"),
    );
  };
  return { node, update, close: () => player.remove(node) };
}

/**
 * Plays the videos of the cards in view, one after the other, or the one that is pointed at.
 *
 * Only the card that plays has a video, since a decoded one takes some 50 MB: what is out of view
 * takes no memory and moves no bytes.
 */
export class Player {
  isPaused = false;
  #sources = new Map();
  #inView = new Set();
  #pointed = null;
  #playing = null;
  #timer = 0;
  #visibility = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) this.#inView[isIntersecting ? "add" : "delete"](target);
      this.play();
    },
    { threshold: 0.6 },
  );

  add(node, source, label) {
    if (!this.#sources.has(node)) {
      node.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && this.#point(node));
      node.addEventListener("pointerleave", () => this.#point(null));
      node.addEventListener("focusin", () => this.#point(node));
      node.addEventListener("focusout", () => this.#point(null));
    }
    this.#sources.set(node, { source, label });
    this.#visibility.observe(node);
  }

  remove(node) {
    this.#visibility.unobserve(node);
    this.#sources.delete(node);
    this.#inView.delete(node);
    if (node === this.#playing) this.#start(null);
    this.play();
  }

  #point(node) {
    this.#pointed = node;
    this.play();
  }

  /** Play what should play; a moment later, so that scrolling past a card loads nothing. */
  play() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#choose(), 250);
  }

  #choose() {
    if (byId("viewer").open) return this.#start(null);
    if (this.#pointed) return this.#start(this.#pointed);
    if (this.isPaused) return this.#start(null);
    if (!this.#inView.has(this.#playing)) this.#start(this.#inOrder()[0] ?? null);
  }

  #inOrder() {
    const isBefore = (a, b) => a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING;
    return [...this.#inView].sort((a, b) => (isBefore(a, b) ? -1 : 1));
  }

  #next(node) {
    const inView = this.#inOrder();
    return this.#pointed ?? inView[(inView.indexOf(node) + 1) % inView.length];
  }

  #start(node) {
    if (node === this.#playing) return;
    if (this.#playing) stopVideo(this.#playing);
    this.#playing = node && this.#sources.has(node) ? node : null;
    if (!this.#playing) return;
    const { source, label } = this.#sources.get(node);
    const video = element("video", { src: source, playsinline: "", preload: "auto", "aria-label": label });
    video.muted = true;
    video.addEventListener("ended", () => {
      const next = this.#next(node);
      if (next === node) video.play().catch(() => {});
      else this.#start(next);
    });
    node.querySelector(".screen img").after(video);
    video.play().catch(() => {});
  }
}

function stopVideo(node) {
  const video = node.querySelector("video");
  if (!video) return;
  video.removeAttribute("src");
  video.load(); // frees its memory, and its connection
  video.remove();
}
