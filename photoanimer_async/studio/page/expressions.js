// The six expressions with their previews, and the voice for the talking one.

import { byId, element, prefersReducedMotion, setText, shownSeconds } from "./dom.js";
import { attempt, dismissMessage, showMessage } from "./messages.js";

const STORAGE_KEY = "photoanimer-expression";
const TALKING = 0;
const DEFAULT = 1;

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
    byId("everyone").addEventListener("change", changed);
    byId("voice-drop").addEventListener("click", () => attempt("voice", () => studio.removeVoice()));
  }

  /** The chosen expression. */
  get template() {
    const checked = document.querySelector('input[name="expression"]:checked');
    return checked ? Number(checked.value) : DEFAULT;
  }

  get chosen() {
    return this.#studio.expressions.find((each) => each.template === this.template);
  }

  /** Whether all faces of a photo are to move. */
  get everyone() {
    return !byId("everyone-row").hidden && byId("everyone").checked;
  }

  /** The voice for the chosen expression, or null. */
  get voice() {
    return this.template === TALKING ? this.#studio.voice : null;
  }

  /** Move the focus to the chosen expression. */
  focus() {
    const radio = document.querySelector('input[name="expression"]:checked');
    radio?.focus({ preventScroll: true });
    byId("expressions").scrollIntoView({ block: "center" });
  }

  show() {
    const { previews, expressions } = this.#studio;
    if (!this.#choices.size) for (const each of expressions) this.#addChoice(each);
    byId("expressions").classList.toggle("no-previews", !previews.possible);
    byId("pause").hidden = !previews.ready.length;
    setText(byId("pause"), this.#isPaused ? "Play" : "Pause");
    byId("pause").setAttribute("aria-label", this.#isPaused ? "Play the previews" : "Pause the previews");
    for (const [template, choice] of this.#choices) {
      const isReady = previews.ready.includes(template);
      const source = isReady ? `/previews/${previews.of}/${template}` : "";
      if (choice.source !== source) this.#showPreview(choice, source);
    }
    const isGroup = [...this.#studio.photos.values()].some((photo) => photo.waiting && photo.faces > 1);
    byId("everyone-row").hidden = !isGroup || !this.#studio.account.everyone;
    setText(byId("chosen-words"), this.chosen?.description ?? "");
    setText(byId("previews-hint"), this.#hint());
    this.#showVoice();
  }

  #hint() {
    const { previews, photos, account } = this.#studio;
    const photo = photos.get(previews.of);
    const subject = photo ? `The previews show ${photo.name}.` : "The previews show a sample portrait.";
    const free = account.service ? " They are made on this machine and cost nothing." : "";
    const warning = account.service ? ` Videos from ${account.service} may look different.` : "";
    return `${previews.possible ? subject + free : ""}${warning}`.trim();
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
    const length = this.#studio.isPaid ? `${shownSeconds(seconds)} seconds` : "";
    const screen = element("span", { class: "screen", "aria-hidden": "true" });
    const about = element(
      "span",
      { class: "about" },
      element("span", { class: "title" }, title),
      element("span", { class: "words", id: `words-${template}` }, description),
      element("span", { class: "length", hidden: !length }, length),
    );
    this.#choices.set(template, { screen, source: null });
    byId("choices").append(element("label", { class: "choice" }, screen, about, radio));
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
    this.show();
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
    dismissMessage("voice");
    try {
      if (file.size >= this.#studio.limits.voice) throw new Error("The sound file is too large: it must have less than 15 MB.");
      await this.#studio.setVoice(file, (await durationOf(file)) ?? "");
    } catch (error) {
      showMessage("voice", error.message, [["Choose another sound", () => byId("voice-file").click()]]);
    }
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
