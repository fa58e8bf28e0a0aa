// A session of the npm package aria2. Arguments: RPC port, secret, URL of a folder with files, transport (http or ws).
const Aria2 = require('aria2');
const [port, secret, folder, transport] = process.argv.slice(2);
const client = new Aria2({ host: '127.0.0.1', port: Number(port), secure: false, secret, path: '/jsonrpc' });
const moment = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function statusOf(gid, expected) {
    for (;;) {
        const status = await client.call('tellStatus', gid, ['gid', 'status', 'totalLength', 'errorCode']);
        if (status.status === expected) return status;
        await moment(50);
    }
}

async function main() {
    const seen = {};
    const events = [];
    if (transport === 'ws') {
        await client.open();
        for (const name of ['onDownloadStart', 'onDownloadPause', 'onDownloadStop', 'onDownloadComplete', 'onDownloadError'])
            client.on(name, ([{ gid }]) => events.push([name, gid]));
    }
    seen.methods = (await client.listMethods()).length;
    seen.notifications = (await client.listNotifications()).length;
    const small = await client.call('addUri', [`${folder}small.bin`], { out: `by-npm-${transport}.bin` });
    seen.small = (await statusOf(small, 'complete')).totalLength;
    const slow = await client.call('aria2.addUri', [`${folder}slow.bin`], { out: `slow-npm-${transport}.bin` });
    await statusOf(slow, 'active');
    await client.call('pause', slow);
    await statusOf(slow, 'paused');
    seen.multicall = await client.multicall([['tellStatus', slow, ['status']], ['tellStatus', '0123456789abcdef'], ['unpause', slow]]).catch((error) => String(error));
    await statusOf(slow, 'active');
    const batch = await Promise.allSettled(await client.batch([['getVersion'], ['remove', slow], ['pause', 'xyz']]));
    seen.batch = batch.map((one) => (one.status === 'fulfilled' ? typeof one.value : one.reason.message));
    await statusOf(slow, 'removed');
    seen.error = await client.call('unpause', slow).catch((error) => [error.code, error.message.replace(slow, 'GID')]);
    if (transport === 'ws') {
        while (!events.some(([name, gid]) => name === 'onDownloadStop' && gid === slow)) await moment(20);
        seen.events = [small, slow].map((gid) => events.filter(([, changed]) => changed === gid).map(([name]) => name));
        await client.close();
    }
    console.log(JSON.stringify(seen));
}
main().catch((error) => { console.error(error); process.exit(1); });
