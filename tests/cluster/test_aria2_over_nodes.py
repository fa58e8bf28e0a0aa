"""Notifications of aria2's RPC on one node about downloads that another one runs."""

import json
from functools import partial
from pathlib import Path

from support.node_stack import open_node
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import wait_until

from downloadd.download_request import DownloadRequest
from downloadd.fronts.aria2.sockets.notifier import Notifier
from downloadd.fronts.aria2.status.interruptions import Interruptions
from downloadd.fronts.aria2.status.notifications import notification_of


class Socket:
    """Recipient of notifications.

    Attributes:
        received: name and gid of each.
    """

    def __init__(self) -> None:
        self.received: list[tuple[str, str]] = []

    def may_be_notified(self) -> bool:
        return True

    def notify(self, message: bytes) -> None:
        decoded = json.loads(message)
        self.received.append((decoded["method"].removeprefix("aria2.onDownload"), decoded["params"][0]["gid"]))


async def test_a_client_on_one_node_is_notified_of_what_another_one_runs(
    tmp_path: Path, database: str, origin: Origin
) -> None:
    origin.script("/file", ScriptedResponse(size=10))
    origin.script("/missing", error_response(404))
    origin.script("/slow", ScriptedResponse(size=100_000, etag='"1"', stall_after=40_000))
    async with open_node(tmp_path, database, "alpha") as runs, open_node(tmp_path, database, "beta") as asked:
        asked.suspend()
        notifier = Notifier(asked.bus, partial(notification_of, interruptions=Interruptions()), lambda count: None)
        socket = Socket()
        notifier.add(socket)
        await wait_until(lambda: asked.bus.reader_count == 1)

        async def start(path: str) -> tuple[str, str]:
            request = DownloadRequest(url=origin.url(path), directory="d")
            [row] = (await runs.manager.start([request], user="ann")).downloads
            return row.id, row.gid

        async def assert_notified(gid: str, *names: str) -> None:
            await wait_until(lambda: (names[-1], gid) in socket.received)
            received = [name for name, of in socket.received if of == gid]
            # The start of a download that ends at once is not seen from another node.
            assert received == list(names) or (names[-1] in {"Complete", "Error"} and received == list(names[1:]))

        _, completed = await start("/file")
        _, failed = await start("/missing")
        id, cancelled = await start("/slow")
        await assert_notified(cancelled, "Start")
        await asked.manager.pause(id)
        await assert_notified(cancelled, "Start", "Pause")
        await asked.manager.cancel(id)
        await assert_notified(completed, "Start", "Complete")
        await assert_notified(failed, "Start", "Error")
        notifier.remove(socket)
