// The page: what each part shows follows from what the studio tells.

import { Album } from "./album.js";
import { byId, setText, shownSeconds } from "./dom.js";
import { Expressions } from "./expressions.js";
import { Order } from "./order.js";
import { Studio } from "./studio.js";
import { Tray } from "./tray.js";

const studio = new Studio();
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
  setText(byId("account"), shownAccount(studio.account));
  setText(byId("foot"), shownPlace(studio.account));
}

function shownAccount({ service, seconds, error }) {
  const where = service ?? "On this machine";
  if (error) return `${where}: the balance is not known`;
  return seconds === null ? where : `${where}: ${shownSeconds(seconds)} video seconds left`;
}

function shownPlace({ service }) {
  return service
    ? `Photos are sent to ${service}, and the videos are kept on this machine.`
    : "Photos and videos stay on this machine.";
}

studio.addEventListener("change", show);
studio.addEventListener("connection", (event) => {
  byId("connection").hidden = event.detail;
  setText(byId("connection"), event.detail ? "" : "The studio can not be reached just now. This page keeps trying, and nothing that is on its way is lost.");
});
studio.connect();
