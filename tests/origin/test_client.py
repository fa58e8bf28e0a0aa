"""The client, against origins on real sockets."""

import asyncio

import pytest
from support.loopback_client import open_client
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.origin_requests import TIMEOUTS, get_request, post_request
from support.raw_server import serve_raw
from support.virtual_time import in_virtual_time

from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.origin.client import OriginClient
from downloadd.origin.connection_options import ConnectionOptions
from downloadd.origin.timeouts import Timeouts

PLAIN = ConnectionOptions(tls=None)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def fetch(client: OriginClient, url: str, timeouts: Timeouts = TIMEOUTS) -> bytes:
    """Return a short content."""
    response = await client.request(get_request(url), PLAIN, timeouts)
    data = b""
    while piece := await response.content.read():
        data += piece
    response.content.release_connection()
    return data


async def test_requests_share_a_connection(origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=100))
    async with open_client() as client:
        for _ in range(3):
            assert len(await fetch(client, origin.url("/f"))) == 100
    assert origin.connections == 1


async def test_requests_at_once_have_connections_of_their_own(origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=100, delay=0.1))
    async with open_client() as client:
        await asyncio.gather(*(fetch(client, origin.url("/f")) for _ in range(3)))
        assert origin.connections == 3
        await asyncio.gather(*(fetch(client, origin.url("/f")) for _ in range(3)))
    assert origin.connections == 3


class Server:
    """Server that answers the first request on each connection, and ends at the second one.

    Attributes:
        connections: number of connections.
        requests: number of requests.
    """

    def __init__(self, at_second: bytes) -> None:
        self.connections = 0
        self.requests = 0
        self._at_second = at_second

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for answer in (OK, self._at_second):
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            writer.write(answer)
        await writer.drain()


async def test_a_request_on_a_connection_that_its_origin_closes_is_repeated_on_a_new_one() -> None:
    server = Server(b"")
    async with serve_raw(server.handle) as port, open_client() as client:
        for _ in range(2):
            assert await fetch(client, f"http://a.example:{port}/f") == b"ok"
    assert (server.connections, server.requests) == (2, 3)


async def test_a_request_is_not_repeated_after_the_first_byte_of_a_response() -> None:
    server = Server(b"HTTP/1.1 2")
    async with serve_raw(server.handle) as port, open_client() as client:
        assert await fetch(client, f"http://a.example:{port}/f") == b"ok"
        with pytest.raises(NetworkError, match="closed the connection without a response"):
            await fetch(client, f"http://a.example:{port}/f")
    assert server.connections == 1


async def test_a_new_connection_that_is_closed_is_an_error_at_once() -> None:
    count = 0

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readuntil(b"\r\n\r\n")

    async with serve_raw(end) as port, open_client() as client:
        with pytest.raises(NetworkError, match="without a response") as caught:
            await fetch(client, f"http://a.example:{port}/f")
    assert (caught.value.kind, count) == (NetworkErrorKind.NO_RESPONSE, 1)


@pytest.mark.parametrize(
    ("raw", "message", "permanent"),
    [
        (b"HTTP/2.0 200 OK\r\n\r\n", "does not speak HTTP/1", True),
        (b"SSH-2.0-OpenSSH\r\n", "not valid HTTP: another protocol", False),
        (b"HTTP/1.1 200 OK\r\nno field\r\n\r\n", "not valid HTTP: a line that is not a field", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "not valid HTTP: a malformed Content-Length", False),
    ],
)
async def test_what_is_not_a_response_is_an_error_with_its_reason(
    origin: Origin, raw: bytes, message: str, permanent: bool
) -> None:
    origin.script("/f", ScriptedResponse(raw=raw))
    async with open_client() as client:
        with pytest.raises(NetworkError, match=message) as caught:
            await fetch(client, origin.url("/f"))
    assert caught.value.permanent is permanent


@in_virtual_time
async def test_silence_is_an_error_after_the_stall_timeout_and_received_bytes_are_progress() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for octet in b"HTTP/1.1 200 OK\r\n":
            writer.write(bytes([octet]))
            await asyncio.sleep(0.06)
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    async with serve_raw(trickle) as port, open_client() as client:
        begin = loop.time()
        with pytest.raises(NetworkError, match="within the stall timeout"):
            await fetch(client, f"http://a.example:{port}/f", Timeouts(connect=5, stall=0.8))
        # The line took longer than the stall timeout.
        assert loop.time() - begin > 1.6


@in_virtual_time
async def test_each_request_has_limits_of_its_own_also_on_a_connection_that_another_has_made() -> None:
    async with Origin() as origin, open_client() as client:
        origin.script(
            "/f", [ScriptedResponse(size=100), ScriptedResponse(size=100, delay=0.3), ScriptedResponse(delay=60)]
        )
        for stall in (0.1, None):
            assert len(await fetch(client, origin.url("/f"), Timeouts(connect=None, stall=stall))) == 100
        with pytest.raises(NetworkError) as caught:
            await fetch(client, origin.url("/f"), Timeouts(connect=None, stall=0.1))
    assert caught.value.kind is NetworkErrorKind.STALLED
    assert origin.connections == 1


async def test_content_that_arrived_with_its_head_does_not_cost_the_connection() -> None:
    server = Server(OK)
    async with serve_raw(server.handle) as port, open_client() as client:
        for _ in range(2):
            response = await client.request(get_request(f"http://a.example:{port}/f"), PLAIN, TIMEOUTS)
            response.content.release_connection()
    assert (server.connections, server.requests) == (1, 2)


@pytest.mark.parametrize("body", [None, b"", b"a=b"])
async def test_a_body_is_framed_by_its_length(body: bytes | None) -> None:
    received = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.readuntil(b"\r\n\r\n"))
        received.extend(await reader.readexactly(len(body or b"")))
        writer.write(OK)

    async with serve_raw(answer) as port, open_client() as client:
        response = await client.request(post_request(f"http://a.example:{port}/f", body), PLAIN, TIMEOUTS)
        response.content.close()
    head, _, content = bytes(received).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /f HTTP/1.1\r\n")
    assert b"\r\nContent-Length: %d" % len(content) in head
    assert content == (body or b"")


async def test_a_request_with_a_body_is_not_sent_twice() -> None:
    server = Server(b"")
    async with serve_raw(server.handle) as port, open_client() as client:
        assert await fetch(client, f"http://a.example:{port}/f") == b"ok"
        with pytest.raises(NetworkError, match="without a response"):
            await client.request(post_request(f"http://a.example:{port}/f", None), PLAIN, TIMEOUTS)
    assert server.requests == 2
