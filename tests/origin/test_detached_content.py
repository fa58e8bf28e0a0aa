"""Content that threads move to a file."""

import asyncio
from pathlib import Path

import pytest
from support.cookie_jars import make_jar
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Cut, ScriptedResponse
from support.origin.tls import Authority

from downloadd.attempt_options import AttemptOptions
from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.origin.content import MIN_DETACH_BYTES, Content
from downloadd.origin.context import RequestContext
from downloadd.policy.addresses import AddressRules
from downloadd.policy.policy import Policy
from downloadd.policy.tls_contexts import TlsContexts
from downloadd.transfer.resume import RangeRequest
from downloadd.transfer.session import Session

pytestmark = pytest.mark.system

SIZE = 3 * MIN_DETACH_BYTES + 12_345


async def move_all(content: Content, target: Path, *, may_splice: bool = True) -> None:
    """Detach the content and move it to a file, like the receiver does."""
    detached = content.detach(may_splice=may_splice)
    assert detached is not None
    with detached, target.open("wb") as file:
        file.write(detached.prefetched)
        file.flush()
        position = len(detached.prefetched)
        while detached.remaining:
            moved = await asyncio.to_thread(
                detached.source.move_to, file.fileno(), position, detached.remaining, lambda _data, _offset: None
            )
            position += moved.nbytes
            detached.add_received(moved.nbytes)
            detached.check_eof(is_eof=moved.is_eof)
            if detached.remaining:
                await detached.wait_readable(detached.remaining, 1)
    content.check_end()


@pytest.mark.parametrize("may_splice", [True, False])
async def test_the_content_is_moved_and_the_connection_reused(
    session: Session, origin: Origin, tmp_path: Path, may_splice: bool
) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE))
    for _ in range(2):
        async with session.get(origin.url("/f"), RangeRequest()) as response:
            await move_all(response.content, tmp_path / "f", may_splice=may_splice)
        assert (tmp_path / "f").read_bytes() == expected_bytes(0, 0, SIZE)
    assert origin.connections == 1


@pytest.mark.parametrize("rate", [0, 4_000_000], ids=["fast", "slow"])
async def test_content_over_tls_is_moved_and_the_connection_reused(tmp_path: Path, rate: int) -> None:
    """A slow origin leaves incomplete records behind: waiting for too many bytes would never end."""
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    async with (
        Origin(tls=authority.server_context()) as origin,
        Session(
            policy=Policy(addresses=AddressRules(["127.0.0.0/8"])),
            credentials=(),
            stall_timeout=3,
            tls=TlsContexts(str(tmp_path / "ca.pem")),
        ) as session,
    ):
        origin.script("/f", ScriptedResponse(size=SIZE, rate=rate))
        for _ in range(2):
            async with session.get(origin.url("/f"), RangeRequest()) as response:
                await move_all(response.content, tmp_path / "f")
            assert (tmp_path / "f").read_bytes() == expected_bytes(0, 0, SIZE)
        assert origin.connections == 1


@pytest.mark.parametrize("may_splice", [True, False])
@pytest.mark.parametrize("cut", Cut)
async def test_a_connection_that_breaks_is_an_error_after_its_bytes(
    session: Session, origin: Origin, tmp_path: Path, cut: Cut, may_splice: bool
) -> None:
    origin.script("/f", ScriptedResponse(size=MIN_DETACH_BYTES, cut_after=MIN_DETACH_BYTES - 100, cut=cut))
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        with pytest.raises(NetworkError) as caught:
            await move_all(response.content, tmp_path / "f", may_splice=may_splice)
    assert caught.value.kind is NetworkErrorKind.CUT
    assert (tmp_path / "f").read_bytes() == expected_bytes(0, 0, MIN_DETACH_BYTES - 100)


async def test_a_connection_that_stalls_is_an_error(session: Session, origin: Origin, tmp_path: Path) -> None:
    origin.script("/f", ScriptedResponse(size=MIN_DETACH_BYTES, stall_after=100))
    context = RequestContext(fields=None, cookies=make_jar(), options=AttemptOptions(stall_timeout=0.5))
    async with session.get(origin.url("/f"), RangeRequest(), context) as response:
        with pytest.raises(NetworkError, match="within the stall timeout") as caught:
            await move_all(response.content, tmp_path / "f")
    assert caught.value.kind is NetworkErrorKind.STALLED


async def test_bytes_behind_the_content_are_an_error(session: Session, origin: Origin, tmp_path: Path) -> None:
    body = bytes(MIN_DETACH_BYTES)
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sH" % (len(body), body)
    origin.script("/f", ScriptedResponse(raw=raw))
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        with pytest.raises(NetworkError, match="more bytes than it had announced"):
            await move_all(response.content, tmp_path / "f")
