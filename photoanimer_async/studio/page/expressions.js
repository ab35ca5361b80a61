// The six expressions with their previews, and the voice for the talking one.

import { announce, byId, element, setText, shownSeconds } from "./dom.js";

const STORAGE_KEY = "photoanimer-expression";
const TALKING = 0;
const DEFAULT = 1;
const prefersReducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export class Expressions {
  #studio;
  #changed;
  #choices = new Map();
  #isPaused = prefersReducedMotion.matches;

  constructor(studio, changed) {
    this.#studio = studio;
    this.#changed = changed;
    byId("pause").addEventListener("click", () => this.#setPaused(!this.#isPaused));
    byId("voice-file").addEventListener("change", (event) => this.#uploadVoice(event.target));
    byId("voice-drop").addEventListener("click", () => this.#showErrorOf(studio.removeVoice()));
  }

  /** The chosen expression. */
  get template() {
    const checked = document.querySelector('input[name="expression"]:checked');
    return checked ? Number(checked.value) : DEFAULT;
  }

  /** The voice for the chosen expression, or null. */
  get voice() {
    return this.template === TALKING ? this.#studio.voice : null;
  }

  show() {
    const { previews, expressions, photos, account } = this.#studio;
    if (!this.#choices.size) for (const each of expressions) this.#addChoice(each);
    byId("expressions").classList.toggle("no-previews", !previews.possible);
    byId("pause").hidden = !previews.ready.length;
    this.#showPauseButton();
    for (const [template, choice] of this.#choices) {
      const isReady = previews.ready.includes(template);
      const source = isReady ? `/previews/${previews.of}/${template}` : "";
      if (choice.source !== source) this.#showPreview(choice, source);
    }
    const photo = photos.get(previews.of);
    const subject = photo ? `The previews show ${photo.name}.` : "The previews show a sample portrait.";
    const hint = previews.possible ? `${subject} ${account.service ? "They are made on this machine and cost nothing. " : ""}` : "";
    const warning = account.service ? `Videos from ${account.service} may look different.` : "";
    setText(byId("previews-hint"), `${hint}${warning}`.trim());
    this.#showVoice();
  }

  #addChoice({ template, title, description, seconds }) {
    const stored = Number(localStorage.getItem(STORAGE_KEY) ?? DEFAULT);
    const radio = element("input", {
      type: "radio",
      name: "expression",
      value: template,
      checked: template === stored,
      "aria-describedby": `words-${template}`,
      change: () => {
        localStorage.setItem(STORAGE_KEY, template);
        this.#changed();
      },
    });
    const screen = element("span", { class: "screen", "aria-hidden": "true" });
    const words = element(
      "span",
      { class: "about" },
      element("span", { class: "title" }, title),
      element(
        "span",
        { id: `words-${template}` },
        element("span", { class: "words" }, description),
        element("span", { class: "length" }, `${shownSeconds(seconds)} seconds`),
      ),
    );
    this.#choices.set(template, { screen, source: null });
    byId("choices").append(element("label", { class: "choice" }, screen, words, radio));
  }

  #showPreview(choice, source) {
    choice.source = source;
    if (!source) {
      choice.screen.replaceChildren(element("span", { class: "dots" }));
      return;
    }
    const video = element("video", { src: source, loop: "", playsinline: "", preload: "auto", tabindex: "-1" });
    video.muted = true;
    if (!this.#isPaused) video.play().catch(() => {});
    choice.screen.replaceChildren(video);
  }

  #setPaused(isPaused) {
    this.#isPaused = isPaused;
    for (const video of byId("choices").querySelectorAll("video")) {
      if (isPaused) video.pause();
      else video.play().catch(() => {});
    }
    this.#showPauseButton();
  }

  #showPauseButton() {
    setText(byId("pause"), this.#isPaused ? "Play the previews" : "Pause the previews");
  }

  // --- a voice ---

  #showVoice() {
    const { voice } = this.#studio;
    byId("voice").hidden = this.template !== TALKING;
    byId("voice-drop").hidden = !voice;
    const length = voice?.seconds ? `, ${shownSeconds(voice.seconds)} seconds` : "";
    setText(byId("voice-name"), voice ? `${voice.name}${length}` : "");
  }

  async #uploadVoice(input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    if (file.size >= this.#studio.limits.voice) {
      this.#showError("The sound file is too large: it must have less than 15 MB.");
      return;
    }
    await this.#showErrorOf(this.#studio.setVoice(file, (await durationOf(file)) ?? ""));
  }

  async #showErrorOf(request) {
    try {
      await request;
    } catch (error) {
      this.#showError(error.message);
    }
  }

  #showError(text) {
    setText(byId("voice-name"), text);
    announce(text);
  }
}

/** Resolve to a sound file's duration in seconds, or null if the browser cannot read it. */
function durationOf(file) {
  const sound = new Audio();
  const url = URL.createObjectURL(file);
  return new Promise((resolve) => {
    sound.onloadedmetadata = () => resolve(Number.isFinite(sound.duration) ? sound.duration : null);
    sound.onerror = () => resolve(null);
    sound.src = url;
  }).finally(() => URL.revokeObjectURL(url));
}
