"""Connections to real servers, over the addresses that the policy allows."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from support.allowed_urls import allowed_url
from support.clocks import ManualClock
from support.origin.tls import Authority
from support.ports import free_port
from support.raw_server import answer_with, serve_raw
from support.recording_origin import RecordingOrigin, open_recording_origin
from support.scripted_resolver import ScriptedResolver
from support.stopwatch import Stopwatch
from support.waiting import CONDITION_TIMEOUT

from downloadd.errors import DomainBlockedError, NetworkError, NetworkErrorKind
from downloadd.origin.addresses import AddressBook
from downloadd.origin.connection_options import ConnectionOptions
from downloadd.origin.dialer import Dialer
from downloadd.policy.addresses import AddressRules

BOTH_FAMILIES = AddressRules(["127.0.0.0/8", "::1/128"])
PLAIN = ConnectionOptions(tls=None)


def make_dialer(*answers: list[str] | OSError, rules: AddressRules = BOTH_FAMILIES) -> Dialer:
    return Dialer(AddressBook(ScriptedResolver(*answers), lambda: rules, ManualClock()))


async def connected_address(dialer: Dialer, url: str, options: ConnectionOptions = PLAIN) -> str | None:
    stream = await dialer.connect(allowed_url(url), options, timeout=5)
    stream.close()
    return stream.peer


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_name_is_connected_to_at_its_address(recording_origin: RecordingOrigin, address: str) -> None:
    assert await connected_address(make_dialer([address]), f"http://a.example:{recording_origin.port}/") == address


@pytest.mark.parametrize(
    "addresses",
    [["::1", "127.0.0.1"], ["127.0.0.1", "::1"], ["10.0.0.1", "::1", "127.0.0.1", "fe80::1"]],
    ids=["forbidden first", "forbidden last", "among many"],
)
async def test_of_mixed_answers_only_the_allowed_address_is_connected_to(
    addresses: list[str], recording_origin: RecordingOrigin
) -> None:
    dialer = make_dialer(addresses, rules=AddressRules(["127.0.0.0/8"]))
    for _ in range(3):
        assert await connected_address(dialer, f"http://mixed.example:{recording_origin.port}/") == "127.0.0.1"


async def test_no_socket_is_made_for_a_forbidden_address(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    real = socket.socket

    class RecordingSocket(real):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: object, **options: object) -> None:
            made.append(arguments)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(socket, "socket", RecordingSocket)
    with pytest.raises(DomainBlockedError):
        await connected_address(make_dialer(["10.0.0.1"]), "http://a.example/")
    assert made == []


async def test_an_address_that_refuses_does_not_keep_the_others_from_being_tried() -> None:
    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with serve_raw(end) as port:
        # Nothing listens at the first two.
        dialer = make_dialer(["::1", "127.0.0.2", "127.0.0.1"])
        assert await connected_address(dialer, f"http://a.example:{port}/") == "127.0.0.1"


async def test_an_address_that_does_not_answer_delays_the_next_one_by_a_quarter_of_a_second() -> None:
    port = free_port()
    with ExitStack() as sockets:
        full, first, *clients = [sockets.enter_context(socket.socket()) for _ in range(5)]
        full.bind(("127.0.0.2", port))
        first.bind(("127.0.0.1", port))
        full.listen(0)
        first.listen(1)
        # A full backlog answers no further connection.
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.2", port))
        watch = Stopwatch()
        address = await connected_address(make_dialer(["127.0.0.2", "127.0.0.1"]), f"http://a.example:{port}/")
        assert address == "127.0.0.1"
        assert watch.elapsed > 0.2
        assert watch.seconds < 5


async def test_a_refused_connection_is_an_error_of_the_connection() -> None:
    port = free_port()
    for answer in (["127.0.0.1"], ["127.0.0.1", "::1"]):
        with pytest.raises(NetworkError, match="connection failed: Connection refused") as caught:
            await connected_address(make_dialer(answer), f"http://a.example:{port}/")
        assert caught.value.kind is NetworkErrorKind.CONNECT


@asynccontextmanager
async def serve_nothing() -> AsyncIterator[int]:
    """Yield the port of a server that accepts connections and sends nothing."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serve_raw(wait) as port:
        yield port


async def test_a_handshake_that_hangs_ends_with_the_timeout() -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with serve_nothing() as port:
        options = ConnectionOptions(tls=Authority().client_context())
        dialer = make_dialer(["127.0.0.1"])
        with pytest.raises(NetworkError, match=r"no connection to the origin within 0\.2 s") as caught:
            await dialer.connect(allowed_url(f"https://a.example:{port}/"), options, timeout=0.2)
        assert caught.value.kind is NetworkErrorKind.TIMEOUT
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) <= before + 1


async def test_the_certificate_must_be_for_the_host_of_the_url() -> None:
    authority = Authority()
    async with open_recording_origin(authority.server_context("a.example")) as origin:
        options = ConnectionOptions(tls=authority.client_context())
        assert (
            await connected_address(make_dialer(["127.0.0.1"]), f"https://a.example:{origin.port}/", options)
            == "127.0.0.1"
        )
        with pytest.raises(NetworkError, match="certificate is for another host") as caught:
            await connected_address(make_dialer(["127.0.0.1"]), f"https://b.example:{origin.port}/", options)
        assert caught.value.permanent


@pytest.mark.parametrize(
    ("data", "message", "permanent"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS on this port", True),
        (b"", "closed the connection during the TLS handshake", False),
    ],
)
async def test_a_server_without_tls_is_named_as_such(data: bytes, message: str, permanent: bool) -> None:
    async with serve_raw(answer_with(data)) as port:
        options = ConnectionOptions(tls=Authority().client_context())
        with pytest.raises(NetworkError, match=message) as caught:
            await connected_address(make_dialer(["127.0.0.1"]), f"https://127.0.0.1:{port}/", options)
        assert (caught.value.kind, caught.value.permanent) == (NetworkErrorKind.TLS, permanent)


async def test_a_connection_comes_from_the_local_address_and_goes_to_its_family() -> None:
    peers: list[str] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        await reader.read(1)

    async with serve_raw(record) as port:
        options = ConnectionOptions(tls=None, bind_address="127.0.0.9", family=socket.AF_INET)
        dialer = make_dialer(["::1", "127.0.0.1"])
        assert await connected_address(dialer, f"http://a.example:{port}/", options) == "127.0.0.1"
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while not peers:
                await asyncio.sleep(0.01)
    assert peers == ["127.0.0.9"]


async def test_a_local_address_that_the_machine_does_not_have_is_an_error_of_the_connection() -> None:
    options = ConnectionOptions(tls=None, bind_address="192.0.2.1", family=socket.AF_INET)
    with pytest.raises(NetworkError, match="the connection failed: Cannot assign requested address"):
        await connected_address(make_dialer(["127.0.0.1"]), "http://a.example:9/", options)
