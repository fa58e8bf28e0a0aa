"""The event stream on a real socket: events, reconnection, and slow clients."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import msgspec
import pytest
from aiohttp import ClientResponse
from support.fake_imports import make_operation
from support.sample_downloads import sample_change, sample_download
from support.served_api import ServedApi
from support.waiting import CONDITION_TIMEOUT

from downloadd.download import Snapshot
from downloadd.events import DownloadChanged, ImportChanged, parse_event_id
from downloadd.fronts.rest.event_stream import MAX_REPLAYED_DOWNLOADS, EventStream
from downloadd.fronts.rocketchat.translation import make_operation_entry
from downloadd.import_operation import ImportState
from downloadd.states import State


class ReceivedEvent(NamedTuple):
    event: str
    data: Any
    id: str | None


class EventReader:
    """Reader of a stream, block by block."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response
        self.last_id = ""

    async def read_block(self) -> dict[str, str]:
        """Return the fields of the next block; the name of a comment is empty."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while (line := await self.response.content.readline()) not in {b"\n", b""}:
                name, _, value = line.decode().rstrip("\n").partition(":")
                fields[name] = value.lstrip(" ")
        self.last_id = fields.get("id", self.last_id)
        return fields

    async def next(self) -> ReceivedEvent:
        """Return the next event."""
        while "data" not in (block := await self.read_block()):
            assert block, "the stream has ended"
        return ReceivedEvent(block["event"], json.loads(block["data"]), block.get("id"))

    async def read_until_live(self) -> list[ReceivedEvent]:
        """Return all events before the block with the position of the stream."""
        received: list[ReceivedEvent] = []
        while True:
            block = await self.read_block()
            assert block, "the stream has ended"
            if "data" in block:
                received.append(ReceivedEvent(block["event"], json.loads(block["data"]), block.get("id")))
            elif "id" in block:
                return received


@asynccontextmanager
async def open_stream(api: ServedApi, last_id: str | None = None) -> AsyncIterator[EventReader]:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    async with api.client.get("/api/v1/events", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Request-Id"]
        reader = EventReader(response)
        assert await reader.read_block() == {"retry": "2000"}
        yield reader


async def test_a_new_client_receives_the_active_downloads_and_then_events(api: ServedApi) -> None:
    ids = [api.manager.add(sample_download(number)).id for number in range(2)]
    api.manager.add(sample_download(9, state=State.FAILED))
    async with open_stream(api) as reader:
        received = await reader.read_until_live()
        assert [(one.event, one.data["id"]) for one in received] == [("download", id) for id in ids]
        await api.manager.set_state(ids[0], State.DOWNLOADING, received=5, total=10)
        one = await reader.next()
        assert (one.event, one.data["status"], one.data["progress_percentage"]) == ("download", "downloading", 50.0)
        await api.manager.set_state(ids[0], State.COMPLETED)
        one = await reader.next()
        assert (one.event, one.data["status"], one.data["id"]) == ("history", "completed", ids[0])


async def test_events_have_the_entries_of_listing_and_history(api: ServedApi) -> None:
    id = api.manager.add(sample_download(1)).id
    async with open_stream(api) as reader:
        (active,) = await reader.read_until_live()
        async with api.client.get("/api/v1/downloads") as response:
            assert (await response.json())["downloads"] == [active.data]
        await api.manager.set_state(id, State.COMPLETED)
        ended = await reader.next()
        async with api.client.get("/?download_history=") as response:
            assert (await response.json())["history"] == [ended.data]


async def test_a_removal_from_the_history_is_an_event(api: ServedApi) -> None:
    id = api.manager.add(sample_download(1, state=State.FAILED)).id
    async with open_stream(api) as reader:
        await reader.read_until_live()
        async with api.client.delete(f"/api/v1/downloads/{id}") as response:
            assert response.status == 200
        one = await reader.next()
    assert (one.event, one.data) == ("removed", {"ids": [id]})


async def test_a_client_that_missed_a_removal_has_to_read_the_history(api: ServedApi) -> None:
    first, second = (api.manager.add(sample_download(number, state=State.FAILED)) for number in range(2))
    async with api.client.delete(f"/api/v1/downloads/{first.id}") as response:
        assert response.status == 200
    later = api.manager.add(sample_download(2, state=State.FAILED))
    received = []
    for seen in (first, second, later):
        async with open_stream(api, f"0123abcd-77-{seen.result.ended_seq}") as reader:
            received.append([one.event for one in await reader.read_until_live()])
    assert received == [["reset"], ["reset"], []]


async def test_an_import_event_has_the_operation(api: ServedApi) -> None:
    operation = make_operation(state=ImportState.DONE)
    async with open_stream(api) as reader:
        await reader.read_until_live()
        api.bus.publish(ImportChanged(operation=operation))
        one = await reader.next()
    assert (one.event, one.data) == ("import", json.loads(msgspec.json.encode(make_operation_entry(operation))))
    assert (one.data["_id"], one.data["status"]) == (operation.id, "importer_done")


async def test_a_long_snapshot_is_complete(api: ServedApi) -> None:
    ids = [api.manager.add(sample_download(number)).id for number in range(1201)]
    async with open_stream(api) as reader:
        assert [one.data["id"] for one in await reader.read_until_live()] == ids


async def test_a_client_that_reconnects_receives_exactly_what_it_missed(api: ServedApi) -> None:
    ids = [api.manager.add(sample_download(number)).id for number in range(2)]
    async with open_stream(api) as reader:
        await reader.read_until_live()
        await api.manager.set_state(ids[0], State.DOWNLOADING)
        await reader.next()
        last_id = reader.last_id
    await api.manager.set_state(ids[0], State.COMPLETED)
    await api.manager.set_state(ids[1], State.DOWNLOADING)
    async with open_stream(api, last_id) as reader:
        received = await reader.read_until_live()
    assert [(one.event, one.data["id"]) for one in received] == [("history", ids[0]), ("download", ids[1])]


async def test_after_a_restart_the_ends_since_then_come_from_the_records(api: ServedApi) -> None:
    seen = [api.manager.add(sample_download(number, state=State.FAILED)) for number in range(2)]
    missed = [api.manager.add(sample_download(number, state=State.FAILED)) for number in range(2, 5)]
    active = api.manager.add(sample_download(9))
    async with open_stream(api, f"0123abcd-77-{seen[-1].result.ended_seq}") as reader:
        received = await reader.read_until_live()
    assert [(one.event, one.data["id"]) for one in received] == [
        *[("history", one.id) for one in missed],
        ("download", active.id),
    ]
    # A client that disconnects in the middle has an id that leads to the rest.
    assert received[0].id == f"0123abcd-77-{missed[0].result.ended_seq}"
    place = parse_event_id(reader.last_id)
    assert place is not None
    assert place.ended_seq == missed[-1].result.ended_seq


async def test_a_client_that_missed_too_much_receives_a_reset(api: ServedApi) -> None:
    for number in range(MAX_REPLAYED_DOWNLOADS + 1):
        api.manager.add(sample_download(number, state=State.FAILED))
    async with open_stream(api, "0123abcd-1-0") as reader:
        received = await reader.read_until_live()
    assert [one.event for one in received] == ["reset"]


@pytest.mark.parametrize("last_id", ["", "nonsense", "1", "a-b-c", "--", "\xff"])
async def test_an_unknown_id_is_ignored(api: ServedApi, last_id: str) -> None:
    api.manager.add(sample_download(1, state=State.FAILED))
    active = api.manager.add(sample_download(2))
    async with open_stream(api, last_id) as reader:
        assert [one.data["id"] for one in await reader.read_until_live()] == [active.id]


async def test_a_new_client_starts_after_the_present_history(api: ServedApi) -> None:
    past = api.manager.add(sample_download(1, state=State.FAILED))
    async with open_stream(api) as reader:
        await reader.read_until_live()
        assert reader.last_id.endswith(f"-{past.result.ended_seq}")


async def test_a_stream_without_events_has_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downloadd.fronts.rest.api.EventStream", partial(EventStream, heartbeat=0.01))
    api = ServedApi()
    async with api.client, open_stream(api) as reader:
        await reader.read_until_live()
        for _ in range(2):
            assert await reader.read_block() == {"": "heartbeat"}


async def test_the_stream_ends_when_the_daemon_stops(api: ServedApi) -> None:
    async with open_stream(api) as reader:
        await reader.read_until_live()
        api.close_long_lived()
        assert await reader.read_block() == {}
    async with api.client.get("/api/v1/events") as response:
        assert response.status == 503


async def test_a_slow_client_is_disconnected_and_another_one_misses_nothing(api: ServedApi) -> None:
    api.bus._backlog = 50
    slow, writer = await asyncio.open_connection(api.server.host, api.server.port, limit=1)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer open-sesame\r\n\r\n")
    await slow.read(1)
    async with open_stream(api) as reader:
        await reader.read_until_live()
        event = DownloadChanged(snapshot=Snapshot(download=sample_download(1, detail="x" * 20_000)), before=None)
        for _ in range(2000):
            api.bus.publish(event)
            await reader.next()
            if any(subscription.is_closed for subscription in api.bus._readers):
                break
        else:
            pytest.fail("no client was disconnected")
        api.bus.publish(sample_change(7))
        assert (await reader.next()).data["id"] == sample_download(7).id
    writer.close()
