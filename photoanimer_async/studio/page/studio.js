// The studio's side: what it tells by server-sent events, and what can be asked of it.

export class Studio extends EventTarget {
  photos = new Map();
  clips = new Map();
  voice = null;
  account = { service: null, seconds: null, error: null };
  previews = { possible: false, of: "sample", ready: [] };
  expressions = [];
  formats = [];
  limits = { photo: Infinity, side: null, voice: Infinity };
  #events = null;

  /** Listens for as long as the page is open; comes back by itself when the studio does. */
  connect() {
    this.#events?.close();
    const events = new EventSource("/api/events");
    this.#events = events;
    events.addEventListener("all", (event) => {
      this.#takeAll(JSON.parse(event.data));
      this.#tell("connection", true);
      this.#tell("change");
    });
    events.addEventListener("some", (event) => {
      for (const part of JSON.parse(event.data)) this.#take(part);
      this.#tell("change");
    });
    events.onerror = () => {
      this.#tell("connection", false);
      if (events.readyState === EventSource.CLOSED) setTimeout(() => this.connect(), 2000);
    };
  }

  #takeAll({ photos, clips, ...rest }) {
    Object.assign(this, rest);
    this.photos = new Map(photos.map((photo) => [photo.id, photo]));
    this.clips = new Map(clips.map((clip) => [clip.id, clip]));
  }

  #take({ kind, id, value }) {
    const things = { photo: this.photos, clip: this.clips }[kind];
    if (!things) {
      this[kind] = value;
      return;
    }
    const before = things.get(id);
    if (value) things.set(id, value);
    else things.delete(id);
    if (kind === "clip" && value && before?.stage !== value.stage) this.#tell("stage", value);
  }

  #tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  addFile = (file, at) =>
    request("POST", `/api/photos?${new URLSearchParams({ name: file.name, at })}`, file);
  addLink = (url, at) => request("POST", "/api/links", { url, at });
  setWaiting = (id, waiting) => request(waiting ? "PUT" : "DELETE", `/api/photos/${id}/waiting`);
  start = (photos, template, voice) => request("POST", "/api/clips", { photos, template, voice });
  retry = (id) => request("POST", `/api/clips/${id}/retry`);
  remove = (id) => request("DELETE", `/api/clips/${id}`);
  dropVoice = () => request("DELETE", "/api/voice");
  setVoice = (file, seconds) =>
    request("PUT", `/api/voice?${new URLSearchParams({ name: file.name, seconds })}`, file);
}

/** Asks the studio; what it refuses is an error with its own words. */
async function request(method, path, body) {
  const isFile = body instanceof Blob;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      body: body && !isFile ? JSON.stringify(body) : body,
      headers: { "Content-Type": isFile ? "application/octet-stream" : "application/json" },
    });
  } catch {
    throw new Error("The studio can not be reached. Is it still running?");
  }
  const isJson = answer.headers.get("Content-Type")?.startsWith("application/json");
  const said = isJson ? await answer.json() : null;
  if (!answer.ok) throw new Error(said?.error ?? "The studio did not take that.");
  return said;
}
