"""Bodies of requests, and the time limits on them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from support.served_api import TOKEN, ServedApi
from support.virtual_time import in_virtual_time
from support.waiting import CONDITION_TIMEOUT

from downloadd.errors import ErrorCode
from downloadd.fronts.rest.body_reader import BodyReader

BATCH = b'{"downloads": [{"url": "https://a.example/"}]}'
JSON = "Content-Type: application/json"
IMPORTER = "may-import"
BATCH_PATH = "/api/v1/downloads"
RAW = "/api/v1/imports?importerKey=urls&fileName=a"


class ReceivedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Response, with the seconds until the connection was closed."""

    status: int
    fields: dict[str, str]
    body: bytes
    seconds: float


@asynccontextmanager
async def serve_api(*, max_wait: float, min_rate: int) -> AsyncIterator[ServedApi]:
    """Serve the API with these limits on bodies, and a short wait for the rest of a refused body."""
    api = ServedApi(reader=BodyReader(max_wait=max_wait, min_rate=min_rate), server={"lingering_time": 0.2})
    async with api.client:
        yield api


async def send(
    api: ServedApi, target: str, *fields: str, pieces: Iterable[bytes] = (), every: float = 0.01, token: str = TOKEN
) -> ReceivedResponse:
    """Post a body piece by piece until the response, and read until the connection is closed."""
    reader, writer = await asyncio.open_connection(api.server.host, api.server.port)
    lines = (f"POST {target} HTTP/1.1", "Host: api", f"Authorization: Bearer {token}", *fields, "", "")
    writer.write("\r\n".join(lines).encode())
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(CONDITION_TIMEOUT), asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(_read_final_head(reader))
        for piece in pieces:
            if answer.done():
                break
            writer.write(piece)
            await asyncio.wait((answer,), timeout=every)
        status, *rest = await answer
        body = await reader.read()
    writer.close()
    return ReceivedResponse(
        status=int(status.split()[1]),
        fields=dict(line.split(": ", 1) for line in rest),
        body=body,
        seconds=asyncio.get_running_loop().time() - began,
    )


async def _read_final_head(reader: asyncio.StreamReader) -> list[str]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    if head.startswith("HTTP/1.1 100 "):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    return head.removesuffix("\r\n\r\n").split("\r\n")


@pytest.mark.parametrize(("target", "token"), [(BATCH_PATH, TOKEN), (RAW, IMPORTER)], ids=["json", "raw"])
@pytest.mark.parametrize(
    ("framing", "pieces"),
    [
        pytest.param(("Content-Length: 100",), list, id="nothing"),
        pytest.param(("Content-Length: 100",), lambda: [b"{"], id="one-byte"),
        pytest.param(("Content-Length: 9999",), lambda: [b" "] * 9998, id="trickle"),
        pytest.param(("Transfer-Encoding: chunked",), lambda: [b"1\r\n \r\n"] * 9999, id="trickle-of-chunks"),
        pytest.param(("Transfer-Encoding: chunked",), lambda: [b"1;", *[b"a"] * 9999], id="trickle-without-content"),
        pytest.param(("Content-Length: 9", "Expect: 100-continue"), list, id="expectation"),
    ],
)
@in_virtual_time
async def test_a_body_that_does_not_arrive_ends_with_an_error_and_a_closed_connection(
    target: str, token: str, framing: tuple[str, ...], pieces: Callable[[], list[bytes]]
) -> None:
    async with serve_api(max_wait=0.2, min_rate=1000) as api:
        answered = await send(api, target, JSON, *framing, pieces=pieces(), token=token)
        assert (answered.status, json.loads(answered.body)["error"]) == (408, ErrorCode.BODY_TOO_SLOW)
        assert answered.fields["Connection"] == "close"
        assert 0.2 <= answered.seconds < 3


@pytest.mark.parametrize("name", ["uploadImportFile", "downloadPublicImportFile", "startImport"])
@in_virtual_time
async def test_an_import_body_that_does_not_arrive_ends_with_an_error_and_a_closed_connection(name: str) -> None:
    async with serve_api(max_wait=0.1, min_rate=1000) as api:
        answered = await send(api, f"/api/v1/{name}", JSON, "Content-Length: 100", token=IMPORTER)
        assert (answered.status, answered.fields["Connection"]) == (408, "close")


@in_virtual_time
async def test_a_slow_body_at_the_minimum_rate_is_accepted() -> None:
    async with serve_api(max_wait=0.2, min_rate=20) as api:
        pieces = [bytes((byte,)) for byte in BATCH]
        fields = (JSON, "Connection: close", f"Content-Length: {len(BATCH)}")
        answered = await send(api, BATCH_PATH, *fields, pieces=pieces, every=0.02)
        assert answered.status == 201
        assert answered.seconds > 0.8


@in_virtual_time
async def test_a_fast_start_does_not_allow_silence_later() -> None:
    async with serve_api(max_wait=0.2, min_rate=1) as api:
        answered = await send(api, BATCH_PATH, JSON, "Content-Length: 100000", pieces=[b" " * 9999])
        assert answered.status == 408
        assert answered.seconds < 3


@in_virtual_time
async def test_processing_time_between_two_pieces_does_not_count_for_the_client() -> None:
    stream = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16, loop=asyncio.get_running_loop())
    pieces = BodyReader(max_wait=0.2, min_rate=1_000_000).read_chunks(make_mocked_request("POST", "/", payload=stream))
    for _ in range(4):
        stream.feed_data(b"x")
        assert await anext(pieces) == b"x"
        await asyncio.sleep(0.1)
    stream.feed_eof()
    assert [piece async for piece in pieces] == []


@in_virtual_time
async def test_a_raw_body_is_requested_with_100_continue() -> None:
    async with serve_api(max_wait=1, min_rate=1000) as api:
        head = f"POST {RAW} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {IMPORTER}\r\nExpect: 100-continue\r\n"
        request = f"{head}Connection: close\r\nContent-Length: 4\r\n\r\nabcd"
        assert (await api.exchange(request.encode())).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 ")
