"""The client, against an origin on real sockets."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Cut, Framing, ScriptedResponse

from downloadd.errors import NetworkError
from downloadd.policy.addresses import AddressRules
from downloadd.policy.policy import Policy
from downloadd.transfer.classification import RangeRequest
from downloadd.transfer.client_errors import map_client_error
from downloadd.transfer.content import Content
from downloadd.transfer.session import Session

CUT_AFTER_BYTES = 100_000


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        yield origin


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    policy = Policy(addresses=AddressRules(["127.0.0.0/8"]))
    async with Session(policy=policy, credentials=(), stall_timeout=1) as session:
        yield session


async def wait_until_broken(content: Content) -> None:
    """Waits until aiohttp knows that nothing more will come."""
    async with asyncio.timeout(20):
        while content._response.content.exception() is None:
            await asyncio.sleep(0.005)


async def read_into(pieces: list[bytes], content: Content, limit: int) -> None:
    """Reads to the end."""
    while data := await content.read(limit):
        pieces.append(bytes(data))


@pytest.mark.parametrize("limit", [-1, 30_000])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ScriptedResponse(size=300_000, cut_after=CUT_AFTER_BYTES), id="reset"),
        pytest.param(ScriptedResponse(size=300_000, cut_after=CUT_AFTER_BYTES, cut=Cut.FIN), id="closed"),
        pytest.param(ScriptedResponse(size=300_000, cut_after=CUT_AFTER_BYTES, framing=Framing.CHUNKED), id="chunked"),
        pytest.param(ScriptedResponse(size=300_000, stall_after=CUT_AFTER_BYTES), id="stalled"),
    ],
)
async def test_a_slow_reader_gets_the_bytes_before_the_connection_broke(
    session: Session, origin: Origin, answer: ScriptedResponse, limit: int
) -> None:
    origin.script("/f", answer)
    came: list[bytes] = []
    async with session.get(origin.url("/f"), RangeRequest(start=0, validator=None)) as response:
        await wait_until_broken(response.content)
        with pytest.raises(NetworkError):
            await read_into(came, response.content, limit)
    assert b"".join(came) == expected_bytes(0, 0, CUT_AFTER_BYTES)
    assert limit < 0 or max(map(len, came)) <= limit


def _subclasses(kind: type[BaseException]) -> set[type[BaseException]]:
    return {kind}.union(*(_subclasses(each) for each in kind.__subclasses__()))


@pytest.mark.parametrize(
    "kind", sorted(_subclasses(aiohttp.ClientError) | {TimeoutError, ConnectionResetError}, key=lambda kind: str(kind))
)
def test_every_error_of_the_client_library_has_a_message_without_the_url(kind: type[BaseException]) -> None:
    error = kind.__new__(kind)
    error.args = ("https://someone:s3cret@files.example.com/?token=s3cret",)
    mapped = map_client_error(error)
    assert isinstance(mapped, NetworkError)
    assert mapped.detail
    assert "s3cret" not in mapped.detail


@pytest.mark.parametrize(
    "target",
    [
        "/a%2Fb%2fc?x=%2F%2f+%20&y=a=b;c&&",
        "/signed?X-Amz-Signature=ab%2Bcd%2F&X-Amz-Credential=AK%2F2026",
        "/~tilde/%7Etilde/%41/(a)'!*,;:@$",
        "/a//b/./c/../d",
        "/?q=",
        "/?",
        "/%E2%82%AC?%E2%82%AC=%e2%82%ac",
        "/[a]|b^c`{d}?[a]|b^c`{d}",
    ],
)
async def test_a_url_is_sent_byte_for_byte(session: Session, origin: Origin, target: str) -> None:
    path = target.partition("?")[0]
    origin.script(path, ScriptedResponse(size=3))
    async with session.get(origin.url(target), RangeRequest(start=0, validator=None)) as response:
        assert response.head.status == 200
    assert [request.target for request in origin.requests(path)] == [target.encode()]


async def test_only_characters_that_a_url_may_not_have_are_encoded(session: Session, origin: Origin) -> None:
    origin.script("/caf%C3%A9%20x%2f", ScriptedResponse(size=3))
    async with session.get(origin.url("/café x%2f?q=ü"), RangeRequest(start=0, validator=None)) as response:
        assert response.head.status == 200
    assert [r.target for r in origin.requests("/caf%C3%A9%20x%2f")] == [b"/caf%C3%A9%20x%2f?q=%C3%BC"]


async def test_the_representation_is_requested_without_a_content_coding(session: Session, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=300))
    async with session.get(origin.url("/f"), RangeRequest(start=100, validator='"v"')) as response:
        assert response.head.status == 200
    (request,) = origin.requests("/f")
    assert request.field("Accept-Encoding") == "identity"
    assert (request.field("Range"), request.field("If-Range")) == ("bytes=100-", '"v"')


async def test_a_connection_is_reused(session: Session, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=1000))
    for _ in range(5):
        async with session.get(origin.url("/f"), RangeRequest(start=0, validator=None)) as response:
            pieces: list[bytes] = []
            await read_into(pieces, response.content, -1)
    assert origin.connections == 1
