"""The client, against an origin on real sockets."""

import pytest
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse

from downloadd.transfer.content import Content
from downloadd.transfer.resume import Evidence, RangeRequest
from downloadd.transfer.session import Session


async def read_into(pieces: list[bytes], content: Content, limit: int) -> None:
    """Read to the end."""
    while data := await content.read(limit):
        pieces.append(bytes(data))


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
    async with session.get(origin.url(target), RangeRequest()) as response:
        assert response.head.status == 200
    assert [request.target for request in origin.requests(path)] == [target.encode()]


async def test_only_characters_that_a_url_may_not_have_are_encoded(session: Session, origin: Origin) -> None:
    origin.script("/caf%C3%A9%20x%2f", ScriptedResponse(size=3))
    async with session.get(origin.url("/café x%2f?q=ü"), RangeRequest()) as response:
        assert response.head.status == 200
    assert [r.target for r in origin.requests("/caf%C3%A9%20x%2f")] == [b"/caf%C3%A9%20x%2f?q=%C3%BC"]


async def test_the_representation_is_requested_without_a_content_coding(session: Session, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=300))
    async with session.get(
        origin.url("/f"), RangeRequest(start=100, evidence=Evidence.IF_RANGE, if_range='"v"')
    ) as response:
        assert response.head.status == 200
    (request,) = origin.requests("/f")
    assert request.field("Accept-Encoding") == "identity"
    assert (request.field("Range"), request.field("If-Range")) == ("bytes=100-", '"v"')


async def test_a_connection_is_reused(session: Session, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=1000))
    for _ in range(5):
        async with session.get(origin.url("/f"), RangeRequest()) as response:
            pieces: list[bytes] = []
            await read_into(pieces, response.content, -1)
    assert origin.connections == 1
