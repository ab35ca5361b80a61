// The client of the studio's API: its state, received as server-sent events, and requests.

export class StudioClient extends EventTarget {
  photos = new Map();
  clips = new Map();
  voice = null;
  account = { service: null, seconds: null, error: null };
  previews = { possible: false, of: "sample", ready: [] };
  expressions = [];
  formats = [];
  limits = { photo: Infinity, side: null, voice: Infinity };
  #events = null;

  /** Receive events while the page is open, and reconnect when the studio is back. */
  connect() {
    this.#events?.close();
    const events = new EventSource("/api/events");
    this.#events = events;
    events.addEventListener("all", (event) => {
      this.#setState(JSON.parse(event.data));
      this.#dispatch("connection", true);
      this.#dispatch("change");
    });
    events.addEventListener("some", (event) => {
      for (const item of JSON.parse(event.data)) this.#setItem(item);
      this.#dispatch("change");
    });
    events.onerror = () => {
      this.#dispatch("connection", false);
      if (events.readyState === EventSource.CLOSED) setTimeout(() => this.connect(), 2000);
    };
  }

  #setState({ photos, clips, ...rest }) {
    Object.assign(this, rest);
    this.photos = new Map(photos.map((photo) => [photo.id, photo]));
    this.clips = new Map(clips.map((clip) => [clip.id, clip]));
  }

  #setItem({ kind, id, value }) {
    const items = { photo: this.photos, clip: this.clips }[kind];
    if (!items) {
      this[kind] = value;
      return;
    }
    const before = items.get(id);
    if (value) items.set(id, value);
    else items.delete(id);
    if (kind === "clip" && value && before?.stage !== value.stage) this.#dispatch("stage", value);
  }

  #dispatch(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  addFile = (file, at) =>
    request("POST", `/api/photos?${new URLSearchParams({ name: file.name, at })}`, file);
  addLink = (url, at) => request("POST", "/api/links", { url, at });
  setWaiting = (id, waiting) => request(waiting ? "PUT" : "DELETE", `/api/photos/${id}/waiting`);
  start = (photos, template, voice) => request("POST", "/api/clips", { photos, template, voice });
  retry = (ids) => request("POST", "/api/clips/retry", { clips: ids });
  remove = (id) => request("DELETE", `/api/clips/${id}`);
  removeVoice = () => request("DELETE", "/api/voice");
  setVoice = (file, seconds) =>
    request("PUT", `/api/voice?${new URLSearchParams({ name: file.name, seconds })}`, file);
}

/** Send a request; a refusal throws an error with the text to show. */
async function request(method, path, body) {
  const isFile = body instanceof Blob;
  let response;
  try {
    response = await fetch(path, {
      method,
      body: body && !isFile ? JSON.stringify(body) : body,
      headers: { "Content-Type": isFile ? "application/octet-stream" : "application/json" },
    });
  } catch {
    throw new Error("The studio cannot be reached. Check that it is still running, then try again.");
  }
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  const result = isJson ? await response.json() : null;
  if (!response.ok) throw new Error(result?.error ?? `The request failed with status ${response.status}.`);
  return result;
}
