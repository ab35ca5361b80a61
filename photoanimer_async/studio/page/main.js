// Creates the parts of the page, and shows all of them after each change.

import { Album } from "./album.js";
import { byId, setText, shownSeconds } from "./dom.js";
import { Expressions } from "./expressions.js";
import { keepFocus } from "./focus.js";
import { PhotoStrip } from "./photo_strip.js";
import { retryPictures } from "./pictures.js";
import { Progress } from "./progress.js";
import { StartBar } from "./start_bar.js";
import { StudioClient } from "./studio_client.js";
import { Uploads } from "./uploads.js";

const studio = new StudioClient();
const uploads = new Uploads(studio, show);
const strip = new PhotoStrip(studio, uploads, show);
const expressions = new Expressions(studio, show);
const parts = [strip, expressions, new StartBar(studio, strip, expressions), new Progress(studio), new Album(studio)];
let hasState = false;

function show() {
  if (!hasState) return;
  const isIdle = !strip.chosen.length && studio.clips.size > 0;
  byId("expressions").hidden = isIdle;
  document.body.classList.toggle("busy", !strip.isEmpty || studio.clips.size > 0);
  document.body.classList.toggle("choosing", strip.chosen.length > 0);
  document.body.classList.remove("loading");
  for (const part of parts) part.show();
  setText(byId("account"), accountText(studio.account));
  setText(byId("foot"), storageText(studio.account));
  setText(byId("formats"), formatsText(studio));
  keepFocus();
}

function accountText({ service, seconds, error }) {
  if (service === null) return "On this machine";
  if (error) return `${service}: the balance is unknown`;
  return seconds === null ? service : `${service}: ${shownSeconds(seconds)} video seconds left`;
}

function storageText({ service }) {
  return service
    ? `Photos are sent to ${service}. The videos are stored on this machine.`
    : "Photos and videos stay on this machine.";
}

function formatsText({ formats, limits }) {
  const kinds = `${formats.slice(0, -1).join(", ")} or ${formats.at(-1)}, under ${Math.round(limits.photo / 2 ** 20)} MB`;
  return limits.side ? `${kinds}, up to ${limits.side} pixels wide and high` : `${kinds}; location and time are removed from files`;
}

studio.addEventListener("change", () => {
  hasState = true;
  show();
});
studio.addEventListener("connection", () => {
  byId("connection").hidden = studio.isConnected;
  setText(byId("connection"), studio.isConnected ? "" : "The studio cannot be reached. If it was closed, start it again: this page reconnects by itself, and nothing that was started is lost.");
  show();
});
retryPictures(studio);
studio.connect();
