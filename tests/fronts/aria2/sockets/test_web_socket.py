"""JSON-RPC over WebSocket on a real socket: calls in flight, limits, notifications, and the stop of the daemon."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from support.sample_downloads import sample_download
from support.served_api import TOKEN, ServedApi, user
from support.waiting import wait_until

from downloadd.config import Aria2Config
from downloadd.download import Snapshot
from downloadd.events import DownloadChanged
from downloadd.fronts.aria2.sockets.socket_limits import SocketLimits
from downloadd.fronts.rest import server
from downloadd.fronts.rest.connection_limit import ConnectionLimit
from downloadd.fronts.rest.schemas import MAX_BODY_BYTES
from downloadd.states import State

SECRET = f"token:{TOKEN}"
VICTOR = "token:may-look"
IVAN = "token:may-import"


def request(method: str, *params: Any, id: Any = 1) -> dict[str, Any]:
    return {"id": id, "method": method, "params": list(params)}


class Client:
    """One WebSocket of a client without header fields of the REST API."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, value: Any) -> None:
        await self.socket.send_str(json.dumps(value))

    async def receive(self) -> Any:
        """Return the next message."""
        async with asyncio.timeout(30):
            return json.loads(await self.socket.receive_str())

    async def call(self, method: str, *params: Any, id: Any = 1) -> Any:
        """Return the answer to a call."""
        await self.send(request(method, *params, id=id))
        return await self.receive()

    async def closed(self) -> int | None:
        """Wait until the server closes the socket, and return the code that it gives."""
        async with asyncio.timeout(30):
            while (await self.socket.receive()).type not in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}:
                pass
        return self.socket.close_code


@asynccontextmanager
async def connect(api: ServedApi, path: str = "/jsonrpc", **settings: Any) -> AsyncIterator[Client]:
    settings = {"headers": {"Authorization": ""}, "max_msg_size": 0, **settings}
    async with api.client.ws_connect(path, **settings) as socket:
        yield Client(socket)


def publish(api: ServedApi, number: int = 0, **changes: Any) -> None:
    """Publish the start of a download."""
    download = sample_download(number, state=State.DOWNLOADING, **changes)
    api.bus.publish(DownloadChanged(before=None, snapshot=Snapshot(download=download)))


def sockets(api: ServedApi) -> float | None:
    return api.metrics.series.value("downloadd_rpc_sockets")


def dropped(api: ServedApi) -> float | None:
    return api.metrics.series.value("downloadd_rpc_sockets_dropped_total")


# -- calls -------------------------------------------------------------------------------------------------------------


async def test_a_call_is_answered_and_nothing_is_sent_before(api: ServedApi) -> None:
    async with connect(api) as client:
        assert await client.call("aria2.echo", SECRET, 5, id="a") == {"id": "a", "jsonrpc": "2.0", "result": [5]}
        assert sockets(api) == 1
    await wait_until(lambda: sockets(api) == 0)


async def test_binary_messages_and_fragments_are_read(api: ServedApi) -> None:
    data = json.dumps(request("aria2.echo", SECRET, "é")).encode()
    async with connect(api) as client:
        await client.socket.send_bytes(data)
        assert (await client.receive())["result"] == ["é"]
    async with handshaken(api) as (reader, writer), asyncio.timeout(30):
        # The client library sends no fragments.
        no_mask = bytes(4)
        writer.write(b"\x01\x85" + no_mask + data[:5] + b"\x89\x80" + no_mask)
        writer.write(b"\x80" + bytes([0x80 | (len(data) - 5)]) + no_mask + data[5:])
        assert await reader.readexactly(2) == b"\x8a\x00", "a ping in between gets a pong only"
        head = await reader.readexactly(2)
        assert json.loads(await reader.readexactly(head[1]))["result"] == ["é"]


async def test_malformed_messages_are_answered_and_the_socket_stays_open(api: ServedApi) -> None:
    async with connect(api) as client:
        for data, code in ((b"", -32700), (b"\xff", -32700), (b"[" * 100_000, -32700), (b"{}", -32600)):
            await client.socket.send_bytes(data)
            assert (await client.receive())["error"]["code"] == code
        await client.send([request("aria2.echo", SECRET, id=1), 3])
        assert [each["id"] for each in await client.receive()] == [1, None]
        await client.send([])
        assert await client.receive() == []


async def test_calls_are_answered_as_they_finish(api: ServedApi) -> None:
    async with connect(api) as client:
        await client.send(request("aria2.wait", SECRET, id=1))
        assert (await client.call("aria2.echo", SECRET, id=2))["id"] == 2
        api.methods.release.set()
        assert (await client.receive())["id"] == 1


async def test_a_wrong_token_does_not_delay_other_calls() -> None:
    api = ServedApi(aria2=Aria2Config(), token_delay=0.2)
    async with api.client, connect(api) as client:
        await client.send(request("aria2.echo", "token:wrong", id=1))
        assert (await client.call("aria2.echo", SECRET, id=2))["id"] == 2
        assert (await client.receive())["error"]["message"] == "Unauthorized"


async def test_above_the_limit_of_calls_in_flight_no_further_one_is_read() -> None:
    api = ServedApi(aria2=Aria2Config(), socket_limits=SocketLimits(max_calls=3))
    async with api.client, connect(api) as client:
        for number in range(5):
            await client.send(request("aria2.wait", SECRET, id=number))
        await wait_until(lambda: api.methods.waiting == 3)
        async with connect(api) as other:
            assert (await other.call("aria2.echo", SECRET, 1))["result"] == [1], "others are not held up"
        assert len(api.methods.calls) == 4
        api.methods.release.set()
        assert sorted([(await client.receive())["id"] for _ in range(5)]) == list(range(5))


async def test_calls_of_a_client_that_has_gone_are_finished(api: ServedApi) -> None:
    async with connect(api) as client:
        await client.send(request("aria2.wait", SECRET))
        await wait_until(lambda: api.methods.waiting == 1)
        client.socket._response.close()
    api.methods.release.set()
    await wait_until(lambda: api.methods.waiting == 0)
    await wait_until(lambda: sockets(api) == 0)


async def test_a_long_message_needs_a_right_token(api: ServedApi) -> None:
    filler = "x" * 1_200_000
    async with connect(api) as client:
        assert (await client.call("aria2.echo", SECRET, filler))["result"] == [filler]
        answer = await client.call("aria2.echo", "token:wrong", filler)
        assert answer == {"id": None, "jsonrpc": "2.0", "error": {"code": 1, "message": "Unauthorized"}}


async def test_a_message_above_16_mib_closes_the_socket_with_the_code_for_it(api: ServedApi) -> None:
    async with handshaken(api) as (reader, writer):
        # Only its length is sent.
        writer.write(b"\x82\xff" + (MAX_BODY_BYTES + 1).to_bytes(8, "big") + bytes(4))
        async with asyncio.timeout(30):
            assert (await reader.readexactly(4))[2:] == (1009).to_bytes(2, "big")


@pytest.mark.parametrize(
    "fields",
    [
        {"Sec-WebSocket-Version": "12"},
        {"Sec-WebSocket-Key": "short"},
        {"Connection": "keep-alive"},
    ],
)
async def test_a_malformed_handshake_is_refused(api: ServedApi, fields: dict[str, str]) -> None:
    given = {
        "Host": "api",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        **fields,
    }
    lines = ["GET /jsonrpc HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    reader, writer = await asyncio.open_connection(api.server.host, api.server.port)
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(30):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert b" 400 " in head
    assert b"Sec-WebSocket-Version: 13" in head


@pytest.mark.parametrize("origin", ["https://a.example", "null", "chrome-extension://abc"])
async def test_pages_and_extensions_may_connect(api: ServedApi, origin: str) -> None:
    async with connect(api, origin=origin) as client:
        assert (await client.call("aria2.echo", SECRET, 1))["result"] == [1]


async def test_only_listed_origins_may_connect_if_there_is_a_list() -> None:
    api = ServedApi(aria2=Aria2Config(allow_origins=("https://a.example",)))
    async with api.client:
        async with connect(api, origin="https://a.example"), connect(api):
            pass
        with pytest.raises(WSServerHandshakeError) as raised:
            async with connect(api, origin="https://b.example"):
                pass
        assert raised.value.status == 403


async def test_a_message_has_a_line_in_the_log_without_its_token(
    api: ServedApi, lines: list[MutableMapping[str, Any]]
) -> None:
    async with connect(api) as client:
        await client.call("aria2.echo", SECRET)
        await client.call("aria2.none", "token:wrong")
        await client.call(TOKEN, SECRET)
    await wait_until(lambda: [line for line in lines if line["event"] == "request"])
    answered = [line for line in lines if line["event"] == "rpc_answered"]
    assert [(line["rpc"], line["user"], line["status"], line["client"]) for line in answered] == [
        ("aria2.echo", "alice", 200, "127.0.0.1"),
        ("aria2.none", None, 400, "127.0.0.1"),
        ("other", "alice", 400, "127.0.0.1"),
    ]
    [closed] = [line for line in lines if line["event"] == "request"]
    assert (closed["status"], closed["path"], closed["user"]) == (101, "/jsonrpc", "alice")
    assert [line["request_id"] for line in answered] == [f"{closed['request_id']}.{number}" for number in (1, 2, 3)]
    assert [line["request_id"] for line in answered] == api.methods.request_ids
    assert TOKEN not in str(lines)
    assert "wrong" not in str(lines)


# -- notifications -----------------------------------------------------------------------------------------------------


async def test_only_sockets_with_the_token_of_a_user_who_may_look_are_notified(api: ServedApi) -> None:
    async with connect(api) as alice, connect(api) as victor, connect(api) as ivan, connect(api) as stranger:
        assert api.bus.reader_count == 0
        await ivan.call("aria2.echo", IVAN)
        await stranger.call("system.listNotifications", "token:wrong")
        assert api.bus.reader_count == 0
        inner = {"methodName": "aria2.echo", "params": [SECRET]}
        await alice.call("system.multicall", [inner])
        await victor.call("aria2.none", VICTOR)
        await wait_until(lambda: api.bus.reader_count == 1)
        publish(api, 7)
        for client in (alice, victor):
            assert await client.receive() == {
                "jsonrpc": "2.0",
                "method": "aria2.onDownloadStart",
                "params": [{"gid": sample_download(7).id}],
            }
        for client, token in ((ivan, IVAN), (stranger, "token:")):
            assert (await client.call("aria2.echo", token, id=5))["id"] == 5, "no notification came before"
    await wait_until(lambda: api.bus.reader_count == 0)


async def test_every_socket_is_notified_if_the_settings_say_so() -> None:
    api = ServedApi(aria2=Aria2Config(notify="all"))
    async with api.client, connect(api) as client:
        await wait_until(lambda: api.bus.reader_count == 1)
        publish(api)
        assert (await client.receive())["method"] == "aria2.onDownloadStart"


async def test_a_user_who_is_removed_is_not_notified_any_more(api: ServedApi) -> None:
    async with connect(api) as alice, connect(api) as victor:
        await alice.call("aria2.echo", SECRET)
        await victor.call("aria2.echo", VICTOR)
        await wait_until(lambda: api.bus.reader_count == 1)
        api.accounts.replace([user("victor", "may-look", "view-downloads")])
        api.bus.disconnect()
        publish(api)
        assert (await victor.receive())["method"] == "aria2.onDownloadStart"
        assert (await alice.call("aria2.echo", SECRET))["error"]["message"] == "Unauthorized"


async def test_a_client_that_does_not_read_is_dropped_and_holds_up_no_one(
    lines: list[MutableMapping[str, Any]],
) -> None:
    api = ServedApi(aria2=Aria2Config(), socket_limits=SocketLimits(max_unread_notifications=50))
    async with api.client, handshaken(api) as (_, writer), connect(api) as other:
        await other.call("aria2.echo", SECRET)
        writer.write(frame(request("aria2.echo", SECRET)))
        await wait_until(lambda: len(api.methods.calls) == 2)
        while not dropped(api):
            publish(api, id="x" * 10_000)
            assert (await other.receive())["method"] == "aria2.onDownloadStart"
        await wait_until(lambda: sockets(api) == 1)
    assert [line["user"] for line in lines if line["event"] == "socket_dropped"] == ["alice"]
    assert dropped(api) == 1


async def test_a_client_that_does_not_read_its_answers_is_dropped_after_a_while() -> None:
    limits = SocketLimits(max_calls=2, max_write_seconds=0.2, min_write_rate=1 << 40)
    api = ServedApi(aria2=Aria2Config(), socket_limits=limits)
    async with api.client, handshaken(api) as (_, writer):
        for _ in range(20):
            writer.write(frame(request("aria2.large", SECRET, 5_000_000)))
        await wait_until(lambda: dropped(api) == 1)
        await wait_until(lambda: sockets(api) == 0)
        assert len(api.methods.calls) < 20, "no further call was read while answers waited"


async def test_a_client_whose_connection_the_kernel_closes_because_it_does_not_read_is_dropped(
    monkeypatch: pytest.MonkeyPatch, lines: list[MutableMapping[str, Any]]
) -> None:
    monkeypatch.setattr(server, "UNREAD_TIMEOUT_SECONDS", 0.3)
    api = ServedApi(aria2=Aria2Config())
    async with api.client, handshaken(api) as (_, writer):
        # It fits into the buffer of the connection, so that no write waits.
        writer.write(frame(request("aria2.large", SECRET, 100_000)))
        await wait_until(lambda: dropped(api) == 1)
        await wait_until(lambda: sockets(api) == 0)
    assert [line["user"] for line in lines if line["event"] == "socket_dropped"] == ["alice"]


async def test_a_client_that_disconnects_is_not_counted_as_dropped(api: ServedApi) -> None:
    async with handshaken(api) as (_, writer):
        writer.write(frame(request("aria2.echo", SECRET)))
        await wait_until(lambda: len(api.methods.calls) == 1)
        writer.transport.abort()
        await wait_until(lambda: sockets(api) == 0)
    assert dropped(api) == 0


@asynccontextmanager
async def handshaken(api: ServedApi) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a WebSocket whose client reads only what the test asks for."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((api.server.host, api.server.port))
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection, limit=4096)
    writer.write(
        b"GET /jsonrpc HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    try:
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.close()


def frame(value: Any) -> bytes:
    """Return a masked text message."""
    data = json.dumps(value).encode()
    assert len(data) < 126
    return b"\x81" + bytes([0x80 | len(data)]) + bytes(4) + data


# -- connections -------------------------------------------------------------------------------------------------------


async def test_a_socket_with_a_right_token_is_kept_when_there_are_too_many_connections() -> None:
    api = ServedApi(aria2=Aria2Config(), server={"limit": ConnectionLimit(3)})
    async with api.client, connect(api) as known:
        await known.call("aria2.echo", SECRET)
        async with connect(api) as first, connect(api) as second:
            assert (await first.call("system.listNotifications"))["id"] == 1
            assert (await second.call("system.listNotifications"))["id"] == 1
            async with connect(api) as third:
                await first.closed()
                for client in (known, second, third):
                    assert (await client.call("system.listNotifications"))["id"] == 1


async def test_sockets_without_a_token_are_few() -> None:
    api = ServedApi(aria2=Aria2Config(), socket_limits=SocketLimits(max_anonymous=2))
    async with api.client, connect(api) as known:
        await known.call("aria2.echo", IVAN)
        async with connect(api) as first, connect(api), connect(api):
            await first.closed()
            assert (await known.call("aria2.echo", IVAN))["id"] == 1


async def test_sockets_are_closed_with_going_away_when_the_daemon_stops() -> None:
    api = ServedApi(aria2=Aria2Config(), server={"shutdown_timeout": 3})
    async with api.client, connect(api) as idle, connect(api) as busy, connect(api) as finishing:
        await busy.send(request("aria2.wait", SECRET))
        await wait_until(lambda: api.methods.waiting == 1)
        assert (await finishing.call("aria2.echo", SECRET))["id"] == 1
        api.close_long_lived()
        assert [await client.closed() for client in (idle, finishing, busy)] == [1001, 1001, 1001]
        api.methods.release.set()
        await wait_until(lambda: sockets(api) == 0)
        async with connect(api) as late:
            assert await late.closed() == 1001


async def test_calls_in_flight_are_answered_before_the_daemon_stops(api: ServedApi) -> None:
    async with connect(api) as client:
        await client.send(request("aria2.wait", SECRET))
        await wait_until(lambda: api.methods.waiting == 1)
        api.close_long_lived()
        api.methods.release.set()
        assert (await client.receive())["result"] == "OK"
        assert await client.closed() == 1001
