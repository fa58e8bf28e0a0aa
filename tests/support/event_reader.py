"""Reader of the event stream that keeps all events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
from support.daemon_process import DaemonProcess
from support.waiting import CONDITION_TIMEOUT


class StreamEvent(NamedTuple):
    """Event of the stream."""

    name: str
    entry: dict[str, Any]
    id: str | None


class EventReader:
    """Reader of one connection in the background; `last_id` is the `Last-Event-ID` for the next connection."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._changed = asyncio.Event()
        self.events: list[StreamEvent] = []
        self.comments: list[str] = []
        self.last_id = ""
        self.is_live = False
        self.is_closed = False

    async def read(self) -> None:
        """Read until the stream ends or breaks."""
        fields: dict[str, str] = {}
        try:
            async for line in self._response.content:
                text = line.decode().rstrip("\n")
                if text:
                    name, _, value = text.partition(":")
                    fields[name] = value.removeprefix(" ")
                    continue
                self._add_block(fields)
                fields = {}
        except (aiohttp.ClientError, OSError):
            pass
        except RuntimeError as error:
            # aiohttp raises this if either side closes during a read.
            if not self._response.closed and str(error) != "Connection closed.":
                raise
        finally:
            self.is_closed = True
            self._changed.set()

    def _add_block(self, fields: dict[str, str]) -> None:
        if "" in fields:
            self.comments.append(fields[""])
        # The id takes effect with its block, an event or not (the HTML standard, section 9.2.6).
        self.last_id = fields.get("id", self.last_id)
        if "data" in fields:
            self.events.append(StreamEvent(fields["event"], json.loads(fields["data"]), fields.get("id")))
        elif "id" in fields:
            self.is_live = True
        self._changed.set()

    async def wait_until(self, condition: Any, seconds: float = CONDITION_TIMEOUT) -> Any:
        """Return what `condition` returns once it is true; it is called after each block."""
        async with asyncio.timeout(seconds):
            while not (result := condition()):
                assert not self.is_closed, "the stream has ended"
                self._changed.clear()
                await self._changed.wait()
        return result

    def entries(self, name: str, id: str | None = None) -> list[dict[str, Any]]:
        """Return the entries of all events of a name, of one download if an id is given."""
        return [event.entry for event in self.events if event.name == name and id in {None, event.entry["id"]}]

    def finished_ids(self) -> list[str]:
        """Return the ids of the finished downloads, in the order of their events."""
        return [entry["id"] for entry in self.entries("history")]


@asynccontextmanager
async def open_event_stream(
    daemon: DaemonProcess, last_id: str = "", headers: dict[str, str] | None = None
) -> AsyncIterator[EventReader]:
    """Connect a reader, and wait until it has the id of the current position."""
    assert daemon.client is not None
    fields = {**({"Last-Event-ID": last_id} if last_id else {}), **(headers or {})}
    timeout = aiohttp.ClientTimeout(total=None)
    async with daemon.client.get(f"{daemon.url}/api/v1/events", headers=fields, timeout=timeout) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        reader = EventReader(response)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(reader.read())
            try:
                await reader.wait_until(lambda: reader.is_live)
                yield reader
            finally:
                reading.cancel()
