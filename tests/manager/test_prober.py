"""Probes of URLs: by the client of the downloads, at real origins, within limits of number and time."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest
from support.origin.origin import Origin
from support.origin.scripted_response import FIXED_LAST_MODIFIED, Framing, ScriptedResponse, error_response, redirect
from support.tls_contexts import system_tls
from support.virtual_time import in_virtual_time

from downloadd.config import DownloadsConfig
from downloadd.download_request import DownloadRequest
from downloadd.errors import (
    DomainBlockedError,
    DownloadError,
    FileTooLargeError,
    InvalidPathError,
    InvalidUrlError,
    NetworkError,
    ProbeTimeoutError,
    RemoteError,
    RemoteFileNotFoundError,
    TooManyRedirectsError,
)
from downloadd.manager.prober import MAX_PROBES, PROBE_SECONDS, Prober
from downloadd.origin.context import RequestContext
from downloadd.origin.cookies import CookieJar
from downloadd.policy.addresses import AddressRules
from downloadd.policy.policy import Policy
from downloadd.request_fields import Credentials
from downloadd.transfer.probe import ProbeResult
from downloadd.transfer.resume import RangeRequest
from downloadd.transfer.session import OriginResponse, Session

GIB = 1 << 30


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    policy = Policy(addresses=AddressRules(["127.0.0.1/32"]))
    async with Session(policy=policy, credentials=(), stall_timeout=20, tls=system_tls()) as session:
        yield session


@pytest.fixture
def prober(session: Session) -> Prober:
    return Prober(session, DownloadsConfig)


def wanted(url: str, **parameters: Any) -> DownloadRequest:
    return DownloadRequest(url=url, directory="", **parameters)


async def probe(prober: Prober, origin: Origin, *answers: ScriptedResponse, path: str = "/f") -> ProbeResult:
    origin.script(path, answers)
    return await prober.probe(wanted(origin.url(path)))


def ranges(origin: Origin, path: str = "/f") -> list[str | None]:
    """Return the field Range of each request, which is a GET."""
    assert {request.method for request in origin.requests(path)} == {"GET"}
    return [request.field("Range") for request in origin.requests(path)]


async def test_a_large_file_is_described_by_one_request_for_one_byte(prober: Prober, origin: Origin) -> None:
    found = await probe(prober, origin, ScriptedResponse(size=7 * GIB, etag='"v"', last_modified=FIXED_LAST_MODIFIED))
    assert (found.size, found.content_type, found.has_ranges) == (7 * GIB, "application/octet-stream", True)
    assert (found.entity_tag, found.last_modified, found.is_resumable) == ('"v"', FIXED_LAST_MODIFIED, True)
    assert ranges(origin) == ["bytes=0-0"]
    assert origin.bytes_sent("/f") <= 1


async def test_an_origin_without_ranges_is_left_after_its_head(prober: Prober, origin: Origin) -> None:
    found = await probe(prober, origin, ScriptedResponse(size=GIB, etag='"v"', honour_ranges=False))
    assert (found.size, found.has_ranges, found.is_resumable) == (GIB, False, False)
    assert ranges(origin) == ["bytes=0-0"]
    # What buffers hold, not the file.
    await origin.wait_finished("/f")
    assert origin.bytes_sent("/f") < GIB // 8


@pytest.mark.parametrize(
    ("first", "size", "has_ranges"),
    [
        pytest.param(ScriptedResponse(), 0, True, id="an empty file"),
        pytest.param(ScriptedResponse(size=5, content_range="bytes 0-0/*"), 5, True, id="an unknown length"),
        pytest.param(ScriptedResponse(size=5, content_range="bytes 3-3/5"), 5, False, id="another range"),
        pytest.param(error_response(416), 5, False, id="a refused range"),
        pytest.param(error_response(501), 5, False, id="ranges that are not implemented"),
    ],
)
async def test_an_origin_that_refuses_the_range_is_asked_for_everything(
    prober: Prober, origin: Origin, first: ScriptedResponse, size: int, has_ranges: bool
) -> None:
    complete = ScriptedResponse(size=size, honour_ranges=False, content_type="text/csv")
    found = await probe(prober, origin, first, complete)
    assert (found.size, found.content_type, found.has_ranges) == (size, "text/csv", has_ranges)
    assert ranges(origin) == ["bytes=0-0", None]


async def test_content_of_unknown_length_has_no_size(prober: Prober, origin: Origin) -> None:
    chunked = ScriptedResponse(size=5, honour_ranges=False, framing=Framing.CHUNKED)
    assert (await probe(prober, origin, chunked)).size is None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error_response(404), RemoteFileNotFoundError),
        (error_response(403), RemoteError),
        (error_response(503, retry_after="9"), RemoteError),
        (error_response(400), RemoteError),
        (ScriptedResponse(status=204), RemoteError),
        (ScriptedResponse(status=401, headers=[("WWW-Authenticate", "Basic")]), RemoteError),
        (ScriptedResponse(raw=b"nonsense\r\n\r\n"), NetworkError),
        (ScriptedResponse(raw=b""), NetworkError),
        (redirect("/f"), TooManyRedirectsError),
        (redirect("http://10.0.0.1/f"), DomainBlockedError),
        (redirect("file:///etc/passwd"), InvalidUrlError),
    ],
)
async def test_an_error_is_that_of_a_download(
    prober: Prober, origin: Origin, answer: ScriptedResponse, kind: type[DownloadError]
) -> None:
    with pytest.raises(kind):
        await probe(prober, origin, answer)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.2/f", DomainBlockedError),
        ("ftp://h/f", InvalidUrlError),
        ("http://127.0.0.1:1025/f", NetworkError),
    ],
)
async def test_a_url_is_refused_as_by_a_download(prober: Prober, url: str, kind: type[DownloadError]) -> None:
    with pytest.raises(kind):
        await prober.probe(wanted(url))


async def test_redirects_are_followed_and_counted(prober: Prober, origin: Origin) -> None:
    origin.script("/a", redirect("/b"))
    origin.script("/b", redirect("/c/final.zip?sig=secret"))
    origin.script("/c/final.zip", ScriptedResponse(size=5))
    found = await prober.probe(wanted(origin.url("/a")))
    assert (found.redirects, found.redacted_url) == (2, origin.url("/c/final.zip?sig=***"))
    assert (found.filename, found.size) == ("final.zip", 5)


async def test_request_fields_are_sent(prober: Prober, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=5))
    request = wanted(
        origin.url("/f"),
        headers={"X-Key": "k"},
        cookies={"a": "1"},
        auth=Credentials(user="ann", password="p"),
        filename="mine",
    )
    assert (await prober.probe(request)).filename == "mine"
    [sent] = origin.requests("/f")
    assert [sent.field(name) for name in ("X-Key", "Cookie", "Authorization")] == [
        "k",
        "a=1",
        aiohttp.encode_basic_auth("ann", "p"),
    ]


async def test_an_invalid_name_is_refused_before_a_request(prober: Prober, origin: Origin) -> None:
    with pytest.raises(InvalidPathError):
        await prober.probe(wanted(origin.url("/f"), filename="../x"))
    assert origin.connections == 0


async def test_the_present_limits_hold(session: Session, origin: Origin) -> None:
    config = DownloadsConfig()
    prober = Prober(session, lambda: config)
    answer = ScriptedResponse(size=1000)
    assert (await probe(prober, origin, answer)).is_resumable
    config = DownloadsConfig(max_size=1000, resume="strict")
    assert not (await probe(prober, origin, answer)).is_resumable
    config = DownloadsConfig(max_size=999)
    with pytest.raises(FileTooLargeError):
        await probe(prober, origin, answer)


# -- number and time ---------------------------------------------------------------------------------------------------


async def test_one_probe_more_than_the_limit_waits(prober: Prober, origin: Origin) -> None:
    proceed = asyncio.Event()
    origin.script("/f", ScriptedResponse(size=5, head_event=proceed))
    probes = [asyncio.create_task(prober.probe(wanted(origin.url("/f")))) for _ in range(MAX_PROBES + 1)]
    await origin.wait_requested("/f", times=MAX_PROBES)
    proceed.set()
    assert {found.size for found in await asyncio.gather(*probes)} == {5}
    assert origin.max_active("/f") == MAX_PROBES
    assert len(origin.requests("/f")) == MAX_PROBES + 1


class SilentSession:
    """Session whose origin answers never."""

    def __init__(self) -> None:
        self.requests = 0

    def make_cookie_jar(self) -> CookieJar:
        return CookieJar(is_public_suffix=lambda _: False, now=lambda: 0)

    @asynccontextmanager
    async def get(
        self, url: str, request: RangeRequest, context: RequestContext | None = None
    ) -> AsyncIterator[OriginResponse]:
        self.requests += 1
        await asyncio.Event().wait()
        yield cast(OriginResponse, None)


async def outcomes(probes: Iterable["asyncio.Task[ProbeResult]"]) -> list[str]:
    results = await asyncio.gather(*probes, return_exceptions=True)
    assert {type(result) for result in results} == {ProbeTimeoutError}
    return [cast(ProbeTimeoutError, result).detail for result in results]


@in_virtual_time
async def test_the_time_of_a_probe_is_limited_with_its_wait_for_others() -> None:
    silent = SilentSession()
    prober = Prober(cast(Session, silent), DownloadsConfig)
    loop = asyncio.get_running_loop()
    started = loop.time()
    probes = [asyncio.create_task(prober.probe(wanted("http://h/f"))) for _ in range(MAX_PROBES + 1)]
    details = await outcomes(probes)
    assert PROBE_SECONDS <= loop.time() - started < PROBE_SECONDS + 1
    assert details[0] == "the probe ended after 30 s because the origin did not answer"
    assert details[-1] == "the probe ended after 30 s because other probes were running"
    # Their slots are free again.
    assert silent.requests == MAX_PROBES
    await outcomes([asyncio.create_task(prober.probe(wanted("http://h/f")))])
    assert silent.requests == MAX_PROBES + 1


async def test_a_cancelled_probe_closes_its_connection_and_frees_its_slot(session: Session, origin: Origin) -> None:
    prober = Prober(session, DownloadsConfig, max_probes=1)
    origin.script("/slow", ScriptedResponse(size=5, head_event=asyncio.Event()))
    slow = asyncio.create_task(prober.probe(wanted(origin.url("/slow"))))
    await origin.wait_requested("/slow")
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert (await probe(prober, origin, ScriptedResponse(size=5))).size == 5
    assert origin.connections == 2
