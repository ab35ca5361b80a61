// The six expressions, moving where the studio can show them, and a voice for the first.

import { announce, byId, element, setText, shownSeconds } from "./dom.js";

const KEPT = "photoanimer-expression";
const TALKING = 0;
const FIRST = 1;
const prefersStill = matchMedia("(prefers-reduced-motion: reduce)");

export class Expressions {
  #studio;
  #changed;
  #choices = new Map();
  #isPaused = prefersStill.matches;

  constructor(studio, changed) {
    this.#studio = studio;
    this.#changed = changed;
    byId("pause").addEventListener("click", () => this.#pause(!this.#isPaused));
    byId("voice-file").addEventListener("change", (event) => this.#takeVoice(event.target));
    byId("voice-drop").addEventListener("click", () => this.#ask(studio.dropVoice()));
  }

  /** The chosen expression. */
  get template() {
    const checked = document.querySelector('input[name="expression"]:checked');
    return checked ? Number(checked.value) : FIRST;
  }

  /** The voice that goes with it, if there is one. */
  get voice() {
    return this.template === TALKING ? this.#studio.voice : null;
  }

  show() {
    const { previews, expressions, photos, account } = this.#studio;
    if (!this.#choices.size) for (const each of expressions) this.#addChoice(each);
    byId("expressions").classList.toggle("no-previews", !previews.possible);
    byId("pause").hidden = !previews.ready.length;
    this.#showPause();
    for (const [template, choice] of this.#choices) {
      const isReady = previews.ready.includes(template);
      const source = isReady ? `/previews/${previews.of}/${template}` : "";
      if (choice.source !== source) this.#play(choice, source);
    }
    const own = photos.get(previews.of);
    const whose = own ? `A first look, with ${own.name}.` : "A first look, on a portrait that comes along.";
    const look = previews.possible ? `${whose} ${account.service ? "It is made on this machine and costs nothing. " : ""}` : "";
    const elsewhere = account.service ? `${account.service} may play them in a way of its own.` : "";
    setText(byId("previews-hint"), `${look}${elsewhere}`.trim());
    this.#showVoice();
  }

  #addChoice({ template, title, description, seconds }) {
    const kept = Number(localStorage.getItem(KEPT) ?? FIRST);
    const radio = element("input", {
      type: "radio",
      name: "expression",
      value: template,
      checked: template === kept,
      "aria-describedby": `words-${template}`,
      change: () => {
        localStorage.setItem(KEPT, template);
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

  #play(choice, source) {
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

  #pause(isPaused) {
    this.#isPaused = isPaused;
    for (const video of byId("choices").querySelectorAll("video")) {
      if (isPaused) video.pause();
      else video.play().catch(() => {});
    }
    this.#showPause();
  }

  #showPause() {
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

  async #takeVoice(input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    if (file.size >= this.#studio.limits.voice) {
      this.#complain("The sound is too large: allowed is less than 15 MB.");
      return;
    }
    await this.#ask(this.#studio.setVoice(file, (await lengthOf(file)) ?? ""));
  }

  async #ask(asked) {
    try {
      await asked;
    } catch (error) {
      this.#complain(error.message);
    }
  }

  #complain(text) {
    setText(byId("voice-name"), text);
    announce(text);
  }
}

/** How long a sound is, in seconds; `null` if the browser can not tell. */
function lengthOf(file) {
  const sound = new Audio();
  const url = URL.createObjectURL(file);
  return new Promise((tell) => {
    sound.onloadedmetadata = () => tell(Number.isFinite(sound.duration) ? sound.duration : null);
    sound.onerror = () => tell(null);
    sound.src = url;
  }).finally(() => URL.revokeObjectURL(url));
}
