"""Origins that continue with another version: bytes of two versions are never mixed, and no range is exceeded."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from security.malformed_responses import format_response
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin, Request
from support.origin.scripted_response import ScriptedResponse
from support.raw_server import serve_raw
from support.waiting import wait_until

A, B = b"a" * 100, b"b" * 100
FIRST = format_response("Content-Length: 200", 'ETag: "v"', body=A)
"""Half of the content, before the connection is cut."""
WHOLE = format_response("Content-Length: 200", 'ETag: "v"', body=A + B)
OTHER = b"x" * 200
LOGIN_PAGE = format_response("Content-Type: text/html", "Content-Length: 14", body=b"<title>Welcome")
MIB = 1 << 20


def part(*fields: str, body: bytes = B, range: str = "bytes 100-199/200") -> bytes:
    """Return the correct continuation, changed by the arguments."""
    return format_response(f"Content-Range: {range}", *fields, body=body, start=b"HTTP/1.1 206 Partial Content")


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with DaemonProcess(tmp_path, config=make_config(max_retries=2, stall_timeout=5)) as daemon:
        yield daemon
        assert await daemon.has_no_stray_part_file()
        assert "Traceback" not in daemon.log.read_text()


CONTINUATIONS: dict[str, tuple[Sequence[bytes], bytes]] = {
    "polite": ([FIRST, part('ETag: "v"', "Content-Length: 100")], A + B),
    "polite, in chunks": ([FIRST, part('ETag: "v"', "Transfer-Encoding: chunked", body=chunked(B))], A + B),
    "polite, until the end": ([FIRST, part('ETag: "v"')], A + B),
    "more than the range, in chunks": (
        [
            FIRST,
            part('ETag: "v"', "Transfer-Encoding: chunked", body=chunked(B[:50] + OTHER), range="bytes 100-149/200"),
            WHOLE,
        ],
        A + B,
    ),
    "more than the range, until the end": (
        [FIRST, part('ETag: "v"', body=B[:50] + OTHER, range="bytes 100-149/200"), WHOLE],
        A + B,
    ),
    "more than all, in chunks": (
        [FIRST, part('ETag: "v"', "Transfer-Encoding: chunked", body=chunked(B + OTHER)), WHOLE],
        A + B,
    ),
    "another coding": ([FIRST, part('ETag: "v"', "Content-Encoding: gzip", "Content-Length: 100"), WHOLE], A + B),
    "no coding any more": (
        [
            format_response("Content-Length: 200", 'ETag: "v"', "Content-Encoding: gzip", body=OTHER[:100]),
            WHOLE,
        ],
        A + B,
    ),
    "two entity tags": ([FIRST, part('ETag: "v"', 'ETag: "w"', "Content-Length: 100", body=OTHER[:100]), WHOLE], A + B),
    "one entity tag twice": ([FIRST, part('ETag: "v"', 'ETag: "v"', "Content-Length: 100")], A + B),
    "two ranges": (
        [FIRST, part('ETag: "v"', "Content-Range: bytes 0-99/200", "Content-Length: 100", body=OTHER[:100]), WHOLE],
        A + B,
    ),
    "the rest under status 200, with its range": (
        [FIRST, format_response("Content-Range: bytes 100-199/200", "Content-Length: 100", 'ETag: "v"', body=B)],
        A + B,
    ),
    "another range under status 200": (
        [
            FIRST,
            format_response("Content-Range: bytes 50-149/200", "Content-Length: 100", 'ETag: "v"', body=OTHER),
            WHOLE,
        ],
        A + B,
    ),
    "the rest under status 200, bare": (
        [FIRST, format_response("Content-Length: 100", 'ETag: "v"', body=B), WHOLE],
        A + B,
    ),
    "the rest under status 200, in chunks": (
        [FIRST, format_response("Transfer-Encoding: chunked", 'ETag: "v"', body=chunked(B)), WHOLE],
        A + B,
    ),
    "the rest of another version under status 200": (
        [FIRST, format_response("Content-Length: 100", 'ETag: "w"', body=OTHER[:100]), WHOLE],
        A + B,
    ),
    "all under status 200, once": ([FIRST, WHOLE, part('ETag: "v"', "Content-Length: 100")], A + B),
    "all under status 200": ([FIRST, WHOLE, WHOLE], A + B),
    "another length under the same entity tag": (
        [
            FIRST,
            format_response("Content-Length: 150", 'ETag: "v"', body=OTHER[:150]),
            part('ETag: "v"', "Content-Length: 100"),
        ],
        A + B,
    ),
    "a login page": (
        [
            format_response("Content-Length: 200", "Content-Type: application/zip", 'ETag: "v"', body=A),
            LOGIN_PAGE,
            part('ETag: "v"', "Content-Length: 100"),
        ],
        A + B,
    ),
}
"""Responses of an origin, one after the other, and the saved bytes."""


@pytest.mark.parametrize("name", CONTINUATIONS)
async def test_the_bytes_are_of_one_version_for_every_continuation(
    daemon: DaemonProcess, origin: Origin, name: str
) -> None:
    said, saved = CONTINUATIONS[name]
    origin.script("/f", [ScriptedResponse(raw=raw) for raw in said])
    status, result = await daemon.fetch("d", origin.url("/f"))
    assert (status, result["error"]) == (201, None), result
    assert daemon.files() == {"d/f": saved}
    assert len(origin.requests("/f")) == len(said)


async def test_received_bytes_stay_until_a_response_without_range_is_accepted(
    daemon: DaemonProcess, origin: Origin
) -> None:
    ignored = format_response("Content-Length: 200", 'ETag: W/"v"', body=OTHER)
    busy = format_response("Content-Length: 0", body=b"", start=b"HTTP/1.1 503 Busy")
    origin.script(
        "/f", [ScriptedResponse(raw=raw) for raw in (FIRST, ignored, busy, part('ETag: "v"', "Content-Length: 100"))]
    )
    assert (await daemon.fetch("d", origin.url("/f")))[0] == 201
    assert daemon.files() == {"d/f": A + B}
    asked = [request.field("Range") for request in origin.requests("/f")]
    assert asked == [None, "bytes=100-", None, "bytes=100-"]


async def test_a_permanent_login_page_ends_with_an_error_and_no_file(daemon: DaemonProcess, origin: Origin) -> None:
    first = format_response("Content-Length: 200", "Content-Type: application/zip", 'ETag: "v"', body=A)
    origin.script("/f", [ScriptedResponse(raw=first), ScriptedResponse(raw=LOGIN_PAGE)])
    status, result = await daemon.fetch("d", origin.url("/f"))
    assert (status, result["error"]) == (502, "REMOTE_ERROR")
    detail = (await daemon.get_download(result["download_id"]))["detail"]
    assert "text/html in place of application/zip" in detail
    assert [request.field("Range") for request in origin.requests("/f")] == [None, "bytes=100-", "bytes=100-"]
    assert daemon.files() == {}


async def test_a_login_page_removes_nothing_from_a_segmented_download(daemon: DaemonProcess, origin: Origin) -> None:
    size = 8 * MIB
    good = ScriptedResponse(size=size, etag='"v"')
    requests = 0

    def respond(request: Request) -> ScriptedResponse:
        nonlocal requests
        requests += 1
        if requests <= 2:
            return replace(good, cut_after=MIB)
        return ScriptedResponse(raw=LOGIN_PAGE) if requests <= 4 else good

    origin.set_fallback(respond)
    entry = await daemon.wait_until_finished(
        (await daemon.start_download("d", origin.url("/f"), segments="2"))["download_id"]
    )
    assert entry["status"] == "completed", entry
    assert daemon.files() == {"d/f": expected_bytes(0, 0, size)}
    asked = [request.field("Range") for request in origin.requests("/f")]
    assert asked.count(None) == 1
    assert len(asked) > 4


@pytest.mark.parametrize("says_its_range", [True, False])
async def test_ranges_under_status_200_are_never_the_complete_file_of_a_segmented_download(
    daemon: DaemonProcess, origin: Origin, says_its_range: bool
) -> None:
    size = 6 * MIB
    content = expected_bytes(0, 0, size)

    def respond(request: Request) -> ScriptedResponse:
        wanted = request.field("Range")
        if wanted is None:
            return ScriptedResponse(size=size, etag='"v"', rate=4 * MIB)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        body = content[int(first) : int(last or size - 1) + 1]
        fields = ['ETag: "v"', f"Content-Length: {len(body)}"]
        if says_its_range:
            fields.append(f"Content-Range: bytes {first}-{last or size - 1}/{size}")
        return ScriptedResponse(raw=format_response(*fields, body=body))

    origin.set_fallback(respond)
    assert (await daemon.fetch("d", origin.url("/f"), segments="4"))[0] == 201
    assert daemon.files() == {"d/f": content}
    whole = [request for request in origin.requests("/f") if request.field("Range") is None]
    # A response that may be a part of the file costs its connection.
    assert len(whole) == 1


def redirect(location: str) -> ScriptedResponse:
    return ScriptedResponse(
        raw=format_response(f"Location: {location}", "Content-Length: 0", body=b"", start=b"HTTP/1.1 302 Found")
    )


@pytest.mark.parametrize("begins_with", ["/f", "/g"])
@pytest.mark.parametrize("is_copy", [True, False])
async def test_after_another_redirect_the_overlap_must_match(
    daemon: DaemonProcess, origin: Origin, begins_with: str, is_copy: bool
) -> None:
    """The entity tag may be that of a copy or of another file."""
    size, come = 6 * MIB, 2 * MIB
    cut = ScriptedResponse(size=size, etag='"v"', cut_after=come)
    first = cut if begins_with == "/f" else redirect("/g")
    origin.script("/f", [first, redirect("/h"), redirect("/i"), redirect("/j")])
    origin.script("/g", cut)
    for path in ("/h", "/i", "/j"):
        origin.script(path, ScriptedResponse(size=size, seed=0 if is_copy else 9, etag='"v"'))
    assert (await daemon.fetch("d", origin.url("/f"), filename="f"))[0] == 201
    assert daemon.files() == {"d/f": expected_bytes(0 if is_copy else 9, 0, size)}
    if is_copy:
        asked = [request.field("Range") for path in ("/h", "/i", "/j") for request in origin.requests(path)]
        assert asked
        assert all(asked)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("is_same", [True, False])
async def test_coded_content_resumes_if_the_overlap_matches(
    daemon: DaemonProcess, origin: Origin, is_same: bool, told: bool
) -> None:
    """The rest may repeat the content coding or leave it out."""
    size, come = 6 * MIB, 2 * MIB
    coded = [("Content-Encoding", "x-gzip")]
    rest = ScriptedResponse(size=size, seed=0 if is_same else 9, etag='"v"', headers=coded if told else [])
    origin.script("/f", [ScriptedResponse(size=size, etag='"v"', headers=coded, cut_after=come), rest])
    assert (await daemon.fetch("d", origin.url("/f")))[0] == 201
    assert daemon.files() == {"d/f": expected_bytes(0 if is_same else 9, 0, size)}
    asked = [request.field("Range") for request in origin.requests("/f")]
    assert asked == ([None, asked[1]] if is_same else [None, asked[1], None])
    assert asked[1] is not None


async def test_redirects_may_lead_several_connections_to_different_copies(
    daemon: DaemonProcess, origin: Origin
) -> None:
    size = 8 * MIB
    origin.script("/f", [redirect(f"/{number}") for number in range(8)])
    for number in range(8):
        origin.script(f"/{number}", ScriptedResponse(size=size, etag='"v"', rate=8 * MIB))
    assert (await daemon.fetch("d", origin.url("/f"), filename="f", segments="4"))[0] == 201
    assert daemon.files() == {"d/f": expected_bytes(0, 0, size)}
    assert sum(bool(origin.requests(f"/{number}")) for number in range(8)) >= 4


@pytest.mark.parametrize("killed", [False, True])
async def test_origin_digests_apply_across_attempts(daemon: DaemonProcess, origin: Origin, killed: bool) -> None:
    size = 4 * MIB
    head = f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "v"\r\nRepr-Digest: sha-256=:{"A" * 43}=:\r\n\r\n'
    content = expected_bytes(0, 0, size)
    origin.script(
        "/f",
        [
            ScriptedResponse(
                size=size, etag='"v"', stall_after=3 * MIB, headers=[("Repr-Digest", f"sha-256=:{'A' * 43}=:")]
            )
            if killed
            else ScriptedResponse(raw=head.encode() + content[: 3 * MIB]),
            ScriptedResponse(size=size, etag='"v"'),
        ],
    )
    id = (await daemon.start_download("d", origin.url("/f")))["download_id"]
    if killed:
        await wait_until(lambda: daemon.has_received(id, 3 * MIB))
        await daemon.control(id, "pause")
        await daemon.kill()
        await daemon.start()
        await daemon.control(id, "resume")
    entry = await daemon.wait_until_finished(id)
    assert (entry["status"], entry["error"]) == ("failed", "CHECKSUM_MISMATCH")
    assert "Repr-Digest" in entry["detail"]
    assert [request.field("Range") is not None for request in origin.requests("/f")] == [False, True]
    assert daemon.files() == {}


@pytest.mark.parametrize("kind", ["surplus", "coding"])
async def test_no_segment_has_more_than_its_range_or_another_coding(
    daemon: DaemonProcess, origin: Origin, kind: str
) -> None:
    size = 6 * MIB
    content = expected_bytes(0, 0, size)

    def respond(request: Request) -> ScriptedResponse:
        wanted = request.field("Range")
        if wanted is None:
            return ScriptedResponse(size=size, etag='"v"', rate=4 * MIB)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first)
        if kind == "coding":
            end = int(last or size - 1)
            fields = ['ETag: "v"', "Content-Encoding: gzip", f"Content-Length: {end + 1 - start}"]
            return ScriptedResponse(
                raw=part(*fields, body=b"x" * (end + 1 - start), range=f"bytes {start}-{end}/{size}")
            )
        end = min(start + 99_999, size - 1)
        garbage = b"x" * (size - end - 1)
        body = chunked(content[start : end + 1] + garbage)
        fields = ['ETag: "v"', "Transfer-Encoding: chunked"]
        return ScriptedResponse(raw=part(*fields, body=body, range=f"bytes {start}-{end}/{size}"))

    origin.set_fallback(respond)
    _, result = await daemon.fetch("d", origin.url("/f"), segments="4")
    assert daemon.files() == ({"d/f": content} if result["success"] else {})
    assert len(origin.requests("/f")) > 1


async def test_a_segment_with_surplus_bytes_is_rejected(daemon: DaemonProcess, origin: Origin) -> None:
    size = 4 * MIB

    def respond(request: Request) -> ScriptedResponse:
        wanted = request.field("Range")
        if wanted is None:
            return ScriptedResponse(size=size, etag='"v"', rate=MIB)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        body = b"x" * (int(last or size - 1) + 1 - int(first))
        fields = ['ETag: "v"', f"Content-Length: {len(body)}"]
        return ScriptedResponse(
            raw=part(*fields, body=body + b"and more", range=f"bytes {first}-{last or size - 1}/{size}")
        )

    origin.set_fallback(respond)
    status, _ = await daemon.fetch("d", origin.url("/f"), segments="2")
    assert status == 201
    # The first connection has received the rest.
    assert daemon.files() == {"d/f": expected_bytes(0, 0, size)}


async def test_an_origin_that_changes_repeatedly_ends_the_download(daemon: DaemonProcess, origin: Origin) -> None:
    cut = [
        format_response("Content-Length: 200", f'ETag: "{number}"', body=OTHER[: 50 + 100 * (number % 2)])
        for number in range(30)
    ]
    refused = format_response("Content-Range: bytes */5", "Content-Length: 0", body=b"", start=b"HTTP/1.1 416 No")
    turns = iter(cut)
    origin.set_fallback(lambda request: ScriptedResponse(raw=refused if request.field("Range") else next(turns)))
    status, result = await daemon.fetch("d", origin.url("/f"))
    assert (status, result["error"]) == (502, "NETWORK_ERROR")
    assert len(origin.requests("/f")) < 10
    assert daemon.files() == {}


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
    ids=["101", "chunks of HTTP/1.0", "204"],
)
async def test_a_connection_without_a_clear_end_of_message_is_not_reused(daemon: DaemonProcess, said: bytes) -> None:
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(said if b"GET /1 " in head else format_response("Content-Length: 4", body=b"good"))
            await writer.drain()

    async with serve_raw(handle) as port:
        await daemon.fetch("d", f"http://127.0.0.1:{port}/1")
        status, _ = await daemon.fetch("d", f"http://127.0.0.1:{port}/2")
        assert (status, connections) == (201, 2)
