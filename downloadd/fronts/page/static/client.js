/**
 * A client of downloadd for browsers and for Node.js 20 or newer, in one file and without dependencies.
 *
 *     import { Client } from "./client.js";
 *     const client = new Client({ baseUrl: "http://127.0.0.1:8080/", token: "…" });
 *     const result = await client.files.downloads.fetch({ directory: "Downloads", download: "https://…/data.csv" });
 *
 * Answers are those of the API, field by field. What the API refuses is thrown as an `ApiError`, what never reached it
 * as a `ConnectionLost`.
 */

/** How long a reader of events waits before it comes back, in milliseconds, and at most. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
/** Milliseconds without a byte, heartbeats included, after which a connection is taken for dead. */
const SILENCE = 45_000;

/** The API refused; `code` is that of the error table, `detail` a sentence about this case. */
export class ApiError extends Error {
  /** @param {{code: string, status: number, detail?: string | null, body?: any, retryAfter?: number | null}} facts */
  constructor({ code, status, detail = null, body = null, retryAfter = null }) {
    super(detail ? `${code}: ${detail}` : code);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
    this.detail = detail;
    /** The whole answer: a refused start has its `download_id`. */
    this.body = body;
    /** Seconds to wait before asking again, where the API says so. */
    this.retryAfter = retryAfter;
  }
}

/** Nobody answered. */
export class ConnectionLost extends Error {
  /** @param {unknown} cause */
  constructor(cause) {
    super("the server cannot be reached", { cause });
    this.name = "ConnectionLost";
  }
}

export class Client {
  /**
   * @param {object} [options]
   * @param {string} [options.baseUrl] where the API begins; by default where this page is
   * @param {string} [options.token] sent as `Authorization: Bearer`
   * @param {typeof fetch} [options.fetch] another implementation of fetch
   */
  constructor({ baseUrl, token, fetch: ask } = {}) {
    const base = baseUrl ?? globalThis.document?.baseURI;
    if (!base) throw new TypeError("baseUrl is needed outside of a browser");
    const url = new URL(base);
    url.search = url.hash = "";
    if (!url.pathname.endsWith("/")) url.pathname += "/";
    this.baseUrl = url.href;
    this.token = token ?? null;
    this.ask = ask ?? ((input, init) => globalThis.fetch(input, init));
    this.files = { downloads: new Downloads(this) };
    this.imports = new Imports(this);
  }

  /** Whether it answers, and its version; needs no token. */
  health() {
    return this.call("GET", "api/v1/health");
  }

  /** What each error code means and what to do about it. */
  async errors() {
    return (await this.call("GET", "api/v1/errors")).errors;
  }

  /** The OpenAPI document. */
  openapi() {
    return this.call("GET", "api/v1/openapi.json");
  }

  /** The Prometheus exposition, as text. */
  async metrics() {
    return (await this.send("GET", "api/v1/metrics")).text();
  }

  /**
   * Directories whose paths begin with `prefix`, one level below its last slash.
   * @param {{prefix?: string, limit?: number, signal?: AbortSignal}} [wanted]
   * @returns {Promise<string[]>}
   */
  async directories({ prefix, limit, signal } = {}) {
    return (await this.call("GET", "api/v1/directories", { query: { prefix, limit }, signal })).directories;
  }

  /**
   * What happens, one `{event, data, id}` after the other, for as long as it is iterated. A lost connection is taken up
   * again where it broke off; nothing is missed, though something may be told twice. `event` is `download` (an entry of
   * the listing), `history` (one of the history), `import` (an operation that moved on) or `reset` (read the history).
   *
   * @param {object} [options]
   * @param {AbortSignal} [options.signal] ends it
   * @param {string} [options.lastEventId] where an earlier reader was
   * @param {(state: {connected: boolean, error?: unknown}) => void} [options.onState] told when the connection comes and goes
   * @returns {AsyncGenerator<{event: string, data: any, id: string}>}
   */
  async *events({ signal, lastEventId = "", onState = () => {} } = {}) {
    let last = lastEventId;
    let wait = FIRST_WAIT;
    while (!signal?.aborted) {
      const silence = new AbortController();
      const stop = () => silence.abort();
      signal?.addEventListener("abort", stop, { once: true });
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      try {
        const listen = () => {
          clearTimeout(timer);
          timer = setTimeout(stop, SILENCE);
          // Node.js must be able to end while it waits.
          timer?.unref?.();
        };
        listen();
        const response = await this.send("GET", "api/v1/events", {
          headers: last ? { "Last-Event-ID": last } : {},
          signal: silence.signal,
        });
        onState({ connected: true });
        for await (const message of parseEvents(response.body, listen)) {
          wait = FIRST_WAIT;
          if (message.id !== undefined) last = message.id;
          if (message.data) yield { event: message.event, data: JSON.parse(message.data), id: last };
        }
        onState({ connected: false });
      } catch (error) {
        if (signal?.aborted) return;
        onState({ connected: false, error });
        // Asked anew with the same token, the answer would be the same.
        if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
        if (error instanceof ApiError && error.retryAfter) wait = Math.max(wait, error.retryAfter * 1000);
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener("abort", stop);
        silence.abort();
      }
      await pause(wait * (0.75 + Math.random() / 2), signal);
      wait = Math.min(wait * 2, LONGEST_WAIT);
    }
  }

  /**
   * A JSON answer.
   * @param {string} method
   * @param {string} path relative to the base
   * @param {{query?: Record<string, any>, json?: any, body?: BodyInit, headers?: Record<string, string>, signal?: AbortSignal}} [options]
   */
  async call(method, path, options) {
    return (await this.send(method, path, options)).json();
  }

  /**
   * An answer that means success.
   * @param {string} method
   * @param {string} path relative to the base
   * @param {{query?: Record<string, any>, json?: any, body?: BodyInit, headers?: Record<string, string>, signal?: AbortSignal}} [options]
   * @throws {ApiError | ConnectionLost}
   */
  async send(method, path, { query = {}, json, body, headers = {}, signal } = {}) {
    const search = formatQuery(query);
    const url = this.baseUrl + path + (search ? `?${search}` : "");
    /** @type {Record<string, string>} */
    const fields = { Accept: "application/json", ...headers };
    if (this.token) fields.Authorization = `Bearer ${this.token}`;
    if (json !== undefined) fields["Content-Type"] = "application/json";
    let response;
    try {
      response = await this.ask(url, {
        method,
        headers: fields,
        body: json === undefined ? body : JSON.stringify(json),
        signal,
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ConnectionLost(error);
    }
    if (!response.ok) throw await refusalOf(response);
    return response;
  }
}

class Downloads {
  #client;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * Starts a download; the answer comes once it is on stable storage.
   *
   * @param {object} order
   * @param {string} order.directory destination below the storage root; "" for the root itself
   * @param {string | string[]} order.download the URL, or several mirrors of the same file
   * @param {string} [order.filename]
   * @param {number} [order.timeout] seconds in all
   * @param {number} [order.segments] parallel connections
   * @param {string} [order.checksum] `sha-256=<hex>`
   * @param {"rename" | "overwrite" | "skip" | "error"} [order.conflict]
   * @param {number} [order.priority] higher starts first
   * @param {number} [order.speed_limit] bytes a second
   * @param {number} [order.wait] seconds to hold the answer until the download ends
   * @param {string} [order.idempotencyKey] makes a repeated call answer the first one's result
   */
  fetch({ directory = "", idempotencyKey, ...query }) {
    const headers = idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {};
    return this.#client.call("GET", formatDirectory(directory), { query, headers });
  }

  /**
   * What is active in one directory, oldest first.
   * @param {{directory?: string, downloads?: "", limit?: number, status?: string}} [wanted]
   */
  listActive({ directory = "", downloads = "", ...query } = {}) {
    return this.#client.call("GET", formatDirectory(directory), { query: { downloads, ...query } });
  }

  /**
   * What is active everywhere, oldest first.
   * @param {{limit?: number, status?: string}} [wanted]
   */
  listGlobal(wanted = {}) {
    return this.#client.call("GET", "api/v1/downloads", { query: wanted });
  }

  /**
   * A page of what has ended, newest first; `next` is the cursor of the page after it, or null.
   * @param {{limit?: number, cursor?: string, status?: string, directory?: string, q?: string, signal?: AbortSignal}} [wanted]
   */
  async getHistory({ signal, ...query } = {}) {
    const response = await this.#client.send("GET", "", { query: { download_history: "", ...query }, signal });
    const link = /<([^>]*)>; rel="next"/.exec(response.headers.get("Link") ?? "");
    const next = link ? new URL(link[1], this.#client.baseUrl).searchParams.get("cursor") : null;
    return { ...(await response.json()), next };
  }

  /**
   * Starts up to 10,000 downloads in one go; one result for each, in order, refused ones included.
   * @param {Record<string, any>[]} downloads each with `url`, and what `fetch` takes
   * @param {{idempotencyKey?: string}} [options]
   */
  async batch(downloads, { idempotencyKey } = {}) {
    const headers = idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {};
    try {
      return await this.#client.call("POST", "api/v1/downloads", { json: { downloads }, headers });
    } catch (error) {
      // All refused: each result says why.
      if (error instanceof ApiError && Array.isArray(error.body?.downloads)) return error.body;
      throw error;
    }
  }

  /** One download, active or ended. @param {string} id */
  get(id) {
    return this.#client.call("GET", pathOf(id));
  }

  /** Cancels it and removes what has come. @param {string} id */
  cancel(id) {
    return this.#client.call("DELETE", pathOf(id));
  }

  /** @param {string} id */
  pause(id) {
    return this.#client.call("POST", `${pathOf(id)}/pause`);
  }

  /** @param {string} id */
  resume(id) {
    return this.#client.call("POST", `${pathOf(id)}/resume`);
  }

  /** Tries an ended download again. @param {string} id */
  retry(id) {
    return this.#client.call("POST", `${pathOf(id)}/retry`);
  }

  /**
   * Changes what is given.
   * @param {string} id
   * @param {{priority?: number, speed_limit?: number, url?: string}} changes
   */
  change(id, changes) {
    return this.#client.call("PATCH", pathOf(id), { json: changes });
  }

  /**
   * The entry of the history, once the download has ended.
   * @param {string} id
   * @param {{signal?: AbortSignal}} [options]
   */
  async wait(id, { signal } = {}) {
    const listening = new AbortController();
    const stop = () => listening.abort();
    signal?.addEventListener("abort", stop, { once: true });
    let ended = null;
    let problem = null;
    const look = async () => {
      try {
        const entry = await this.get(id);
        if (!("end_time" in entry)) return;
        ended = entry;
      } catch (error) {
        // The stream comes back when the daemon does, and then it is looked again.
        if (error instanceof ConnectionLost) return;
        problem = error;
      }
      stop();
    };
    try {
      // Whatever ends once the stream has begun is told by it; whatever ended before is found by looking then.
      const onState = (/** @type {{connected: boolean}} */ { connected }) => connected && look();
      for await (const { event, data } of this.#client.events({ signal: listening.signal, onState })) {
        if (event === "history" && data.id === id) return data;
        if (event === "reset") look();
      }
      if (ended) return ended;
      throw problem ?? signal?.reason ?? new Error("aborted");
    } finally {
      stop();
      signal?.removeEventListener("abort", stop);
    }
  }
}

class Imports {
  #client;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * Uploads an export as it is; the answer has its `operation`.
   * @param {{importerKey: string, fileName: string, file: BodyInit, signal?: AbortSignal}} upload
   */
  upload({ importerKey, fileName, file, signal }) {
    return this.#client.call("POST", "api/v1/imports", { query: { importerKey, fileName }, body: file, signal });
  }

  /** Lets the daemon fetch an export that lies on a server. @param {{importerKey: string, fileUrl: string}} wanted */
  fetch({ importerKey, fileUrl }) {
    return this.#client.call("POST", "api/v1/downloadPublicImportFile", { json: { importerKey, fileUrl } });
  }

  /** Users, channels and the number of messages; `{waiting: true}` while the file is being read. */
  data() {
    return this.#client.call("GET", "api/v1/getImportFileData");
  }

  progress() {
    return this.#client.call("GET", "api/v1/getImportProgress");
  }

  /** Makes the files of a selection pending. @param {{users: any, channels: any}} input */
  start(input) {
    return this.#client.call("POST", "api/v1/startImport", { json: { input } });
  }

  /** Starts to download the pending files, and says how many. */
  downloadFiles() {
    return this.#client.call("POST", "api/v1/downloadPendingFiles");
  }

  downloadAvatars() {
    return this.#client.call("POST", "api/v1/downloadPendingAvatars");
  }

  async current() {
    return (await this.#client.call("GET", "api/v1/getCurrentImportOperation")).operation;
  }

  latest() {
    return this.#client.call("GET", "api/v1/getLatestImportOperations");
  }

  /** Ends an operation and its downloads. @param {string} id */
  cancel(id) {
    return this.#client.call("DELETE", `api/v1/imports/${encodeURIComponent(id)}`);
  }
}

/**
 * The messages of an event stream (HTML standard, section 9.2.6).
 * @param {ReadableStream<Uint8Array> | null} body
 * @param {() => void} onBytes called whenever something comes
 * @returns {AsyncGenerator<{event: string, data: string, id?: string}>}
 */
export async function* parseEvents(body, onBytes = () => {}) {
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = "message";
  /** @type {string[]} */
  let data = [];
  /** @type {string | undefined} */
  let id;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onBytes();
      const lines = (rest + value).split("\n");
      rest = lines.pop() ?? "";
      for (const raw of lines) {
        const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
        if (line === "") {
          if (data.length || id !== undefined) yield { event, data: data.join("\n"), id };
          event = "message";
          data = [];
          id = undefined;
          continue;
        }
        const colon = line.indexOf(":");
        const name = colon < 0 ? line : line.slice(0, colon);
        const text = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (name === "event") event = text;
        else if (name === "data") data.push(text);
        else if (name === "id") id = text;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {Response} response */
async function refusalOf(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    // Something between us and the daemon answered.
  }
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  const sentence = typeof body?.error === "string" ? body.error : "";
  // Rocket.Chat's manner: a sentence that ends with its code in brackets.
  const inBrackets = /^(.*) \[([\w-]+)\]$/s.exec(sentence);
  const [code, detail] = inBrackets ? [inBrackets[2], inBrackets[1]] : [sentence, body?.detail ?? null];
  return new ApiError({ code: code || `HTTP_${response.status}`, status: response.status, detail, body, retryAfter });
}

/** @param {Record<string, any>} query values that are undefined or null are left out, lists are repeated */
function formatQuery(query) {
  return Object.entries(query)
    .flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => [name, one]))
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join("&");
}

/** @param {string} directory */
function formatDirectory(directory) {
  const path = directory.split("/").filter(Boolean).map(encodeURIComponent).join("%2F");
  // Alone in the path these would be resolved before they are sent; the daemon is to see and refuse them.
  return path === "." || path === ".." ? `%2F${path}` : path;
}

/** @param {string} id */
function pathOf(id) {
  return `api/v1/downloads/${encodeURIComponent(id)}`;
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve(undefined);
    }
    signal?.addEventListener("abort", done, { once: true });
  });
}
