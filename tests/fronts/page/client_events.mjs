// Follows the events until a download has ended, across a death of the daemon. Arguments: path of client.js, URL, token, number of ends.
import { pathToFileURL } from "node:url";

const [path, baseUrl, token, ends] = process.argv.slice(2);
const { Client } = await import(pathToFileURL(path));
const client = new Client({ baseUrl, token });
const stop = new AbortController();
const ended = new Set();
const onState = ({ connected }) => console.log(JSON.stringify({ connected }));
for await (const { event, data } of client.events({ signal: stop.signal, onState })) {
  if (event === "history") ended.add(data.id);
  if (ended.size === Number(ends)) stop.abort();
}
console.log(JSON.stringify({ ended: [...ended] }));
