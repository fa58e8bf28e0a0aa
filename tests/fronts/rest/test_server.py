"""Connections: timeouts for idle time and unread data, and the limit on their number."""

import asyncio
import inspect
import socket

import pytest
from support.sample_downloads import sample_download
from support.served_api import ServedApi
from support.waiting import CONDITION_TIMEOUT

from downloadd.download import Snapshot
from downloadd.events import DownloadChanged
from downloadd.fronts.rest import auth, event_stream
from downloadd.fronts.rest.connection_limit import ConnectionLimit
from downloadd.fronts.rest.server import IDLE_TIMEOUT_SECONDS, UNREAD_TIMEOUT_SECONDS, ApiConnection


def connections(api: ServedApi) -> list[ApiConnection]:
    runner = api.server.runner
    assert runner is not None
    assert runner.server is not None
    return [one for one in runner.server.connections if isinstance(one, ApiConnection)]


async def test_a_connection_has_timeouts_for_idle_time_and_for_unread_data(api: ServedApi) -> None:
    _, writer = await asyncio.open_connection(api.server.host, api.server.port)
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while not connections(api):
            await asyncio.sleep(0.01)
    [connection] = connections(api)
    assert connection.keepalive_timeout == IDLE_TIMEOUT_SECONDS
    assert connection.transport is not None
    ours = connection.transport.get_extra_info("socket")
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_TIMEOUT_SECONDS * 1000
    writer.close()


async def test_a_stream_whose_client_does_not_read_is_reset(api: ServedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "WRITE_TIMEOUT_SECONDS", 0.3)
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect((api.server.host, api.server.port))
    stalled.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer open-sesame\r\n\r\n")
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while not api.bus.is_watched:
            await asyncio.sleep(0.01)
        while connections(api):
            for _ in range(50):
                api.bus.publish(
                    DownloadChanged(snapshot=Snapshot(download=sample_download(redacted_url="x" * 10_000)), before=None)
                )
            await asyncio.sleep(0.01)
    stalled.close()


async def test_the_connection_idle_longest_is_closed_for_a_new_one(api_limited_to_three_connections: ServedApi) -> None:
    api = api_limited_to_three_connections
    quiet = [await asyncio.open_connection(api.server.host, api.server.port) for _ in range(3)]
    async with api.client.get("/api/v1/health") as answer:
        assert answer.status == 200
    reader, _ = quiet[0]
    async with asyncio.timeout(CONDITION_TIMEOUT):
        assert await reader.read() == b""
    assert len(connections(api)) == 3
    for _, writer in quiet:
        writer.close()


async def test_several_servers_share_one_limit() -> None:
    limit = ConnectionLimit(2)
    first, second = (ServedApi(server={"limit": limit}) for _ in range(2))
    async with first.client, second.client:
        quiet = [await asyncio.open_connection(first.server.host, first.server.port) for _ in range(2)]
        async with second.client.get("/api/v1/health") as answer:
            assert answer.status == 200
        reader, _ = quiet[0]
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        for _, writer in quiet:
            writer.close()


def test_a_request_that_waits_for_its_client_may_count_as_idle() -> None:
    limit = ConnectionLimit(1)
    waiting = ApiConnection.__new__(ApiConnection)
    closed: list[str] = []
    waiting.limit = limit
    waiting.abort = lambda: closed.append("waiting")  # type: ignore[method-assign]
    other = ApiConnection.__new__(ApiConnection)
    other.abort = lambda: closed.append("other")  # type: ignore[method-assign]
    limit.add(waiting)
    limit.mark_busy(waiting)
    with waiting.counting_as_idle():
        pass
    limit.add(other)
    assert closed == ["other"]
    with waiting.counting_as_idle():
        limit.add(other)
    assert closed == ["other", "waiting"]


def test_tokens_are_compared_in_constant_time() -> None:
    # A test cannot measure it, so the source is inspected.
    assert "hmac.compare_digest(" in inspect.getsource(auth)
