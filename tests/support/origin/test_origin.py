import asyncio
import hashlib
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from support.origin.content import expected_bytes, expected_sha256
from support.origin.origin import Origin
from support.origin.scripted_response import Cut, Framing, ScriptedResponse, error_response, redirect
from support.origin.tls import Authority
from support.waiting import CONDITION_TIMEOUT


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def exchange(origin: Origin, request: bytes) -> bytes:
    """Return all received bytes until the end of the stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", origin.port)
    writer.write(request)
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def receive(origin: Origin, target: str = "/file") -> tuple[bytes, type[BaseException] | None]:
    """Return the received content, and the type of the error that ended it, if any."""
    reader, writer = await asyncio.open_connection("127.0.0.1", origin.port)
    received, ended = b"", None
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        while piece := await reader.read(65536):
            received += piece
    except OSError as error:
        ended = type(error)
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except OSError as error:
            ended = type(error)
    return received, ended


async def test_serves_large_synthetic_content(origin: Origin, client: aiohttp.ClientSession) -> None:
    origin.script("/file", ScriptedResponse(size=3_000_001, seed=9))
    async with client.get(origin.url("/file")) as response:
        data = await response.read()
    assert hashlib.sha256(data).hexdigest() == expected_sha256(9, 3_000_001)
    assert origin.bytes_sent("/file") == 3_000_001


async def test_each_request_consumes_an_answer_and_the_last_one_repeats(
    origin: Origin, client: aiohttp.ClientSession
) -> None:
    origin.script("/file", [error_response(503), error_response(429), ScriptedResponse(body=b"ok")])
    statuses = []
    for _ in range(4):
        async with client.get(origin.url("/file")) as response:
            statuses.append(response.status)
            await response.read()
    assert statuses == [503, 429, 200, 200]


async def test_a_script_can_be_replaced_by_a_new_version(origin: Origin, client: aiohttp.ClientSession) -> None:
    for version in ("v1", "v2"):
        origin.script("/file", ScriptedResponse(body=version.encode(), etag=f'"{version}"'))
        async with client.get(origin.url("/file")) as response:
            assert await response.text() == version
            assert response.headers["ETag"] == f'"{version}"'


async def test_a_path_without_script_is_not_found(origin: Origin, client: aiohttp.ClientSession) -> None:
    async with client.get(origin.url("/nowhere")) as response:
        assert response.status == 404


async def test_an_empty_script_is_refused(origin: Origin) -> None:
    with pytest.raises(ValueError, match="at least one"):
        origin.script("/file", [])


async def test_requests_are_recorded_byte_for_byte(origin: Origin) -> None:
    origin.script("/a%2fb", ScriptedResponse(keep_alive=False))
    await exchange(origin, b"GET /a%2fb?sig=%7e+%2F HTTP/1.1\r\nHost: h\r\nx-RAW:  \xe4 \r\nRange: bytes=1-\r\n\r\n")
    (request,) = origin.requests("/a%2fb")
    assert request.method == "GET"
    assert request.target == b"/a%2fb?sig=%7e+%2F"
    assert request.fields == ((b"Host", b"h"), (b"x-RAW", b"\xe4"), (b"Range", b"bytes=1-"))
    assert request.field("range") == "bytes=1-"
    assert request.field("If-Range") is None


async def test_connections_are_kept_by_default(origin: Origin) -> None:
    origin.script("/kept", ScriptedResponse(body=b"one"))
    origin.script("/closed", ScriptedResponse(body=b"two", keep_alive=False))
    came = await exchange(origin, b"GET /kept HTTP/1.1\r\n\r\nGET /closed HTTP/1.1\r\n\r\n")
    assert came.count(b"HTTP/1.1 200 OK") == 2
    assert b"Connection: close" in came
    assert origin.connections == 1
    assert origin.requests("/kept")[0].connection == origin.requests("/closed")[0].connection == 1


async def test_a_range_is_served_and_resumed(origin: Origin, client: aiohttp.ClientSession) -> None:
    origin.script("/file", ScriptedResponse(size=1000, seed=1, etag='"v1"'))
    async with client.get(origin.url("/file"), headers={"Range": "bytes=400-", "If-Range": '"v1"'}) as response:
        assert response.status == 206
        assert await response.read() == expected_bytes(1, 400, 1000)


@pytest.mark.parametrize("size", [10, 300_000])
@pytest.mark.parametrize(("cut", "ended"), [(Cut.RESET, ConnectionResetError), (Cut.FIN, None)])
async def test_a_connection_is_cut_after_exactly_so_many_bytes(
    origin: Origin, size: int, cut: Cut, ended: type[BaseException] | None
) -> None:
    origin.script("/file", ScriptedResponse(size=1_000_000, cut_after=size, cut=cut))
    received, error = await receive(origin)
    assert received == expected_bytes(0, 0, size)
    assert error is ended


async def test_a_chunked_body_can_end_well_or_be_cut(origin: Origin, client: aiohttp.ClientSession) -> None:
    answer = ScriptedResponse(size=700_000, framing=Framing.CHUNKED)
    origin.script("/file", [answer, ScriptedResponse(size=700_000, framing=Framing.CHUNKED, cut_after=500)])
    async with client.get(origin.url("/file")) as response:
        assert await response.read() == expected_bytes(0, 0, 700_000)
    async with client.get(origin.url("/file")) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_the_end_of_the_connection_can_end_the_body(origin: Origin) -> None:
    origin.script("/file", ScriptedResponse(size=50, framing=Framing.CLOSE))
    assert await receive(origin) == (expected_bytes(0, 0, 50), None)


async def test_a_body_can_be_shorter_or_longer_than_its_length(origin: Origin) -> None:
    origin.script("/short", ScriptedResponse(size=5, content_length=10, keep_alive=False))
    origin.script("/long", ScriptedResponse(size=15, content_length=10, keep_alive=False))
    for path, size in (("/short", 5), ("/long", 15)):
        came = await exchange(origin, f"GET {path} HTTP/1.1\r\n\r\n".encode())
        assert b"Content-Length: 10\r\n" in came
        assert came.endswith(b"\r\n\r\n" + expected_bytes(0, 0, size))


async def test_a_stalled_body_sends_nothing_until_the_peer_closes(origin: Origin) -> None:
    origin.script("/file", ScriptedResponse(size=100, stall_after=30))
    reader, writer = await asyncio.open_connection("127.0.0.1", origin.port)
    writer.write(b"GET /file HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(30) == expected_bytes(0, 0, 30)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    assert origin.active("/file") == 1
    writer.close()
    await writer.wait_closed()
    await origin.wait_idle("/file")


async def test_an_event_holds_the_body_behind_its_head(origin: Origin) -> None:
    release = asyncio.Event()
    origin.script("/file", ScriptedResponse(body=b"free", body_event=release, keep_alive=False))
    reader, writer = await asyncio.open_connection("127.0.0.1", origin.port)
    writer.write(b"GET /file HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    assert origin.bytes_sent("/file") == 0
    release.set()
    assert await reader.read() == b"free"
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("where", ["body_event", "head_event"])
async def test_a_held_response_ends_when_the_peer_closes(origin: Origin, where: str) -> None:
    release = asyncio.Event()
    origin.script("/file", ScriptedResponse(size=1, **{where: release}))  # type: ignore[arg-type]  # one of two events
    _, writer = await asyncio.open_connection("127.0.0.1", origin.port)
    writer.write(b"GET /file HTTP/1.1\r\n\r\n")
    await origin.wait_requested("/file")
    writer.close()
    await writer.wait_closed()
    await origin.wait_idle("/file")
    assert origin.bytes_sent("/file") == 0


async def test_a_head_can_be_late(origin: Origin) -> None:
    origin.script("/file", ScriptedResponse(delay=0.1, keep_alive=False))
    began = asyncio.get_running_loop().time()
    await exchange(origin, b"GET /file HTTP/1.1\r\n\r\n")
    assert asyncio.get_running_loop().time() - began >= 0.1


async def test_a_rate_is_kept(origin: Origin) -> None:
    origin.script("/file", ScriptedResponse(size=3000, rate=10_000, keep_alive=False))
    began = asyncio.get_running_loop().time()
    came = await exchange(origin, b"GET /file HTTP/1.1\r\n\r\n")
    assert asyncio.get_running_loop().time() - began >= 0.3
    assert came.endswith(expected_bytes(0, 0, 3000))


async def test_a_rate_below_one_byte_a_tick_still_sends(origin: Origin) -> None:
    origin.script("/file", ScriptedResponse(size=3, rate=10, keep_alive=False))
    came = await exchange(origin, b"GET /file HTTP/1.1\r\n\r\n")
    assert came.endswith(expected_bytes(0, 0, 3))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(ScriptedResponse(raw=b"SSH-2.0-whatever\r\n"), b"SSH-2.0-whatever\r\n", id="no HTTP"),
        pytest.param(ScriptedResponse(raw=b""), b"", id="nothing at all"),
        pytest.param(
            ScriptedResponse(raw=b"HTTP/1.1 200 OK", cut_after=8, cut=Cut.FIN), b"HTTP/1.1", id="cut in the head"
        ),
    ],
)
async def test_a_response_can_be_any_bytes(origin: Origin, answer: ScriptedResponse, expected: bytes) -> None:
    origin.script("/file", answer)
    assert await exchange(origin, b"GET /file HTTP/1.1\r\n\r\n") == expected


async def test_waits_for_requests_and_bytes(origin: Origin, client: aiohttp.ClientSession) -> None:
    release = asyncio.Event()
    origin.script("/file", [ScriptedResponse(size=10), ScriptedResponse(size=90, body_event=release)])

    async def fetch_twice() -> None:
        for _ in range(2):
            async with client.get(origin.url("/file")) as response:
                await response.read()

    async with asyncio.timeout(CONDITION_TIMEOUT), asyncio.TaskGroup() as tasks:
        tasks.create_task(fetch_twice())
        await origin.wait_requested("/file", times=2)
        assert origin.bytes_sent("/file") == 10
        release.set()
        await origin.wait_sent("/file", 100)
        await origin.wait_finished("/file", times=2)
    assert origin.active("/file") == 0


async def test_counts_how_many_requests_run_at_once(origin: Origin, client: aiohttp.ClientSession) -> None:
    release = asyncio.Event()
    origin.script("/file", ScriptedResponse(body=b"x", body_event=release))

    async def fetch() -> None:
        async with client.get(origin.url("/file")) as response:
            await response.read()

    async with asyncio.timeout(CONDITION_TIMEOUT), asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(fetch())
        await origin.wait_requested("/file", times=5)
        release.set()
    await origin.wait_idle("/file")
    assert origin.max_active("/file") == 5


async def test_follows_its_own_redirects(origin: Origin, client: aiohttp.ClientSession) -> None:
    origin.script("/old", redirect("/new", 301))
    origin.script("/new", ScriptedResponse(body=b"here"))
    async with client.get(origin.url("/old")) as response:
        assert await response.text() == "here"


async def test_speaks_tls(client: aiohttp.ClientSession) -> None:
    authority = Authority()
    async with Origin(tls=authority.server_context(), name="localhost") as origin:
        origin.script("/file", [ScriptedResponse(size=500_000), ScriptedResponse(size=500_000, cut_after=100)])
        url = origin.url("/file")
        assert url.startswith("https://localhost:")
        async with client.get(url, ssl=authority.client_context()) as response:
            assert await response.read() == expected_bytes(0, 0, 500_000)
        async with client.get(url, ssl=authority.client_context()) as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()


async def test_stopping_resets_open_connections() -> None:
    async with Origin() as origin:
        origin.script("/file", ScriptedResponse(size=100, stall_after=10))
        reader, writer = await asyncio.open_connection("127.0.0.1", origin.port)
        writer.write(b"GET /file HTTP/1.1\r\n\r\n")
        await origin.wait_sent("/file", 10)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()


async def test_carries_hundreds_of_trickles(origin: Origin) -> None:
    origin.script("/trickle", ScriptedResponse(size=1_000_000, rate=1000))

    async def open_one() -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection("127.0.0.1", origin.port)
        writer.write(b"GET /trickle HTTP/1.1\r\n\r\n")
        return writer

    writers = await asyncio.gather(*(open_one() for _ in range(300)))
    await origin.wait_requested("/trickle", times=300)
    assert origin.active("/trickle") == 300
    await origin.wait_sent("/trickle", 300_000)
    for writer in writers:
        writer.transport.abort()
    await origin.wait_idle("/trickle")


async def test_runs_as_a_program(client: aiohttp.ClientSession) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "support.origin", cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/", line)
        async with client.get(f"{line}bytes/100000/some.iso?seed=3") as response:
            assert await response.read() == expected_bytes(3, 0, 100_000)
        async with client.get(f"{line}trickle/300?rate=3000", headers={"Range": "bytes=100-"}) as response:
            assert response.status == 206
            assert await response.read() == expected_bytes(0, 100, 300)
        async with client.get(f"{line}other") as response:
            assert response.status == 404
    finally:
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
