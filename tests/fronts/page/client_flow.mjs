// Every call of client.js against a daemon. Arguments: path of client.js, URL of the daemon, token, URL of the origin, an export in base64.
import { pathToFileURL } from "node:url";

const [path, baseUrl, token, origin, packed] = process.argv.slice(2);
const { ApiError, Client, ConnectionLost, parseEvents } = await import(pathToFileURL(path));
const client = new Client({ baseUrl, token });
const { downloads } = client.files;
const told = {};

// The snippets of the specification, as they stand.
{
  const result = await client.files.downloads.fetch({ directory: "Downloads", download: "https://files.example.com/data.csv", filename: "renamed-data.csv", timeout: 600});
  told.snippetFetch = result;
  const active = await client.files.downloads.listActive({ directory: "Downloads", downloads: ""});
  told.snippetActive = active;
  await downloads.cancel(result.download_id).catch(() => {});
}
{
  const active = await client.files.downloads.listGlobal();
  told.snippetGlobal = active;
  const history = await client.files.downloads.getHistory();
  told.snippetHistory = history;
}

const refusal = async (promise) => {
  try {
    return { unexpected: await promise };
  } catch (error) {
    return { name: error.name, code: error.code, status: error.status, detail: error.detail, api: error instanceof ApiError };
  }
};

told.deep = await downloads.fetch({ directory: "a b/ü/c%2Fd", download: `${origin}/small?x=1&y=2#z`, wait: 20 });
told.mirrors = await downloads.fetch({ directory: "m", download: [`${origin}/small`, `${origin}/other`], wait: 20 });
told.traversal = await Promise.all(["..", ".", "a/../b"].map((directory) => refusal(downloads.fetch({ directory, download: `${origin}/small` }))));
told.invalid = await refusal(downloads.fetch({ directory: "d", download: "ftp://x.example/y" }));
told.unauthorized = await refusal(new Client({ baseUrl, token: "wrong-token-wrong-token-wrong-token" }).files.downloads.listGlobal());
told.nobody = await refusal(new Client({ baseUrl: "http://127.0.0.1:9/", token }).health());
told.nobodyIsLost = await new Client({ baseUrl: "http://127.0.0.1:9/" }).health().catch((error) => error instanceof ConnectionLost);

const first = await downloads.fetch({ directory: "k", download: `${origin}/small`, idempotencyKey: "once" });
const second = await downloads.fetch({ directory: "k", download: `${origin}/small`, idempotencyKey: "once" });
told.sameId = first.download_id === second.download_id;

const slow = (await downloads.fetch({ directory: "s", download: `${origin}/slow`, speed_limit: 1000 })).download_id;
told.probe = await downloads.probe({ url: `${origin}/small`, filename: "mine" });
told.probeOfNothing = await refusal(downloads.probe({ url: `${origin}/gone` }));
const given = AbortSignal.abort();
told.probeAborted = await downloads.probe({ url: `${origin}/small` }, { signal: given }).catch((error) => error.name);
told.paused = (await downloads.pause(slow)).status;
told.changed = await downloads.change(slow, { priority: 3, speed_limit: 2000 });
told.moved = await downloads.move(slow, "top");
told.resumed = (await downloads.resume(slow)).message;
told.acted = await downloads.act("pause", [slow, "01a20a2c-1331-706e-8ff2-4677a3499851"]);
told.pausedAll = await downloads.pauseAll();
told.resumedAll = await downloads.resumeAll();
told.one = (await downloads.get(slow)).id === slow;
// Until here, it outlasts the calls on a slow machine.
await downloads.change(slow, { speed_limit: 0 });
const waited = downloads.wait(slow);
told.waited = (await waited).status;
told.waitedForThePast = (await downloads.wait(slow)).status;
told.waitedForNothing = await refusal(downloads.wait("01a20a2c-1331-706e-8ff2-4677a3499851"));
told.batch = await downloads.batch([{ url: `${origin}/small`, directory: "b" }, { url: "nonsense" }]);
told.allRefused = await downloads.batch([{ url: "nonsense" }]);
const failed = (await downloads.fetch({ directory: "f", download: `${origin}/gone`, wait: 20 }).catch((error) => error.body)).download_id;
told.retried = (await downloads.retry(failed)).message;
await downloads.wait(failed);
told.notCancelled = await refusal(downloads.cancel(failed));
told.removed = (await downloads.remove(failed)).message;
told.file = (await (await downloads.file(told.deep.download_id)).arrayBuffer()).byteLength;
told.range = await (await downloads.file(told.deep.download_id, { start: 990, end: 995 })).arrayBuffer().then((body) => body.byteLength);
const linked = await fetch(await downloads.fileLink(told.deep.download_id, { save: true }));
told.linked = [linked.status, linked.headers.get("Content-Disposition"), (await linked.arrayBuffer()).byteLength];
told.files = await downloads.listFiles({ directory: "a b/ü/c%2Fd", limit: 5 });
told.noFile = await refusal(downloads.file(failed));
told.notRemoved = await refusal(downloads.remove(failed, { file: true }));
told.removedFile = (await downloads.remove(told.deep.download_id, { file: true })).message;
told.removedMany = await downloads.removeHistory({ directory: "m", status: "completed" });
told.page = await downloads.getHistory({ limit: 1 });
told.nextPage = await downloads.getHistory({ limit: 1, cursor: told.page.next });
told.directories = await client.directories({ prefix: "a" });
told.settings = await client.settings();
told.changedSettings = await client.changeSettings({ max_concurrent: 7 });
told.refusedSettings = await refusal(client.changeSettings({ speed: 1 }));
told.schedule = await client.schedules.add({ name: "nightly", cron: "0 2 * * *", url: `${origin}/small`, directory: "n", keep: 2 });
told.changedSchedule = (await client.schedules.change("nightly", { paused: true })).paused;
told.refusedSchedule = await refusal(client.schedules.change("nightly", { cron: "nightly" }));
told.run = (await client.schedules.run("nightly")).last_download;
told.ranSchedule = (await downloads.wait(told.run)).status;
told.schedules = [(await client.schedules.list()).schedules.length, (await client.schedules.get("nightly")).keep];
told.removedSchedule = (await client.schedules.remove("nightly")).message;
told.health = await client.health();
told.nodes = (await client.nodes()).nodes;
told.errors = (await client.errors()).length;
told.openapi = (await client.openapi()).openapi;
told.metrics = (await client.metrics()).includes("downloadd_");

const upload = await client.imports.upload({ importerKey: "slack", fileName: "export.zip", file: Buffer.from(packed, "base64") });
told.upload = upload.operation.status;
let data;
do {
  await new Promise((resolve) => setTimeout(resolve, 30));
  data = await client.imports.data();
} while (data.waiting);
told.channels = data.channels.map((channel) => channel.name);
told.started = await client.imports.start({ users: { list: [] }, channels: { all: true } });
told.pending = await client.imports.downloadFiles();
told.avatars = await client.imports.downloadAvatars();
told.current = (await client.imports.current()).importerKey;
told.progress = (await client.imports.progress()).key;
told.latest = (await client.imports.latest()).length;
told.cancelled = await refusal(client.imports.cancel("nobody"));
told.givenUp = await refusal(client.imports.cancel("nobody", { giveUp: true }));
told.publicFile = await refusal(client.imports.fetch({ importerKey: "nonsense", fileUrl: `${origin}/small` }));

// Events: a reader that leaves ends its connection, and what comes in pieces is put together.
const states = [];
const stop = new AbortController();
for await (const { event } of client.events({ signal: stop.signal, onState: (state) => states.push(state.connected) })) {
  told.firstEvent = event;
  stop.abort();
}
told.states = states;
const encoder = new TextEncoder();
const pieces = ["id: 1-2\r\nevent: down", "load\r\ndata: {\"a\":", "1}\r\n\r\n: comment\n\ndata: x\ndata: ", "y\n\nid: 9\n\n"];
const body = new ReadableStream({
  start(controller) {
    for (const piece of pieces) controller.enqueue(encoder.encode(piece));
    controller.close();
  },
});
told.parsed = [];
for await (const message of parseEvents(body)) told.parsed.push(message);
console.log(JSON.stringify(told));
