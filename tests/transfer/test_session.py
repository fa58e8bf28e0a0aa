"""The client, against an origin on real sockets."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from origin.answer import Answer, Cut, Framing
from origin.content import expected_bytes
from origin.origin import Origin

from downloadd.errors import NetworkError
from downloadd.policy.addresses import AddressRules
from downloadd.policy.policy import Policy
from downloadd.transfer.response import Asked
from downloadd.transfer.session import Content, Session

CUT_AFTER = 100_000


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        yield origin


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    policy = Policy(addresses=AddressRules(["127.0.0.0/8"]))
    async with Session(policy=policy, credentials=(), stall_timeout=1) as session:
        yield session


async def broken(content: Content) -> None:
    """Waits until aiohttp knows that nothing more will come."""
    async with asyncio.timeout(20):
        while content._response.content.exception() is None:
            await asyncio.sleep(0.005)


async def read_into(pieces: list[bytes], content: Content, limit: int) -> None:
    """Reads to the end."""
    while data := await content.read(limit):
        pieces.append(data)


@pytest.mark.parametrize("limit", [-1, 30_000])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(size=300_000, cut_after=CUT_AFTER), id="reset"),
        pytest.param(Answer(size=300_000, cut_after=CUT_AFTER, cut=Cut.FIN), id="closed"),
        pytest.param(Answer(size=300_000, cut_after=CUT_AFTER, framing=Framing.CHUNKED), id="chunked"),
        pytest.param(Answer(size=300_000, stall_after=CUT_AFTER), id="stalled"),
    ],
)
async def test_a_late_reader_gets_what_came_before_the_connection_broke(
    session: Session, origin: Origin, answer: Answer, limit: int
) -> None:
    origin.script("/f", answer)
    came: list[bytes] = []
    async with session.get(origin.url("/f"), Asked(start=0, validator=None)) as response:
        await broken(response.content)
        with pytest.raises(NetworkError):
            await read_into(came, response.content, limit)
    assert b"".join(came) == expected_bytes(0, 0, CUT_AFTER)
    assert limit < 0 or max(map(len, came)) <= limit
