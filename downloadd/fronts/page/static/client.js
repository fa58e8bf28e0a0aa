/**
 * Client of downloadd for browsers and Node.js 20 or newer, in one file without dependencies.
 *
 *     import { Client } from "./client.js";
 *     const client = new Client({ baseUrl: "http://127.0.0.1:8080/", token: "…" });
 *     const result = await client.files.downloads.fetch({ directory: "Downloads", download: "https://…/data.csv" });
 *
 * Methods return the answers of the API unchanged. A refused call throws an `ApiError`; a call without an answer throws a
 * `ConnectionLost`.
 */

/** Milliseconds before the event stream reconnects; doubled after each failure. */
const INITIAL_BACKOFF = 500;
const MAX_BACKOFF = 15_000;
/** Milliseconds without a byte, including heartbeats, before the event stream counts as lost. */
const READ_TIMEOUT = 45_000;

/** The API refused the call. `code` is a code of the error table, `detail` a sentence about this case. */
export class ApiError extends Error {
  /** @param {{code: string, status: number, detail?: string | null, body?: any, retryAfter?: number | null}} facts */
  constructor({ code, status, detail = null, body = null, retryAfter = null }) {
    super(detail ? `${code}: ${detail}` : code);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
    this.detail = detail;
    /** The content of the answer; that of a refused start has its `download_id`. */
    this.body = body;
    /** Seconds to wait before the call is repeated, if the API states them. */
    this.retryAfter = retryAfter;
  }
}

/** There was no answer. */
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
   * @param {string} [options.baseUrl] address of the API; by default that of this page
   * @param {string} [options.token] sent as `Authorization: Bearer`
   * @param {typeof fetch} [options.fetch] another implementation of fetch
   */
  constructor({ baseUrl, token, fetch } = {}) {
    const base = baseUrl ?? globalThis.document?.baseURI;
    if (!base) throw new TypeError("baseUrl is needed outside of a browser");
    const url = new URL(base);
    url.search = url.hash = "";
    if (!url.pathname.endsWith("/")) url.pathname += "/";
    this.baseUrl = url.href;
    this.token = token ?? null;
    this.fetch = fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.files = { downloads: new Downloads(this) };
    this.imports = new Imports(this);
    this.schedules = new Schedules(this);
    this.users = new Users(this);
  }

  /** Returns the status and version of the daemon; needs no token. */
  health() {
    return this.call("GET", "api/v1/health");
  }

  /** Confirms that the storage root was changed on purpose; the queue goes on with the one that is there. */
  acceptStorage() {
    return this.call("POST", "api/v1/storage/accept");
  }

  /** Returns the error table. */
  async errors() {
    return (await this.call("GET", "api/v1/errors")).errors;
  }

  /** Returns the OpenAPI document. */
  openapi() {
    return this.call("GET", "api/v1/openapi.json");
  }

  /** Returns the metrics in Prometheus' text format. */
  async metrics() {
    return (await this.send("GET", "api/v1/metrics")).text();
  }

  /**
   * Returns directories whose paths begin with `prefix`, one level below its last slash.
   * @param {{prefix?: string, limit?: number, signal?: AbortSignal}} [options]
   * @returns {Promise<string[]>}
   */
  async directories({ prefix, limit, signal } = {}) {
    return (await this.call("GET", "api/v1/directories", { query: { prefix, limit }, signal })).directories;
  }

  /**
   * Returns the origins that downloads wait for or run from, those in trouble first.
   * @param {{limit?: number, signal?: AbortSignal}} [options]
   * @returns {Promise<{hosts: any[], total: number}>}
   */
  hosts({ limit, signal } = {}) {
    return this.call("GET", "api/v1/hosts", { query: { limit }, signal });
  }

  /**
   * Returns the use of the quotas of the user; null for one that the user does not have.
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<{user: string, max_concurrent: any, bytes_per_day: any, stored_bytes: any}>}
   */
  quota({ signal } = {}) {
    return this.call("GET", "api/v1/quota", { signal });
  }

  /**
   * Returns the daemons that use the database, ordered by name; on a daemon without one, itself.
   * @returns {Promise<{nodes: any[]}>}
   */
  nodes() {
    return this.call("GET", "api/v1/nodes");
  }

  /**
   * Returns the limits on all downloads that hold now.
   * @returns {Promise<{max_concurrent: number, max_per_host: number, speed_limit: number, allow_starts: boolean,
   *   hours: {hours: string, days: string[], time_zone: string} | null, next_change: number | null}>}
   */
  settings() {
    return this.call("GET", "api/v1/settings");
  }

  /**
   * Changes the given limits at once, until the daemon restarts or reads its configuration again; hours of
   * `[[limits]]` that begin or end set the limits that they have.
   * @param {{max_concurrent?: number, max_per_host?: number, speed_limit?: number, allow_starts?: boolean}} changes
   */
  changeSettings(changes) {
    return this.call("PATCH", "api/v1/settings", { json: changes });
  }

  /**
   * Yields events as `{event, data, id}` while it is iterated. A lost connection is restored; no event is missed, though
   * one may be repeated. The description of `GET /api/v1/events` in the OpenAPI document lists the names and data.
   *
   * @param {object} [options]
   * @param {AbortSignal} [options.signal] ends the iteration
   * @param {string} [options.lastEventId] id of the last event that was received before
   * @param {(state: {connected: boolean, error?: unknown}) => void} [options.onState] called when the connection is made and lost
   * @returns {AsyncGenerator<{event: string, data: any, id: string}>}
   */
  async *events({ signal, lastEventId = "", onState = () => {} } = {}) {
    let lastId = lastEventId;
    let backoff = INITIAL_BACKOFF;
    while (!signal?.aborted) {
      const connection = new AbortController();
      const stop = () => connection.abort();
      signal?.addEventListener("abort", stop, { once: true });
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      try {
        const restartTimer = () => {
          clearTimeout(timer);
          timer = setTimeout(stop, READ_TIMEOUT);
          // The timer does not keep Node.js running.
          timer?.unref?.();
        };
        restartTimer();
        const response = await this.send("GET", "api/v1/events", {
          headers: lastId ? { "Last-Event-ID": lastId } : {},
          signal: connection.signal,
        });
        onState({ connected: true });
        for await (const message of parseEvents(response.body, restartTimer)) {
          backoff = INITIAL_BACKOFF;
          if (message.id !== undefined) lastId = message.id;
          if (message.data) yield { event: message.event, data: JSON.parse(message.data), id: lastId };
        }
        onState({ connected: false });
      } catch (error) {
        if (signal?.aborted) return;
        onState({ connected: false, error });
        // The same request with the same token would have the same answer.
        if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
        if (error instanceof ApiError && error.retryAfter) backoff = Math.max(backoff, error.retryAfter * 1000);
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener("abort", stop);
        connection.abort();
      }
      await sleep(backoff * (0.75 + Math.random() / 2), signal);
      backoff = Math.min(backoff * 2, MAX_BACKOFF);
    }
  }

  /**
   * Sends a request, and returns its JSON answer.
   * @param {string} method
   * @param {string} path relative to the base
   * @param {{query?: Record<string, any>, json?: any, body?: BodyInit, headers?: Record<string, string>, signal?: AbortSignal}} [options]
   */
  async call(method, path, options) {
    return (await this.send(method, path, options)).json();
  }

  /**
   * Sends a request, and returns its successful answer.
   * @param {string} method
   * @param {string} path relative to the base
   * @param {{query?: Record<string, any>, json?: any, body?: BodyInit, headers?: Record<string, string>, signal?: AbortSignal, keepalive?: boolean}} [options]
   * @throws {ApiError | ConnectionLost}
   */
  async send(method, path, { query = {}, json, body, headers = {}, signal, keepalive } = {}) {
    const search = formatQuery(query);
    const url = this.baseUrl + path + (search ? `?${search}` : "");
    /** @type {Record<string, string>} */
    const fields = { Accept: "application/json", ...headers };
    if (this.token) fields.Authorization = `Bearer ${this.token}`;
    if (json !== undefined) fields["Content-Type"] = "application/json";
    let response;
    try {
      response = await this.fetch(url, {
        method,
        headers: fields,
        body: json === undefined ? body : JSON.stringify(json),
        signal,
        keepalive,
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ConnectionLost(error);
    }
    if (!response.ok) throw await parseErrorResponse(response);
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
   * Starts a download; returns when it is on stable storage.
   *
   * @param {object} request besides these, any parameter of `GET /{directory}?download=` in the OpenAPI document
   * @param {string} [request.directory] destination below the storage root; "" for the root itself
   * @param {string | string[]} request.download the URL, or several URLs of the same file (mirrors)
   * @param {string} [request.idempotencyKey] makes a repeated call return the result of the first one
   */
  fetch({ directory = "", idempotencyKey, ...query }) {
    const headers = idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {};
    return this.#client.call("GET", formatDirectory(directory), { query, headers });
  }

  /**
   * Returns the active downloads of one directory, oldest first.
   * @param {{directory?: string, downloads?: "", limit?: number, status?: string}} [query]
   */
  listActive({ directory = "", downloads = "", ...query } = {}) {
    return this.#client.call("GET", formatDirectory(directory), { query: { downloads, ...query } });
  }

  /**
   * Returns all active downloads, oldest first.
   * @param {{limit?: number, status?: string}} [query]
   */
  listGlobal(query = {}) {
    return this.#client.call("GET", "api/v1/downloads", { query });
  }

  /**
   * Returns a page of finished downloads, newest first; `next` is the cursor of the next page, or null.
   * @param {{limit?: number, cursor?: string, status?: string, directory?: string, q?: string, ended_before?: number, kept?: boolean, signal?: AbortSignal}} [query]
   */
  async getHistory({ signal, ...query } = {}) {
    const response = await this.#client.send("GET", "", { query: { download_history: "", ...query }, signal });
    return { ...(await response.json()), next: nextCursor(response, this.#client.baseUrl) };
  }

  /**
   * Starts up to 10,000 downloads in one call; returns one result for each, in order, also for refused ones.
   * @param {Record<string, any>[]} downloads each with `url` and any field of `BatchItem` in the OpenAPI document
   * @param {{idempotencyKey?: string}} [options]
   */
  async batch(downloads, { idempotencyKey } = {}) {
    const headers = idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {};
    try {
      return await this.#client.call("POST", "api/v1/downloads", { json: { downloads }, headers });
    } catch (error) {
      // All were refused: each result has the reason.
      if (error instanceof ApiError && Array.isArray(error.body?.downloads)) return error.body;
      throw error;
    }
  }

  /**
   * Returns what a download of a URL would find: name, size, type, ranges and validators; saves nothing.
   * @param {Record<string, any>} probe `url` and any field of `ProbeBody` in the OpenAPI document
   * @param {{signal?: AbortSignal}} [options]
   */
  probe(probe, { signal } = {}) {
    return this.#client.call("POST", "api/v1/probe", { json: probe, signal });
  }

  /**
   * Returns what would become of a download (policy, rule, directory, limits, hooks), without asking its origin.
   * @param {Record<string, any>} item `url` and any field of `BatchItem` in the OpenAPI document
   */
  explain(item) {
    return this.#client.call("POST", "api/v1/explain", { json: item });
  }

  /** Returns one download, active or finished. @param {string} id */
  get(id) {
    return this.#client.call("GET", downloadPath(id));
  }

  /**
   * Returns the file of a completed download as a `Response`, or a range of it; needs the permission `read-files`.
   * @param {string} id
   * @param {{start?: number, end?: number, signal?: AbortSignal}} [options] first byte, and the one after the last
   */
  file(id, { start = 0, end, signal } = {}) {
    const isWhole = start === 0 && end === undefined;
    const headers = isWhole ? {} : { Range: `bytes=${start}-${end === undefined ? "" : end - 1}` };
    return this.#client.send("GET", `${downloadPath(id)}/file`, { headers, signal });
  }

  /**
   * Returns a page of the finished files and the directories in a directory, by name; `next` is the cursor of the next page.
   * @param {{directory?: string, limit?: number, cursor?: string}} [query]
   */
  async listFiles({ directory = "", ...query } = {}) {
    const response = await this.#client.send("GET", formatDirectory(directory), { query: { files: "", ...query } });
    return { ...(await response.json()), next: nextCursor(response, this.#client.baseUrl) };
  }

  /**
   * Returns the media type with which a file is sent, and if browsers may show it.
   * @param {string} id
   * @returns {Promise<{type: string, isInline: boolean}>}
   */
  async fileType(id) {
    const { headers } = await this.#client.send("HEAD", `${downloadPath(id)}/file`);
    return { type: headers.get("Content-Type") ?? "", isInline: /^inline/.test(headers.get("Content-Disposition") ?? "") };
  }

  /**
   * Returns the URL of the file of a completed download, which works without a token for some hours; with `save`,
   * browsers save it instead of showing it.
   * @param {string} id
   * @param {{save?: boolean}} [options]
   * @returns {Promise<string>}
   */
  async fileLink(id, { save = false } = {}) {
    const { ticket } = await this.#client.call("POST", `${downloadPath(id)}/link`);
    const query = formatQuery({ ticket, disposition: save ? "attachment" : undefined });
    return new URL(`${downloadPath(id)}/file?${query}`, this.#client.baseUrl).href;
  }

  /**
   * Cancels an active download and removes its part file; with `keepalive`, the request outlasts its page.
   * @param {string} id
   * @param {{keepalive?: boolean}} [options]
   */
  cancel(id, { keepalive } = {}) {
    return this.#client.call("DELETE", downloadPath(id), { query: { only: "active" }, keepalive });
  }

  /**
   * Removes a finished download from the history, with `file` its file too; returns its last entry.
   * @param {string} id
   * @param {{file?: boolean}} [options]
   */
  remove(id, { file = false } = {}) {
    return this.#client.call("DELETE", downloadPath(id), { query: { only: "ended", file: file ? "true" : undefined } });
  }

  /**
   * Removes all finished downloads that match, without their files; without a filter, all of them.
   * @param {{status?: string, directory?: string, q?: string, ended_before?: number, kept?: boolean}} [query]
   */
  removeHistory(query = {}) {
    return this.#client.call("DELETE", "", { query: { download_history: "", ...query } });
  }

  /**
   * Pauses, resumes, retries, cancels or removes up to 1,000 downloads; with `file`, removes their files too. Each of the
   * `results` has the download in `active` or `ended`, or an `error`; with `keepalive`, the request outlasts its page.
   * @param {"pause" | "resume" | "retry" | "cancel" | "remove"} action
   * @param {string[]} ids
   * @param {{file?: boolean, keepalive?: boolean}} [options]
   */
  act(action, ids, { file = false, keepalive } = {}) {
    return this.#client.call("POST", "api/v1/downloads/actions", { json: { action, ids, file }, keepalive });
  }

  /** Pauses a download until it is resumed. @param {string} id */
  pause(id) {
    return this.#client.call("POST", `${downloadPath(id)}/pause`);
  }

  /** Resumes a paused download. @param {string} id */
  resume(id) {
    return this.#client.call("POST", `${downloadPath(id)}/resume`);
  }

  /**
   * Moves a queued or paused download; the answer has its `position` among them, 0 for the first, which starts next.
   * @param {string} id
   * @param {"top" | "up" | "down" | "bottom" | number} to
   */
  move(id, to) {
    return this.#client.call("POST", `${downloadPath(id)}/move`, { json: { to } });
  }

  /** Pauses all active downloads; the answer has the number of `changed` ones. */
  pauseAll() {
    return this.#client.call("POST", "api/v1/downloads/pause");
  }

  /** Resumes all paused downloads; the answer has the number of `changed` ones. */
  resumeAll() {
    return this.#client.call("POST", "api/v1/downloads/resume");
  }

  /**
   * Starts a finished download again; it continues from the `kept_bytes` of its entry, also at a new `url`.
   * @param {string} id
   * @param {{url?: string}} [options]
   */
  retry(id, { url } = {}) {
    return this.#client.call("POST", `${downloadPath(id)}/retry`, url === undefined ? undefined : { json: { url } });
  }

  /**
   * Changes the given parameters; one request field, such as `headers`, replaces all of them.
   * @param {string} id
   * @param {Record<string, any>} changes any field of `AmendBody` in the OpenAPI document
   */
  change(id, changes) {
    return this.#client.call("PATCH", downloadPath(id), { json: changes });
  }

  /**
   * Waits until a download has ended, and returns its entry of the history.
   * @param {string} id
   * @param {{signal?: AbortSignal}} [options]
   */
  async wait(id, { signal } = {}) {
    const stream = new AbortController();
    const stop = () => stream.abort();
    signal?.addEventListener("abort", stop, { once: true });
    let ended = null;
    let failure = null;
    const query = async () => {
      try {
        const entry = await this.get(id);
        if (!("end_time" in entry)) return;
        ended = entry;
      } catch (error) {
        // The stream reconnects, and then this is called again.
        if (error instanceof ConnectionLost) return;
        failure = error;
      }
      stop();
    };
    try {
      // The stream reports ends from its start on; the query finds an earlier one.
      const onState = (/** @type {{connected: boolean}} */ { connected }) => connected && query();
      for await (const { event, data } of this.#client.events({ signal: stream.signal, onState })) {
        if (event === "history" && data.id === id) return data;
        if (event === "reset") query();
      }
      if (ended) return ended;
      throw failure ?? signal?.reason ?? new Error("aborted");
    } finally {
      stop();
      signal?.removeEventListener("abort", stop);
    }
  }
}

class Schedules {
  #client;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * Returns all schedules by name, with the outcome of their last runs.
   * @returns {Promise<{schedules: any[]}>}
   */
  list() {
    return this.#client.call("GET", "api/v1/schedules");
  }

  /** Returns a schedule. @param {string} name */
  get(name) {
    return this.#client.call("GET", `api/v1/schedules/${encodeURIComponent(name)}`);
  }

  /**
   * Adds a schedule: a URL that is fetched again and again, if it has changed.
   * @param {{name: string, cron: string, url: string, time_zone?: string, directory?: string, filename?: string,
   *   keep?: number, paused?: boolean}} schedule
   */
  add(schedule) {
    return this.#client.call("POST", "api/v1/schedules", { json: schedule });
  }

  /**
   * Changes the given fields of a schedule.
   * @param {string} name
   * @param {{cron?: string, url?: string, time_zone?: string, directory?: string, filename?: string, keep?: number,
   *   paused?: boolean}} changes
   */
  change(name, changes) {
    return this.#client.call("PATCH", `api/v1/schedules/${encodeURIComponent(name)}`, { json: changes });
  }

  /** Removes a schedule; its files stay. @param {string} name */
  remove(name) {
    return this.#client.call("DELETE", `api/v1/schedules/${encodeURIComponent(name)}`);
  }

  /** Starts a run now. @param {string} name */
  run(name) {
    return this.#client.call("POST", `api/v1/schedules/${encodeURIComponent(name)}/run`);
  }
}

class Users {
  #client;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * Returns all users, for administrators.
   * @returns {Promise<{users: {id: string, permissions: string[], kind: string}[]}>}
   */
  list() {
    return this.#client.call("GET", "api/v1/users");
  }

  /**
   * Creates a user; the token of the answer is not shown again.
   * @param {{id: string, permissions?: string[]}} user
   */
  create(user) {
    return this.#client.call("POST", "api/v1/users", { json: user });
  }

  /** Gives a user another token; the former one is refused from then on. @param {string} id */
  rotate(id) {
    return this.#client.call("POST", `api/v1/users/${encodeURIComponent(id)}/rotate`);
  }

  /** Removes a user; its token is refused from then on. @param {string} id */
  revoke(id) {
    return this.#client.call("DELETE", `api/v1/users/${encodeURIComponent(id)}`);
  }
}

class Imports {
  #client;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * Uploads an export unchanged; the answer has its `operation`.
   * @param {{importerKey: string, fileName: string, file: BodyInit, signal?: AbortSignal}} upload
   */
  upload({ importerKey, fileName, file, signal }) {
    return this.#client.call("POST", "api/v1/imports", { query: { importerKey, fileName }, body: file, signal });
  }

  /** Makes the daemon download an export from a server. @param {{importerKey: string, fileUrl: string}} file */
  fetch({ importerKey, fileUrl }) {
    return this.#client.call("POST", "api/v1/downloadPublicImportFile", { json: { importerKey, fileUrl } });
  }

  /** Returns users, channels and the number of messages, or `{waiting: true}` while the file is being read. */
  data() {
    return this.#client.call("GET", "api/v1/getImportFileData");
  }

  /** Returns the progress of the newest operation. */
  progress() {
    return this.#client.call("GET", "api/v1/getImportProgress");
  }

  /** Makes the files of a selection pending. @param {{users: any, channels: any}} input */
  start(input) {
    return this.#client.call("POST", "api/v1/startImport", { json: { input } });
  }

  /**
   * Starts to download the pending files, and returns their number.
   * @param {{operation?: string, retry?: boolean, not_before?: string | number}} [which] the files of one import only;
   *   also those that failed; the time before which none starts
   */
  downloadFiles({ operation, retry, not_before } = {}) {
    return this.#client.call("POST", "api/v1/downloadPendingFiles", { query: { operation, retry, not_before } });
  }

  /**
   * Starts to download the pending avatars, and returns their number.
   * @param {{operation?: string, retry?: boolean, not_before?: string | number}} [which] the avatars of one import only;
   *   also those that failed; the time before which none starts
   */
  downloadAvatars({ operation, retry, not_before } = {}) {
    return this.#client.call("POST", "api/v1/downloadPendingAvatars", { query: { operation, retry, not_before } });
  }

  /**
   * Returns a page of what an operation does not import: `{skipped, success}`, at most `limit` entries after `cursor`.
   * @param {string} id
   * @param {{limit?: number, cursor?: string}} [page]
   */
  skipped(id, { limit, cursor } = {}) {
    return this.#client.call("GET", `api/v1/imports/${encodeURIComponent(id)}/skipped`, { query: { limit, cursor } });
  }

  /** Returns the newest operation. */
  async current() {
    return (await this.#client.call("GET", "api/v1/getCurrentImportOperation")).operation;
  }

  /** Returns the 20 operations that were updated last. */
  latest() {
    return this.#client.call("GET", "api/v1/getLatestImportOperations");
  }

  /**
   * Cancels an operation and its downloads; a finished one stays as it is.
   * @param {string} id
   * @param {{giveUp?: boolean}} [options] give up the files that are not completed, so that they are never tried again
   */
  cancel(id, { giveUp } = {}) {
    return this.#client.call("DELETE", `api/v1/imports/${encodeURIComponent(id)}`, { query: { give_up: giveUp } });
  }
}

/**
 * Yields the messages of an event stream (HTML standard, section 9.2.6).
 * @param {ReadableStream<Uint8Array> | null} body
 * @param {() => void} onBytes called for each chunk
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
async function parseErrorResponse(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    // The answer comes from a proxy.
  }
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  const sentence = typeof body?.error === "string" ? body.error : "";
  // Rocket.Chat's form: a sentence that ends with its code in brackets.
  const inBrackets = /^(.*) \[([\w-]+)\]$/s.exec(sentence);
  const [code, detail] = inBrackets ? [inBrackets[2], inBrackets[1]] : [sentence, body?.detail ?? null];
  return new ApiError({ code: code || `HTTP_${response.status}`, status: response.status, detail, body, retryAfter });
}

/** @param {Record<string, any>} query values that are undefined or null are omitted, lists are repeated */
function formatQuery(query) {
  return Object.entries(query)
    .flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => [name, one]))
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join("&");
}

/** Returns the cursor of the next page, or null. @param {Response} response @param {string} baseUrl */
function nextCursor(response, baseUrl) {
  const link = /<([^>]*)>; rel="next"/.exec(response.headers.get("Link") ?? "");
  return link ? new URL(link[1], baseUrl).searchParams.get("cursor") : null;
}

/** @param {string} directory */
function formatDirectory(directory) {
  const path = directory.split("/").filter(Boolean).map(encodeURIComponent).join("%2F");
  // fetch would resolve these before it sends them; the daemon has to receive and refuse them.
  return path === "." || path === ".." ? `%2F${path}` : path;
}

/** @param {string} id */
function downloadPath(id) {
  return `api/v1/downloads/${encodeURIComponent(id)}`;
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 */
function sleep(milliseconds, signal) {
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
