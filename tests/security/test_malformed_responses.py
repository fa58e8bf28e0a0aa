"""Every behaviour of docs/explanation/origins.md as bytes: the complete file, or an error code and no file."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from security.malformed_responses import MALFORMED_RESPONSES, length
from support.daemon_process import DaemonProcess, make_config
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.raw_server import serve_raw
from support.waiting import CONDITION_TIMEOUT, wait_until

TABLE = (Path(__file__).parents[2] / "docs/explanation/origins.md").read_text()
ROWS = dict(re.findall(r"^\| `([\w.-]+)` \|.* \| (saved|`\w+`) \| [^|]+ \|$", TABLE, re.MULTILINE))
SHORT_TIMEOUT_CONFIG = make_config(max_retries=0, retry_for=1, stall_timeout=1, max_concurrent=200, max_per_host=200)


def test_each_row_has_a_case_and_each_case_a_row_with_its_outcome() -> None:
    assert set(MALFORMED_RESPONSES) == set(ROWS)
    for name, case in MALFORMED_RESPONSES.items():
        said = ROWS[name].strip()
        assert said == ("saved" if isinstance(case.outcome, bytes) else f"`{case.outcome}`"), name


@pytest.mark.parametrize(
    ("parameters", "pause", "retries"),
    [({}, 0, 0), ({}, 0, 1), ({}, 0.05, 0), ({"segments": "4"}, 0, 1), ({"checksum": None}, 0, 0)],
    ids=["plain", "tried again", "head first", "segments", "hashed"],
)
async def test_every_behaviour_has_the_outcome_of_the_table(
    tmp_path: Path, parameters: dict[str, str | None], pause: float, retries: int
) -> None:
    """All at once on one daemon: none affects another, and none is ended by the stall timeout only."""
    wrong: dict[str, object] = {}
    config = make_config(max_retries=retries, retry_for=1, stall_timeout=60, max_concurrent=200, max_per_host=200)
    async with DaemonProcess(tmp_path, config=config) as daemon:

        async def fetch(name: str, origin: Origin) -> None:
            case = MALFORMED_RESPONSES[name]
            origin.script(f"/{name}", ScriptedResponse(raw=case.raw, raw_pause=pause))
            given = {key: value for key, value in parameters.items() if value is not None}
            if "checksum" in parameters and isinstance(case.outcome, bytes):
                given["checksum"] = f"sha-256={digest(case.outcome)}"
            async with asyncio.timeout(CONDITION_TIMEOUT):
                _, result = await daemon.fetch(name, origin.url(f"/{name}"), filename="f", **given)
            saved = daemon.root / name / "f"
            got: object = saved.read_bytes() if result["success"] else result["error"]
            if got != case.outcome:
                wrong[name] = got if not isinstance(got, bytes) or len(got) < 200 else f"{len(got)} bytes"
            if not result["success"] and saved.exists():
                wrong[name] = "a file"
            if not result["success"] and not result.get("detail"):
                wrong[name] = "no detail"

        names = iter(MALFORMED_RESPONSES)

        async def fetch_some() -> None:
            # One origin for each: a connection that is closed without a response would be reused by another download.
            async with Origin() as origin:
                for name in names:
                    await fetch(name, origin)

        await asyncio.gather(*(fetch_some() for _ in range(40)))
        assert wrong == {}
        await wait_until(daemon.has_no_stray_part_file)
        assert "Traceback" not in daemon.log.read_text()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@asynccontextmanager
async def serve_bytes(respond: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """Yield the port of a server that responds to every request and then waits."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await respond(writer)
        await asyncio.Event().wait()

    async with serve_raw(handle) as port:
        yield port


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12345678",
    ],
)
async def test_a_stall_in_every_phase_ends_with_the_timeout(tmp_path: Path, scheme: str, said: bytes) -> None:
    """In the TLS handshake, before the head, after an interim response, in the head, and before the last byte."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    async with serve_bytes(respond) as port, DaemonProcess(tmp_path, config=SHORT_TIMEOUT_CONFIG) as daemon:
        watch = daemon.stopwatch()
        status, answer = await daemon.fetch("d", f"{scheme}://127.0.0.1:{port}/f", timeout="0")
        assert (status, answer["error"]) == (502, "NETWORK_ERROR")
        assert watch.seconds < 5
        assert daemon.files() == {}


async def test_an_unrequested_response_is_not_saved(tmp_path: Path) -> None:
    """A second response on an idle connection: complete, or cut so that its rest follows the next request."""
    for number, unasked in enumerate((length("100", body=b"x" * 100), b"HTTP/1.1 200 OK\r\nContent-Le")):
        folder = tmp_path / str(number)
        folder.mkdir()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, unasked: bytes = unasked) -> None:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(length("100", body=(b"1" if b"GET /1 " in head else b"2") * 100))
                await asyncio.sleep(0.1)
                writer.write(unasked)

        async with serve_raw(handle) as port, DaemonProcess(folder, config=SHORT_TIMEOUT_CONFIG) as daemon:
            for name in ("1", "2"):
                assert (await daemon.fetch("d", f"http://127.0.0.1:{port}/{name}"))[0] == 201
                await asyncio.sleep(0.3)
            assert daemon.files() == {"d/1": b"1" * 100, "d/2": b"2" * 100}


async def test_a_connection_is_reused_only_if_the_policy_still_allows_it(tmp_path: Path) -> None:
    async with Origin() as origin, DaemonProcess(tmp_path, config=SHORT_TIMEOUT_CONFIG) as daemon:
        for name in ("1", "2"):
            origin.script(f"/{name}", ScriptedResponse(size=10))
        names = f"http://localhost:{urlsplit(origin.url('/')).port}"
        assert (await daemon.fetch("d", f"{names}/1"))[0] == 201
        await daemon.reload(SHORT_TIMEOUT_CONFIG.replace('"127.0.0.0/8", ', ""))
        status, answer = await daemon.fetch("d", f"{names}/2")
        assert (status, answer["success"]) != (201, True)
        assert origin.requests("/2") == []


FLOODS: dict[str, tuple[bytes, bytes]] = {
    "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000),
    "big interim": (b"", (b"HTTP/1.1 103 Early Hints\r\n" + b"Link: <x>\r\n" * 50 + b"\r\n") * 100),
    "empty lines": (b"", b"\r\n" * 50_000),
    "a reason": (b"HTTP/1.1 200 ", b"a" * 65_536),
    "an extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"a" * 65_536),
    "zeros": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0" * 65_536),
    "trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        b"X-Trailer: value\r\n" * 1000,
    ),
    "a trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: ",
        b"a" * 65_536,
    ),
}
"""Start of a response, and the bytes that an origin repeats after it."""


@pytest.mark.parametrize("name", FLOODS)
async def test_floods_end_in_time_and_delay_no_other_download(tmp_path: Path, name: str) -> None:
    start, flood = FLOODS[name]

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(flood)
            await writer.drain()

    async with serve_bytes(respond) as port, DaemonProcess(tmp_path, config=SHORT_TIMEOUT_CONFIG) as daemon:
        before = daemon.resident_bytes()
        watch = daemon.stopwatch()
        fetching = asyncio.ensure_future(daemon.fetch("d", f"http://127.0.0.1:{port}/f", timeout="0"))
        health_seconds = [0.0]
        while not fetching.done():
            asking = daemon.stopwatch()
            await daemon.request("GET", "/api/v1/health")
            health_seconds.append(asking.seconds)
            await asyncio.sleep(0.05)
        status, answer = await fetching
        assert (status, answer["error"]) == (502, "NETWORK_ERROR")
        assert watch.seconds < 6
        assert max(health_seconds) < 1
        assert daemon.resident_bytes() - before < 40 << 20
        assert daemon.files() == {}
        assert "Traceback" not in daemon.log.read_text()


@pytest.mark.parametrize("drop", [b"X: a\r\n", b"a"], ids=["trailers", "a trailer"])
async def test_disconnects_without_content_are_not_progress(tmp_path: Path, drop: bytes) -> None:
    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: a\r\n")
        while not writer.is_closing():
            writer.write(drop)
            await asyncio.sleep(0.2)

    async with serve_bytes(respond) as port, DaemonProcess(tmp_path, config=SHORT_TIMEOUT_CONFIG) as daemon:
        watch = daemon.stopwatch()
        status, answer = await daemon.fetch("d", f"http://127.0.0.1:{port}/f", timeout="0")
        assert watch.seconds < 6
        assert (status, answer["error"]) == (502, "NETWORK_ERROR")
        assert "stall timeout" in answer["detail"]


async def test_a_slow_head_ends_with_the_timeout(tmp_path: Path) -> None:
    async def respond(writer: asyncio.StreamWriter) -> None:
        for octet in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100:
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(0.2)

    async with serve_bytes(respond) as port, DaemonProcess(tmp_path, config=SHORT_TIMEOUT_CONFIG) as daemon:
        status, answer = await daemon.fetch("d", f"http://127.0.0.1:{port}/f", timeout="2")
        assert (status, answer["error"]) == (504, "DOWNLOAD_TIMEOUT")
