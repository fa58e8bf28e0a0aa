// A session of the npm package maria2. Arguments: RPC port, secret, URL of a folder with files, transport (http or ws).
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
const require = createRequire(`${process.env.NODE_PATH}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { open, close, aria2, system } = await load('maria2');
const { createHTTP, createWebSocket } = await load('maria2/transport');
const [port, secret, folder, transport] = process.argv.slice(2);
const moment = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const create = transport === 'ws' ? createWebSocket : createHTTP;
const conn = await open(create(`${transport}://127.0.0.1:${port}/jsonrpc`), { secret });

async function statusOf(gid, expected) {
    for (;;) {
        const status = await aria2.tellStatus(conn, gid, ['gid', 'status', 'totalLength']);
        if (status.status === expected) return status;
        await moment(50);
    }
}

const seen = { events: [] };
if (transport === 'ws') aria2.onDownloadComplete(conn, ({ gid }) => seen.events.push(gid));
seen.methods = (await system.listMethods(conn)).length;
const small = await aria2.addUri(conn, [`${folder}small.bin`], { out: `by-maria2-${transport}.bin` });
seen.small = (await statusOf(small, 'complete')).totalLength;
if (transport === 'ws') while (!seen.events.length) await moment(20);
seen.events = seen.events.map((gid) => gid === small);
const paused = await aria2.addUri(conn, [`${folder}slow.bin`], { pause: 'true' });
await statusOf(paused, 'paused');
seen.position = await aria2.changePosition(conn, paused, 0, 'POS_SET');
seen.multicall = await system.multicall(conn, { methodName: 'aria2.getVersion', params: [] }, { methodName: 'aria2.tellStatus', params: [paused, ['status']] })
    .then((all) => all.length);
await aria2.remove(conn, paused);
seen.unknown = await aria2.tellStatus(conn, '0123456789abcdef').catch((error) => error.message);
console.log(JSON.stringify(seen));
close(conn);
