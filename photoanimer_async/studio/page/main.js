// Creates the parts of the page, and renders all of them after each change.

import { Album } from "./album.js";
import { byId, setText, shownSeconds } from "./dom.js";
import { Expressions } from "./expressions.js";
import { Order } from "./order.js";
import { StudioClient } from "./studio_client.js";
import { Tray } from "./tray.js";

const studio = new StudioClient();
const tray = new Tray(studio, show);
const expressions = new Expressions(studio, show);
const order = new Order(studio, tray, expressions);
const album = new Album(studio);

function show() {
  tray.show();
  expressions.show();
  order.show();
  album.show();
  const isIdle = !tray.isUsable && studio.clips.size > 0;
  byId("expressions").hidden = isIdle;
  document.body.classList.toggle("busy", !tray.isEmpty || studio.clips.size > 0);
  setText(byId("photos-title"), isIdle ? "Bring another photo to life" : tray.isEmpty ? "Bring a photo to life" : "Your photos");
  setText(byId("drop-words"), tray.isEmpty && !studio.clips.size ? "Drop photos here" : "or drop them anywhere");
  setText(byId("account"), accountText(studio.account));
  setText(byId("foot"), storageText(studio.account));
}

function accountText({ service, seconds, error }) {
  const where = service ?? "On this machine";
  if (error) return `${where}: the balance is unknown`;
  return seconds === null ? where : `${where}: ${shownSeconds(seconds)} video seconds left`;
}

function storageText({ service }) {
  return service
    ? `Photos are sent to ${service}. The videos are stored on this machine.`
    : "Photos and videos stay on this machine.";
}

studio.addEventListener("change", show);
studio.addEventListener("connection", (event) => {
  byId("connection").hidden = event.detail;
  setText(byId("connection"), event.detail ? "" : "The studio cannot be reached. This page reconnects by itself, and videos in progress are not lost.");
});
studio.connect();
