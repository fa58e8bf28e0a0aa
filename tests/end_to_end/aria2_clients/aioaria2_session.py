"""A session of aioaria2 over HTTP and WebSocket. Arguments: RPC port, secret, URL of a folder with files."""

import asyncio
import json
import sys
from typing import Any

import aioaria2

port, secret, folder = sys.argv[1:4]


async def use_http(seen: dict[str, Any]) -> None:
    async with aioaria2.Aria2HttpClient(f"http://127.0.0.1:{port}/jsonrpc", token=secret) as client:
        seen["version"] = (await client.getVersion())["version"]
        seen["methods"] = len(await client.listMethods())
        gid = await client.addUri([f"{folder}small.bin"], options={"out": "by-aioaria2.bin"})
        while (status := await client.tellStatus(gid))["status"] != "complete":
            await asyncio.sleep(0.05)
        seen["small"] = [status["totalLength"], status["files"][0]["path"].rpartition("/")[2]]
        calls = [{"methodName": "aria2.addUri", "params": [[f"{folder}small.bin"]]} for _ in range(3)]
        seen["multicall"] = [len(one[0]) for one in await client.multicall(calls)]
        seen["stat"] = sorted(await client.getGlobalStat())
        try:
            await client.tellStatus("0123456789abcdef")
        except aioaria2.Aria2rpcException as error:
            seen["unknown"] = "is not found" in str(error)


async def use_web_socket(seen: dict[str, Any]) -> None:
    client = await aioaria2.Aria2WebsocketClient.new(f"ws://127.0.0.1:{port}/jsonrpc", token=secret)
    events: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def record(_: object, data: Any) -> None:
        await events.put((data["method"], data["params"][0]["gid"]))

    for register in (client.onDownloadStart, client.onDownloadPause, client.onDownloadStop, client.onDownloadComplete):
        register(record)
    client.onDownloadError(record)
    await client.getVersion()

    async def events_of(gid: str, last: str) -> list[str]:
        methods = []
        while last not in methods:
            method, changed = await asyncio.wait_for(events.get(), 30)
            if changed == gid:
                methods.append(method)
        return methods

    gid = await client.addUri([f"{folder}small.bin"], options={"out": "by-socket.bin"})
    seen["completed"] = await events_of(gid, "aria2.onDownloadComplete")
    gid = await client.addUri([f"{folder}gone.bin"])
    seen["failed"] = await events_of(gid, "aria2.onDownloadError")
    gid = await client.addUri([f"{folder}slow.bin"])
    seen["started"] = await events_of(gid, "aria2.onDownloadStart")
    await client.pause(gid)
    seen["paused"] = await events_of(gid, "aria2.onDownloadPause")
    await client.unpause(gid)
    seen["unpaused"] = await events_of(gid, "aria2.onDownloadStart")
    await client.remove(gid)
    seen["removed"] = await events_of(gid, "aria2.onDownloadStop")
    await client.close()


async def main() -> None:
    seen: dict[str, Any] = {}
    await use_http(seen)
    await use_web_socket(seen)
    print(json.dumps(seen))


asyncio.run(main())
