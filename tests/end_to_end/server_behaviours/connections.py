"""Behaviours of networks and of servers with connections: refused, reset, closed, not trusted; names and mirrors."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import trustme
from end_to_end.server_behaviours.behaviour import FILE, Behaviour, scripted
from end_to_end.server_behaviours.stage import CONTENT, SIZE, Script, Stage, server_context
from msgspec.structs import replace
from support.origin.content import expected_bytes
from support.origin.origin import Request
from support.origin.scripted_response import ScriptedResponse, error_response
from support.ports import free_port
from support.raw_server import serve_raw

OUTAGE_SECONDS: Final = 3.0
"""Seconds of an outage: longer than all attempts that `max_retries` allows."""
LONG: Final = 8 << 20
"""Bytes of a file that is divided among connections."""
RATE: Final = 6 << 20
"""Bytes a second of its transfer, so that connections overlap in time."""
RESET: Final = ScriptedResponse(raw=b"", cut_after=0)
"""Reset before the head."""
CLOSED: Final = ScriptedResponse(raw=b"")
"""End of the connection before the head."""
LONG_CONTENT: Final = expected_bytes(0, 0, LONG)


def _one_at_a_time(name: str, refusal: ScriptedResponse) -> Behaviour:
    """Return the behaviour of an origin that serves one connection and refuses the others."""

    async def play(stage: Stage) -> str:
        def respond(request: Request, stage: Stage) -> ScriptedResponse:
            return refusal if origin.active("/file.bin") > 1 else ScriptedResponse(size=LONG, etag='"v1"', rate=RATE)

        async with stage.origin(respond) as origin:
            outcome = await stage.fetch(origin.url("/file.bin"), segments="4")
            return outcome if stage.answer_count("/file.bin") > 1 else "no further connection"

    return Behaviour(name=f"one-connection-{name}", outcome="completed", play=play, content=LONG_CONTENT)


async def idle_connection_lost(stage: Stage) -> str:
    """End a kept connection when the next request arrives on it."""
    return await _fetch_two(stage, {"/first.bin": FILE, "/file.bin": [CLOSED, FILE]}, is_reused=True)


async def closed_without_notice(stage: Stage) -> str:
    """End a connection after a response that promised to keep it."""
    head = f"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: {SIZE}\r\n\r\n".encode()
    return await _fetch_two(stage, {"/first.bin": ScriptedResponse(raw=head + CONTENT), "/file.bin": FILE})


async def _fetch_two(stage: Stage, script: Script, *, is_reused: bool = False) -> str:
    async with stage.origin(script) as origin:
        await stage.daemon.fetch(stage.directory, origin.url("/first.bin"))
        outcome = await stage.fetch(origin.url("/file.bin"))
        connections = {origin.requests(path)[0].connection for path in ("/first.bin", "/file.bin")}
        return "no connection was reused" if is_reused and len(connections) > 1 else outcome


async def refused_for_a_while(stage: Stage) -> str:
    port = free_port()
    async with asyncio.TaskGroup() as tasks:
        fetching = tasks.create_task(stage.fetch(f"http://{stage.addresses[0]}:{port}/file.bin"))
        await asyncio.sleep(OUTAGE_SECONDS)
        async with stage.origin(FILE, port=port):
            return await fetching


async def unknown_name(stage: Stage) -> str:
    return await stage.wait("http://unknown.test/file.bin", seconds=OUTAGE_SECONDS)


async def name_unknown_for_a_while(stage: Stage) -> str:
    async with stage.origin(FILE, name="soon.test") as origin, asyncio.TaskGroup() as tasks:
        fetching = tasks.create_task(stage.fetch(origin.url("/file.bin")))
        await asyncio.sleep(OUTAGE_SECONDS)
        _add_host(stage, stage.addresses[0], "soon.test")
        return await fetching


async def dead_ipv6_address(stage: Stage) -> str:
    for address in ("::1", stage.addresses[0]):
        _add_host(stage, address, "both.test")
    async with stage.origin(FILE, name="both.test") as origin:
        return await stage.fetch(origin.url("/file.bin"))


async def dead_first_address(stage: Stage) -> str:
    for address in reversed(stage.addresses):
        _add_host(stage, address, "two.test")
    async with stage.origin(FILE, name="two.test") as origin:
        return await stage.fetch(origin.url("/file.bin"))


def _add_host(stage: Stage, address: str, name: str) -> None:
    assert stage.shared.hosts is not None
    with stage.shared.hosts.open("a") as file:
        file.write(f"{address} {name}\n")


def _with_certificate(name: str, outcome: str, *, names: tuple[str, ...] = (), **options: Any) -> Behaviour:
    """Return the behaviour of an origin with a certificate of the trusted authority."""

    async def play(stage: Stage) -> str:
        certificate = stage.shared.authority.issue_cert(*(names or stage.addresses[:1]), **options)
        return await _fetch_by_tls(stage, certificate.private_key_pem, *certificate.cert_chain_pems)

    return Behaviour(name=name, outcome=outcome, play=play)


async def self_signed(stage: Stage) -> str:
    certificate = trustme.CA()
    return await _fetch_by_tls(stage, certificate.private_key_pem, certificate.cert_pem)


async def intermediate_missing(stage: Stage) -> str:
    certificate = stage.shared.authority.create_child_ca().issue_cert(stage.addresses[0])
    return await _fetch_by_tls(stage, certificate.private_key_pem, certificate.cert_chain_pems[0])


async def private_authority(stage: Stage) -> str:
    certificate = stage.shared.private_authority.issue_cert(stage.addresses[0])
    return await _fetch_by_tls(stage, certificate.private_key_pem, *certificate.cert_chain_pems)


async def _fetch_by_tls(stage: Stage, key: trustme.Blob, *chain: trustme.Blob) -> str:
    async with stage.origin(FILE, tls=server_context(key, *chain)) as origin:
        return await stage.fetch(origin.url("/file.bin"))


async def handshake_cut(stage: Stage) -> str:
    """End the first connection after the first message of the TLS handshake."""
    certificate = stage.shared.authority.issue_cert(stage.addresses[0])
    context = server_context(certificate.private_key_pem, *certificate.cert_chain_pems)
    has_begun = asyncio.Event()

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()
        has_begun.set()

    port = free_port()
    async with asyncio.TaskGroup() as tasks:
        async with serve_raw(cut, host=stage.addresses[0], port=port):
            fetching = tasks.create_task(stage.fetch(f"https://{stage.addresses[0]}:{port}/file.bin"))
            await has_begun.wait()
        async with stage.origin(FILE, port=port, tls=context):
            return await fetching


async def dead_mirror(stage: Stage) -> str:
    async with stage.origin(FILE) as origin:
        return await stage.fetch([f"http://{stage.addresses[1]}:{free_port()}/file.bin", origin.url("/file.bin")])


async def mirror_of_another_version(stage: Stage) -> str:
    file = ScriptedResponse(size=LONG, etag='"v1"', rate=RATE)
    async with (
        stage.origin(file) as origin,
        stage.origin(replace(file, seed=1, etag='"v2"'), address=1) as other,
    ):
        return await stage.fetch([origin.url("/file.bin"), other.url("/file.bin")])


CONNECTIONS: Final = (
    *(_one_at_a_time(str(status), error_response(status)) for status in (403, 404, 503)),
    _one_at_a_time("429", error_response(429, retry_after="1")),
    _one_at_a_time("reset", RESET),
    scripted("reset-before-head", "completed", [RESET, FILE]),
    scripted("closed-before-head", "completed", [CLOSED, FILE]),
    Behaviour(name="idle-connection-lost", outcome="completed", play=idle_connection_lost),
    Behaviour(name="closed-without-notice", outcome="completed", play=closed_without_notice),
    Behaviour(name="refused-for-a-while", outcome="completed", play=refused_for_a_while),
    Behaviour(name="unknown-name", outcome="waits", play=unknown_name, needs_names=True),
    Behaviour(name="name-unknown-for-a-while", outcome="completed", play=name_unknown_for_a_while, needs_names=True),
    Behaviour(name="dead-ipv6-address", outcome="completed", play=dead_ipv6_address, needs_names=True),
    Behaviour(name="dead-first-address", outcome="completed", play=dead_first_address, needs_names=True),
    Behaviour(name="dead-mirror", outcome="completed with a warning", play=dead_mirror),
    Behaviour(
        name="mirror-of-another-version",
        outcome="completed with a warning",
        play=mirror_of_another_version,
        content=LONG_CONTENT,
    ),
)
"""Behaviours by connections, names and mirrors."""

TLS: Final = (
    _with_certificate("tls", "completed"),
    _with_certificate("tls-expired", "`NETWORK_ERROR`", not_after=datetime(2020, 1, 1, tzinfo=UTC)),
    _with_certificate("tls-other-name", "`NETWORK_ERROR`", names=("other.example",)),
    Behaviour(name="tls-self-signed", outcome="`NETWORK_ERROR`", play=self_signed),
    Behaviour(name="tls-intermediate-missing", outcome="`NETWORK_ERROR`", play=intermediate_missing),
    Behaviour(name="tls-private-authority", outcome="completed", play=private_authority),
    Behaviour(name="tls-handshake-cut", outcome="completed", play=handshake_cut),
)
"""Behaviours by TLS."""
