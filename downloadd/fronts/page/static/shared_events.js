/**
 * One event stream for all tabs of a browser. Browsers open six HTTP/1.1 connections to a host: with a stream for each
 * tab, the seventh tab would wait for ever.
 *
 * The tab that holds a lock (Web Locks) is the leader: it receives the stream, and posts each event to the others
 * (BroadcastChannel). When it closes, the browser gives the lock to another tab, which continues after the last event
 * that it was sent. A leader that does not answer, such as a suspended tab, loses the lock to the tab that asked.
 *
 * Web Locks need a secure context (TLS or localhost). Elsewhere each tab has a stream of its own while it is visible.
 */

/** Milliseconds within which the leader answers. */
const ANSWER_TIMEOUT = 5_000;
/** Milliseconds between two questions of a visible tab. */
const PING_INTERVAL = 20_000;

/** @typedef {{event: string, data: any, id: string}} Message */

/** @type {Message} */
const RESET = { event: "reset", data: {}, id: "" };

/**
 * Yields the events of `client` like `client.events`. After a `reset`, the active downloads follow.
 *
 * @param {import("./client.js").Client} client
 * @param {object} options
 * @param {AbortSignal} options.signal ends the iteration
 * @param {(state: {connected: boolean}) => void} options.onState called when the connection of the leader is made or lost
 * @param {() => any[]} options.entries returns the active downloads of this tab, for a tab that joins
 * @returns {AsyncGenerator<Message>}
 */
export async function* sharedEvents(client, { signal, onState, entries }) {
  if (!globalThis.navigator?.locks) {
    yield* eventsWhileVisible(client, signal, onState);
    return;
  }
  const tab = new Tab(await streamName(client), signal, onState);
  try {
    while (!signal.aborted) {
      yield* tab.follow();
      if (tab.isLeader) yield* tab.lead(client, entries);
    }
  } finally {
    tab.close();
  }
}

/**
 * This tab among those with the same daemon and token.
 *
 * Messages of a leader have its term, the time at which it got the lock. Only those of the greatest term count: a former
 * leader may send some more before it notices that it has lost the lock.
 */
class Tab {
  isLeader = false;
  #id = crypto.randomUUID();
  /** Term of the leader; the greatest one seen. */
  #term = 0;
  /** @type {boolean | null} null before the first report */
  #connected = null;
  #lastEventId = "";
  /** True if this tab has the active downloads up to `#lastEventId`. */
  #isCurrent = false;
  #holdsLock = false;
  /** @type {any[]} messages of other tabs, and `held`, `lost`, `silent`, `stopped` of this one */
  #inbox = [];
  #wake = () => {};
  #release = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #answerTimer;

  /** @param {string} name @param {AbortSignal} signal @param {(state: {connected: boolean}) => void} onState */
  constructor(name, signal, onState) {
    this.name = name;
    this.signal = signal;
    this.onState = onState;
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = ({ data }) => this.#put(data);
    this.pingTimer = setInterval(() => this.#ask("ping"), PING_INTERVAL);
    this.onVisible = () => this.#ask("ping");
    document.addEventListener("visibilitychange", this.onVisible);
    signal.addEventListener("abort", () => this.#put({ kind: "stopped" }), { once: true });
    this.#requestLock(false);
  }

  close() {
    clearInterval(this.pingTimer);
    clearTimeout(this.#answerTimer);
    document.removeEventListener("visibilitychange", this.onVisible);
    this.#release();
    this.channel.close();
  }

  /** Yields the events of the leader until this tab is the leader, or is stopped. */
  async *follow() {
    this.#ask("hello");
    while (!this.signal.aborted) {
      const message = await this.#take();
      if (message.kind === "held" && this.#holdsLock) {
        this.isLeader = true;
        this.#endQuestion();
        return;
      }
      if (message.kind === "lost") this.#requestLock(false);
      else if (message.kind === "silent") this.#requestLock(true);
      else if (message.term >= this.#term) yield* this.#apply(message);
    }
  }

  /** Yields the events in a message of the leader. @param {any} message */
  *#apply(message) {
    if (message.term > this.#term) {
      this.#term = message.term;
      // A leader that continues after another event may have skipped some that this tab has not received.
      if (message.kind !== "leader" || message.id !== this.#lastEventId) this.#isCurrent = false;
      if (!this.#isCurrent && message.kind !== "snapshot") this.#ask("hello");
    }
    if (message.kind === "snapshot" && message.to === this.#id) {
      this.#isCurrent = true;
      this.#lastEventId = message.id;
      yield { ...RESET, id: message.id };
      for (const data of message.entries) yield { event: "download", data, id: message.id };
    } else if (message.kind === "event" && this.#isCurrent) {
      this.#lastEventId = message.event.id;
      yield message.event;
    }
    if (message.kind === "snapshot" || message.kind === "state") {
      this.#endQuestion();
      this.#report(message.connected);
      // Browsers slow the timers of hidden tabs down, and with them the next attempt to connect.
      if (message.connected === false && message.isHidden && !document.hidden) this.#requestLock(true);
    }
  }

  /**
   * Yields the events of the stream, and sends them to the other tabs, until the lock is lost or this tab is stopped.
   * @param {import("./client.js").Client} client
   * @param {() => any[]} entries
   */
  async *lead(client, entries) {
    const stream = new AbortController();
    this.channel.onmessage = ({ data }) => this.#answer(data, entries);
    const ended = this.#waitForEnd().then(() => stream.abort());
    this.#announce();
    if (!this.#lastEventId) {
      // The stream begins with the active downloads, and does not say which of the known ones have ended since.
      this.#post({ kind: "event", term: this.#term, event: RESET });
      if (this.#isCurrent) yield RESET;
    }
    const onState = (/** @type {{connected: boolean}} */ { connected }) => {
      this.#report(connected);
      this.#postState();
    };
    try {
      for await (const event of client.events({ signal: stream.signal, lastEventId: this.#lastEventId, onState })) {
        // Applied here before it is posted: a tab that joins in between receives it twice, and never misses it.
        yield event;
        this.#lastEventId = event.id;
        this.#post({ kind: "event", term: this.#term, event });
      }
    } finally {
      stream.abort();
      this.isLeader = false;
      this.#isCurrent = false;
      this.channel.onmessage = ({ data }) => this.#put(data);
    }
    await ended;
    if (!this.signal.aborted) this.#requestLock(false);
  }

  /** Handles a message to the leader. @param {any} message @param {() => any[]} entries */
  #answer(message, entries) {
    // The downloads of a tab that is stopped may be gone already.
    if (this.signal.aborted) return;
    if (message.kind === "hello") {
      const state = { connected: this.#connected, isHidden: document.hidden };
      const snapshot = { id: this.#lastEventId, entries: entries() };
      this.#post({ kind: "snapshot", term: this.#term, to: message.from, ...state, ...snapshot });
    } else if (message.kind === "ping") this.#postState();
    else if (message.term >= this.#term) {
      // Either tab has lost the lock and will notice; the one that has it sends the last term.
      this.#term = message.term + 1;
      this.#announce();
    }
  }

  #announce() {
    this.#post({ kind: "leader", term: this.#term, id: this.#lastEventId });
  }

  #postState() {
    this.#post({ kind: "state", term: this.#term, connected: this.#connected, isHidden: document.hidden });
  }

  /** Waits until this tab has to end its stream; other messages are for tabs that follow. */
  async #waitForEnd() {
    for (;;) {
      const { kind } = await this.#take();
      if (kind === "lost" || kind === "stopped") return;
    }
  }

  /** Asks the leader; if this tab is visible, a leader that does not answer is replaced. @param {string} kind */
  #ask(kind) {
    if (this.isLeader) return;
    this.#post({ kind });
    if (document.hidden || this.#answerTimer !== undefined) return;
    this.#answerTimer = setTimeout(() => {
      this.#answerTimer = undefined;
      this.#put({ kind: "silent" });
    }, ANSWER_TIMEOUT);
  }

  #endQuestion() {
    clearTimeout(this.#answerTimer);
    this.#answerTimer = undefined;
  }

  /** @param {boolean} steal takes the lock from the leader */
  #requestLock(steal) {
    if (this.#holdsLock) return;
    this.#release();
    const waiting = new AbortController();
    let isReleased = false;
    /** @type {(value?: unknown) => void} */
    let end = () => {};
    const ended = new Promise((resolve) => (end = resolve));
    this.#release = () => {
      isReleased = true;
      this.#holdsLock = false;
      waiting.abort();
      end();
    };
    const hold = () => {
      if (!isReleased) {
        this.#holdsLock = true;
        this.#term = Math.max(Date.now(), this.#term + 1);
        this.#put({ kind: "held" });
      }
      return ended;
    };
    navigator.locks.request(this.name, steal ? { steal } : { signal: waiting.signal }, hold).catch((error) => {
      // Another tab has stolen it, unless this one has ended its request.
      if (isReleased || error.name !== "AbortError") return;
      this.#holdsLock = false;
      this.#put({ kind: "lost" });
    });
  }

  /** @param {boolean | null} connected */
  #report(connected) {
    if (connected === null || connected === this.#connected) return;
    this.#connected = connected;
    this.onState({ connected });
  }

  /** @param {any} message */
  #post(message) {
    this.channel.postMessage({ ...message, from: this.#id });
  }

  /** @param {any} message */
  #put(message) {
    this.#inbox.push(message);
    this.#wake();
  }

  async #take() {
    while (!this.#inbox.length) await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
    return this.#inbox.shift();
  }
}

/**
 * Yields the events of a stream that is open while this tab is visible, and continues where it ended.
 * @param {import("./client.js").Client} client
 * @param {AbortSignal} signal
 * @param {(state: {connected: boolean}) => void} onState
 * @returns {AsyncGenerator<Message>}
 */
async function* eventsWhileVisible(client, signal, onState) {
  let lastEventId = "";
  let isFirst = true;
  while (!signal.aborted) {
    if (document.hidden) await nextVisibility(signal);
    else {
      // A stream without an id does not say which of the known downloads have ended.
      if (!lastEventId && !isFirst) yield RESET;
      isFirst = false;
      const stream = new AbortController();
      const change = nextVisibility(signal).then(() => stream.abort());
      for await (const message of client.events({ signal: stream.signal, lastEventId, onState })) {
        lastEventId = message.id;
        yield message;
      }
      await change;
    }
  }
}

/** Waits until this tab is shown or hidden, or `signal` is aborted. @param {AbortSignal} signal */
function nextVisibility(signal) {
  return new Promise((resolve) => {
    const done = () => {
      document.removeEventListener("visibilitychange", done);
      signal.removeEventListener("abort", done);
      resolve(undefined);
    };
    document.addEventListener("visibilitychange", done);
    signal.addEventListener("abort", done);
  });
}

/** Returns the name of the lock and the channel: tabs with another daemon or token do not share the stream. */
async function streamName(/** @type {import("./client.js").Client} */ { baseUrl, token }) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token ?? ""));
  const hash = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `downloadd events 1 ${baseUrl} ${hash}`;
}
