"""The client, against an origin on real sockets."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.cookie_jars import make_jar
from support.fake_slots import FakeSlots
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, redirect
from support.origin.tls import Authority
from support.raw_server import serve_raw
from support.scripted_resolver import ScriptedResolver
from support.tls_contexts import system_tls

from downloadd.attempt_options import AttemptOptions
from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.origin.content import Content
from downloadd.origin.context import RequestContext
from downloadd.policy.addresses import AddressRules
from downloadd.policy.policy import Policy
from downloadd.policy.tls_contexts import HostTls, TlsContexts
from downloadd.transfer.connection_slots import NoTargetSlotError, RedirectSlots, RequestPath
from downloadd.transfer.resume import Evidence, RangeRequest
from downloadd.transfer.session import Session


async def read_into(pieces: list[bytes], content: Content, limit: int) -> None:
    """Read to the end."""
    while data := await content.read(limit):
        pieces.append(bytes(data))


def limited(**options: float) -> RequestContext:
    return RequestContext(fields=None, cookies=make_jar(), options=AttemptOptions(**options))  # type: ignore[arg-type]


async def test_a_download_has_a_stall_timeout_of_its_own(session: Session, origin: Origin) -> None:
    origin.script("/f", [ScriptedResponse(size=3), ScriptedResponse(size=3, stall_after=2)])
    pieces: list[bytes] = []
    async with session.get(origin.url("/f"), RangeRequest(), limited()) as response:
        await read_into(pieces, response.content, -1)
    async with session.get(origin.url("/f"), RangeRequest(), limited(stall_timeout=0.5)) as response:
        with pytest.raises(NetworkError) as caught:
            await read_into(pieces, response.content, -1)
    assert caught.value.kind is NetworkErrorKind.STALLED
    assert b"".join(pieces) == expected_bytes(0, 0, 3) + expected_bytes(0, 0, 2)
    assert origin.connections == 1, "the connection of the first download is used again"


async def test_a_download_has_a_connect_timeout_of_its_own(session: Session) -> None:
    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serve_raw(never_answer) as port:
        with pytest.raises(NetworkError, match=r"within 0\.1 s") as caught:
            async with session.get(f"https://127.0.0.1:{port}/f", RangeRequest(), limited(connect_timeout=0.1)):
                pass
        assert caught.value.kind is NetworkErrorKind.TIMEOUT
        with pytest.raises(NetworkError) as caught:
            async with session.get(
                f"http://127.0.0.1:{port}/f", RangeRequest(), limited(connect_timeout=0.1, stall_timeout=0.2)
            ):
                pass
        assert caught.value.kind is NetworkErrorKind.STALLED


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


async def test_the_target_of_each_redirect_is_entered_before_it_is_requested_and_left_after_the_response(
    session: Session, origin: Origin
) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def enter(name: str) -> AsyncIterator[None]:
        steps.append(f"enter {name} after {len(other.requests('/f'))} requests")
        try:
            yield
        finally:
            steps.append(f"leave {name} with {other.active('/f')} requests")

    async with Origin() as other:
        origin.script("/f", redirect("/g"))
        origin.script("/g", redirect(other.url("/f")))
        other.script("/f", ScriptedResponse(size=3))
        here, there = origin.url(""), other.url("")
        async with session.get(origin.url("/f"), RangeRequest(), enter_origin=enter) as response:
            assert response.url.origin == there
            assert await response.content.read() == expected_bytes(0, 0, 3)
            steps.append("received")
    assert steps == [
        f"enter {here} after 0 requests",
        f"leave {here} with 0 requests",
        f"enter {there} after 0 requests",
        "received",
        f"leave {there} with 0 requests",
    ]


async def test_no_connection_is_made_to_a_target_that_may_not_be_entered(session: Session, origin: Origin) -> None:
    path = RequestPath(origin.url(""), RedirectSlots(1, FakeSlots(0)))
    async with Origin() as other:
        origin.script("/f", redirect(other.url("/f")))
        with pytest.raises(NoTargetSlotError):
            async with session.get(origin.url("/f"), RangeRequest(), enter_origin=path.enter):
                pass
        assert other.connections == 0
    await origin.wait_idle("/f")


async def test_a_connection_is_reused(session: Session, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=1000))
    for _ in range(5):
        async with session.get(origin.url("/f"), RangeRequest()) as response:
            pieces: list[bytes] = []
            await read_into(pieces, response.content, -1)
    assert origin.connections == 1


async def test_redirects_are_counted(session: Session, origin: Origin) -> None:
    origin.script("/a", redirect("/b"))
    origin.script("/b", redirect("/c"))
    origin.script("/c", ScriptedResponse(size=3))
    for path, redirects in (("/a", 2), ("/c", 0)):
        async with session.get(origin.url(path), RangeRequest()) as response:
            assert (response.redirects, response.url.request_target) == (redirects, "/c")


LOOPBACK = Policy(addresses=AddressRules(["127.0.0.0/8"]))


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority with its certificate in `ca.pem`; the system trusts none."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    return authority


async def get_all(session: Session, url: str) -> int:
    """Return the number of received bytes."""
    async with session.get(url, RangeRequest()) as response:
        pieces: list[bytes] = []
        await read_into(pieces, response.content, -1)
        return sum(map(len, pieces))


async def test_an_authority_is_trusted_for_its_host_alone_and_with_connections_of_their_own(
    authority: Authority, tmp_path: Path
) -> None:
    tls = TlsContexts("", {"a.example": HostTls(ca_file=str(tmp_path / "ca.pem"))})
    async with (
        Origin(tls=authority.server_context("a.example", "b.example")) as origin,
        Session(
            policy=LOOPBACK, credentials=(), stall_timeout=3, tls=tls, resolver=ScriptedResolver(["127.0.0.1"])
        ) as session,
    ):
        origin.script("/f", ScriptedResponse(size=1000))
        for _ in range(2):
            assert await get_all(session, f"https://A.example.:{origin.port}/f") == 1000
        assert origin.connections == 1
        with pytest.raises(NetworkError, match=r"certificate is not trusted .* add its authority to downloads.ca_file"):
            await get_all(session, f"https://b.example:{origin.port}/f")


async def test_a_connection_is_not_reused_once_its_authority_is_not_trusted_any_more(
    authority: Authority, tmp_path: Path
) -> None:
    async with (
        Origin(tls=authority.server_context()) as origin,
        Session(policy=LOOPBACK, credentials=(), stall_timeout=3, tls=TlsContexts(str(tmp_path / "ca.pem"))) as session,
    ):
        origin.script("/f", ScriptedResponse(size=1000))
        assert await get_all(session, origin.url("/f")) == 1000
        session.configure(policy=LOOPBACK, credentials=(), stall_timeout=3, tls=system_tls())
        with pytest.raises(NetworkError, match="certificate is not trusted") as caught:
            await get_all(session, origin.url("/f"))
        assert not caught.value.transient
        assert len(origin.requests("/f")) == 1


async def test_a_certificate_for_another_host_is_refused_with_the_name(authority: Authority, tmp_path: Path) -> None:
    tls = TlsContexts(str(tmp_path / "ca.pem"))
    async with (
        Origin(tls=authority.server_context("other.example")) as origin,
        Session(policy=LOOPBACK, credentials=(), stall_timeout=3, tls=tls) as session,
    ):
        with pytest.raises(NetworkError, match=r"for another host .*127\.0\.0\.1"):
            await get_all(session, origin.url("/f"))


async def test_an_origin_without_tls_is_named_as_such(session: Session) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NetworkError, match="does not speak TLS on this port"):
            await get_all(session, f"https://127.0.0.1:{port}/f")
