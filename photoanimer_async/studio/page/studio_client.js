// The client of the studio's API: its state, received as server-sent events, and requests.

/** The studio did not answer: it was stopped, or the network is down. */
export class UnreachableError extends Error {
  constructor() {
    super("The studio cannot be reached.");
  }
}

/** Milliseconds; the studio sends an event every 20 seconds. */
const MOST_SILENCE = 50_000;

export class StudioClient extends EventTarget {
  photos = new Map();
  clips = new Map();
  voice = null;
  account = { service: null, seconds: null, error: null, cancels: false };
  previews = { possible: false, of: "sample", ready: [] };
  expressions = [];
  formats = [];
  limits = { photo: Infinity, side: null, voice: Infinity };
  /** Whether the studio can be reached; null until that is known. */
  isConnected = null;
  #events = null;
  #heardAt = 0;
  #clockOffset = 0;

  constructor() {
    super();
    addEventListener("online", () => this.connect());
    setInterval(() => this.#reconnectIfSilent(), 5000);
  }

  /** Receive events while the page is open, and reconnect when the studio is back. */
  connect() {
    this.#events?.close();
    this.#heardAt = Date.now();
    const events = new EventSource("/api/events");
    this.#events = events;
    events.addEventListener("alive", () => (this.#heardAt = Date.now()));
    events.addEventListener("all", (event) => {
      this.#setState(JSON.parse(event.data));
      this.#setConnected(true);
      this.#dispatch("change");
    });
    events.addEventListener("some", (event) => {
      this.#heardAt = Date.now();
      for (const item of JSON.parse(event.data)) this.#setItem(item);
      this.#dispatch("change");
    });
    events.onerror = () => {
      this.#setConnected(false);
      if (events.readyState === EventSource.CLOSED) setTimeout(() => this.connect(), 2000);
    };
  }

  /** A network that is lost ends no connection: the studio's regular events are missing. */
  #reconnectIfSilent() {
    if (Date.now() - this.#heardAt < MOST_SILENCE) return;
    this.#setConnected(false);
    this.connect();
  }

  /** The studio's clock, in seconds since the epoch. */
  get now() {
    return Date.now() / 1000 + this.#clockOffset;
  }

  photoOf(clip) {
    return this.photos.get(clip.photo) ?? { name: "photo" };
  }

  titleOf(clip) {
    return this.expressions.find((each) => each.template === clip.template)?.title ?? "";
  }

  /** Whether video seconds are paid for. */
  get isPaid() {
    return this.account.service !== null;
  }

  #setConnected(isConnected) {
    if (this.isConnected === isConnected) return;
    this.isConnected = isConnected;
    this.#dispatch("connection");
  }

  #setState({ photos, clips, now, ...rest }) {
    Object.assign(this, rest);
    this.#clockOffset = now - Date.now() / 1000;
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
  start = (photos, template, voice, everyone) =>
    request("POST", "/api/clips", { photos, template, voice, everyone });
  retry = (ids) => request("POST", "/api/clips/retry", { clips: ids });
  stop = (ids) => request("POST", "/api/clips/stop", { clips: ids });
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
    throw new UnreachableError();
  }
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  const result = isJson ? await response.json() : null;
  if (!response.ok) throw new Error(result?.error ?? `The studio answered with status ${response.status}.`);
  return result;
}
