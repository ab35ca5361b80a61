// One line for all videos that are being made, also in the title of the tab, and their end.

import { button, byId, confirm, counted, setText } from "./dom.js";
import { attempt, showMessage } from "./messages.js";

const TITLE = document.title;
const LATEST = 10;
/** The least number of ended clips from which the time left is estimated. */
const ENOUGH = 2;

export const isOpen = (clip) => ["waiting", "sending", "moving", "saving"].includes(clip.stage);

export class Progress {
  #studio;
  #wasRunning = false;

  constructor(studio) {
    this.#studio = studio;
    byId("stop-all").addEventListener("click", () => this.#stopAll());
    byId("notify").addEventListener("click", async () => {
      await Notification.requestPermission();
      this.show();
    });
    setInterval(() => this.show(), 5000);
  }

  show() {
    const clips = [...this.#studio.clips.values()];
    const open = clips.filter(isOpen);
    byId("progress").hidden = !open.length;
    if (!open.length) return this.#end(clips);
    const started = Math.min(...open.map((clip) => clip.added));
    const run = clips.filter((clip) => clip.added >= started);
    const ended = run.filter((clip) => !isOpen(clip));
    const left = timeLeft(ended, open.length, started, this.#studio.now);
    const text = `${ended.length} of ${run.length}${left ? `, ${left}` : ""}`;
    this.#wasRunning = true;
    document.title = `${ended.length} of ${run.length} · ${TITLE}`;
    setText(byId("progress-text"), text);
    byId("progress-bar").max = run.length;
    byId("progress-bar").value = ended.length;
    byId("stop-all").disabled = !open.some((clip) => canStop(this.#studio, clip));
    byId("notify").hidden = !("Notification" in window) || Notification.permission !== "default" || !isSecureContext;
  }

  /** Say once that all is done, also outside of the page. */
  #end(clips) {
    if (!this.#wasRunning) return;
    this.#wasRunning = false;
    document.title = TITLE;
    const latest = Math.max(0, ...clips.map((clip) => clip.added));
    const run = clips.filter((clip) => clip.added === latest);
    const done = run.filter((clip) => clip.stage === "done").length;
    const failed = run.length - done;
    if (!run.length) return;
    const text = failed ? `${counted(done, "video")} ready, ${failed} failed.` : done === 1 ? "The video is ready." : `All ${done} videos are ready.`;
    document.title = `✓ ${TITLE}`;
    addEventListener("focus", () => (document.title = TITLE), { once: true });
    showMessage("end", text, [["Show", () => byId("album").scrollIntoView({ block: "start" })]], "note");
    if (document.hidden && "Notification" in window && Notification.permission === "granted") new Notification(text, { icon: "/page/mark.svg" });
  }

  async #stopAll() {
    const open = [...this.#studio.clips.values()].filter((clip) => isOpen(clip) && canStop(this.#studio, clip));
    const what = open.length === 1 ? "the video" : `all ${open.length} videos`;
    if (await confirm(`Stop ${what} that ${open.length === 1 ? "is" : "are"} not ready? ${consequence(this.#studio)}`, "Stop")) {
      await stop(this.#studio, open.map((clip) => clip.id));
    }
  }
}

/** What stopping means where videos are paid for. */
function consequence({ isPaid, account }) {
  if (!isPaid) return "Their photos stay selected.";
  return account.cancels
    ? "Their video seconds are given back."
    : "Photos that were sent already are paid for: their videos still arrive.";
}

/** Stop clips, and say which continue since they are paid for. */
export async function stop(studio, ids) {
  const result = await attempt("stop", () => studio.stop(ids));
  if (result?.paid) {
    const goesOn = result.paid === 1 ? "1 was sent already and is paid for: its video still arrives." : `${result.paid} were sent already and are paid for: their videos still arrive.`;
    const stopped = result.stopped ? `${counted(result.stopped, "video")} stopped. ` : "";
    showMessage("stopped", stopped + goesOn, [], "note");
  }
}

/** Whether stopping a clip has an effect: one that is paid for continues where nothing is cancelled. */
export const canStop = (studio, clip) => !clip.stopping && (!clip.paid || studio.account.cancels);

/** Make the button that stops one clip. */
export const stopButton = (studio, clip, name) =>
  button("Stop", () => stop(studio, [clip.id]), { class: "button quiet small", "aria-label": `Stop ${name}` });

/** Return the time left in words, from how quickly the latest clips have ended; "" if unknown. */
export function timeLeft(ended, open, started, now) {
  const ends = ended.map((clip) => clip.ended).filter((end) => end > started).sort((a, b) => a - b);
  if (ends.length < ENOUGH) return "";
  const before = ends.length > LATEST ? ends.at(-LATEST - 1) : started;
  const minutes = ((now - before) / Math.min(ends.length, LATEST)) * open / 60;
  if (minutes < 1) return "less than a minute left";
  if (minutes < 90) return minutes < 1.5 ? "about a minute left" : `about ${Math.round(minutes)} minutes left`;
  return `about ${Math.round(minutes / 60)} hours left`;
}
