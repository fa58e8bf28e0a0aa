"""Origins that lie, stall and break: the whole representation under its name, or a code and no file."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from daemon_process import DEFAULT_CONFIG, DaemonProcess, until
from origin.answer import Answer, Cut, Framing, failure, redirect
from origin.content import expected_bytes
from origin.origin import Origin

IMPATIENT = DEFAULT_CONFIG.replace("[downloads]", "[downloads]\nretries = 2\nstall_timeout = 1\nmax_size = 1_000_000")
SIZE = 300_000
WHOLE = expected_bytes(0, 0, SIZE)


@pytest.fixture
async def impatient(tmp_path: Path) -> Any:
    async with DaemonProcess(tmp_path, config=IMPATIENT) as daemon:
        yield daemon
        assert not [line for line in daemon.log.read_text().splitlines() if "Traceback" in line]


# Scripts that end well, each with the number of requests it takes.
GOOD: dict[str, tuple[list[Answer], int]] = {
    "length": ([Answer(size=SIZE)], 1),
    "chunked": ([Answer(size=SIZE, framing=Framing.CHUNKED)], 1),
    "until-close": ([Answer(size=SIZE, framing=Framing.CLOSE)], 1),
    "empty": ([Answer(size=0)], 1),
    "empty-until-close": ([Answer(size=0, framing=Framing.CLOSE)], 1),
    "early-hints": ([Answer(size=SIZE, interim=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")], 1),
    "http-1.0": ([Answer(raw=b"HTTP/1.0 200 OK\r\n\r\n" + WHOLE)], 1),
    "reset-then-resumed": ([Answer(size=SIZE, etag='"a"', cut_after=100_000), Answer(size=SIZE, etag='"a"')], 2),
    "fin-then-resumed": (
        [Answer(size=SIZE, etag='"a"', cut_after=100_000, cut=Cut.FIN), Answer(size=SIZE, etag='"a"')],
        2,
    ),
    "stall-then-resumed": ([Answer(size=SIZE, etag='"a"', stall_after=100_000), Answer(size=SIZE, etag='"a"')], 2),
    "no-validator-starts-over": ([Answer(size=SIZE, cut_after=100_000), Answer(size=SIZE)], 2),
    "weak-etag-starts-over": ([Answer(size=SIZE, etag='W/"a"', cut_after=100_000), Answer(size=SIZE, etag='W/"a"')], 2),
    "ranges-ignored": (
        [Answer(size=SIZE, etag='"a"', cut_after=100_000), Answer(size=SIZE, etag='"a"', honour_ranges=False)],
        2,
    ),
    "chunked-cut-then-resumed": (
        [
            Answer(size=SIZE, etag='"a"', framing=Framing.CHUNKED, cut_after=100_000),
            Answer(size=SIZE, etag='"a"'),
        ],
        2,
    ),
    "several-cuts-that-bring-something": (
        [
            *(Answer(size=SIZE, etag='"a"', cut_after=50_000) for _ in range(5)),
            Answer(size=SIZE, etag='"a"'),
        ],
        6,
    ),
    "busy-then-there": ([failure(503, retry_after="0"), Answer(size=SIZE)], 2),
    "too-early-then-there": ([failure(429), failure(500), Answer(size=SIZE)], 3),
    "silent-then-there": ([Answer(raw=b""), Answer(size=SIZE)], 2),
}


@asynccontextmanager
async def fetched(
    daemon: DaemonProcess, scripts: Mapping[str, list[Answer]]
) -> AsyncIterator[dict[str, tuple[Origin, int, dict[str, Any]]]]:
    """All scripts at once, each by an origin of its own and into a directory of its name: what came of them."""
    async with AsyncExitStack() as stack:
        origins = {name: await stack.enter_async_context(Origin()) for name in scripts}
        for name, origin in origins.items():
            origin.script("/f.bin", scripts[name])
        answers = await asyncio.gather(*(daemon.fetch(name, origins[name].url("/f.bin")) for name in scripts))
        yield {name: (origins[name], *answer) for name, answer in zip(scripts, answers, strict=True)}


async def test_the_whole_file_arrives(impatient: DaemonProcess) -> None:
    async with fetched(impatient, {name: answers for name, (answers, _) in GOOD.items()}) as outcomes:
        files = impatient.files()
        for name, (origin, status, answer) in outcomes.items():
            answers, requests = GOOD[name]
            assert (status, answer["message"]) == (201, "Download completed"), (name, answer)
            empty = answers[-1].raw is None and answers[-1].size == 0
            assert files[f"{name}/f.bin"] == (b"" if empty else WHOLE), name
            assert len(origin.requests("/f.bin")) == requests, name
    assert impatient.parts() == []


VERSION_2 = expected_bytes(2, 0, SIZE + 1)

# Scripts whose file changes between two attempts: only the second version may be saved.
CHANGED: dict[str, list[Answer]] = {
    "etag": [Answer(size=SIZE, etag='"1"', cut_after=100_000), Answer(size=SIZE + 1, etag='"2"', seed=2)],
    "date": [
        Answer(size=SIZE, last_modified=1_600_000_000, cut_after=100_000),
        Answer(size=SIZE + 1, last_modified=1_600_000_100, seed=2),
    ],
    "if-range-ignored": [
        Answer(size=SIZE, etag='"1"', cut_after=100_000),
        Answer(size=SIZE + 1, etag='"2"', seed=2, honour_if_range=False),
        Answer(size=SIZE + 1, etag='"2"', seed=2),
    ],
    "wrong-offset": [
        Answer(size=SIZE, etag='"1"', cut_after=100_000),
        Answer(size=SIZE + 1, etag='"1"', seed=2, content_range=f"bytes 99999-{SIZE}/{SIZE + 1}"),
        Answer(size=SIZE + 1, etag='"2"', seed=2),
    ],
    "gone-shorter": [
        Answer(size=SIZE + 200_000, etag='"1"', cut_after=SIZE + 100_000),
        Answer(size=SIZE + 1, etag='"1"', seed=2),
        Answer(size=SIZE + 1, etag='"2"', seed=2),
    ],
}


async def test_two_versions_are_never_mixed(impatient: DaemonProcess) -> None:
    async with fetched(impatient, CHANGED) as outcomes:
        for name, (_, status, answer) in outcomes.items():
            assert (status, answer["message"]) == (201, "Download completed"), (name, answer)
        assert impatient.files() == {f"{name}/f.bin": VERSION_2 for name in CHANGED}


# Scripts that end badly: the code, a word of the sentence, and the number of requests.
BAD: dict[str, tuple[list[Answer], str, str, int]] = {
    "not-found": ([failure(404)], "REMOTE_FILE_NOT_FOUND", "404", 1),
    "gone": ([failure(410)], "REMOTE_FILE_NOT_FOUND", "410", 1),
    "forbidden": ([failure(403)], "REMOTE_ERROR", "403", 1),
    "teapot": ([failure(418)], "REMOTE_ERROR", "418", 1),
    "always-busy": ([failure(503)], "REMOTE_ERROR", "503", 3),
    "not-implemented": ([failure(501)], "REMOTE_ERROR", "501", 1),
    "no-content": ([Answer(status=204)], "REMOTE_ERROR", "204", 1),
    "unasked-part": ([Answer(status=206, size=10)], "REMOTE_ERROR", "206", 1),
    "not-modified": ([Answer(status=304)], "REMOTE_ERROR", "304", 1),
    "unsatisfiable": ([failure(416)], "REMOTE_ERROR", "416", 1),
    "always-reset": ([Answer(size=SIZE, cut_after=1000)], "NETWORK_ERROR", "", 3),
    "always-short": ([Answer(size=SIZE, cut_after=1000, cut=Cut.FIN)], "NETWORK_ERROR", "", 3),
    "chunked-cut": ([Answer(size=SIZE, framing=Framing.CHUNKED, cut_after=1000, cut=Cut.FIN)], "NETWORK_ERROR", "", 3),
    "until-close-reset": ([Answer(size=SIZE, framing=Framing.CLOSE, cut_after=200_000)], "NETWORK_ERROR", "reset", 3),
    "no-http": ([Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n")], "NETWORK_ERROR", "HTTP", 3),
    "silence": ([Answer(stall_after=0, size=10)], "NETWORK_ERROR", "stall timeout", 3),
    "negative-length": ([Answer(size=10, content_length=-1)], "", "", 0),
    "length-of-words": ([Answer(size=10, content_length="ten")], "", "", 0),
    "two-lengths": ([Answer(size=10, headers=[("Content-Length", "11")])], "", "", 0),
    "too-large": ([Answer(size=1_000_001)], "FILE_TOO_LARGE", "1000000", 1),
    "too-large-unsaid": ([Answer(size=3_000_000, framing=Framing.CHUNKED)], "FILE_TOO_LARGE", "1000000", 1),
    "redirect-loop": ([redirect("/f.bin")], "TOO_MANY_REDIRECTS", "10", 11),
    "redirect-nowhere": ([Answer(status=302)], "REMOTE_ERROR", "302", 1),
    "redirect-to-file": ([redirect("file:///etc/passwd")], "INVALID_URL", "", 1),
    "redirect-inside": ([redirect("http://169.254.169.254/latest/meta-data/")], "DOMAIN_BLOCKED", "", 1),
    "redirect-inside-spelled-oddly": ([redirect("http://0xa9fea9fe/")], "DOMAIN_BLOCKED", "", 1),
}


async def test_a_bad_end_has_a_code_and_leaves_no_file(impatient: DaemonProcess) -> None:
    async with fetched(impatient, {name: answers for name, (answers, *_) in BAD.items()}) as outcomes:
        history = {entry["directory"]: entry for entry in await impatient.history()}
        for name, (origin, status, answer) in outcomes.items():
            _, code, word, requests = BAD[name]
            assert answer["success"] is False, name
            assert answer["error"] in ({code} if code else {"NETWORK_ERROR", "REMOTE_ERROR"}), (name, answer)
            assert status >= 400, name
            assert word in answer["detail"], (name, answer)
            if requests:
                assert len(origin.requests("/f.bin")) == requests, name
            entry = history[name]
            assert (entry["status"], entry["error"], entry["total_bytes"]) == ("failed", answer["error"], None), name
    assert impatient.files() == {}
    await until(lambda: impatient.parts() == [])


async def test_a_redirect_is_followed_and_names_the_file(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/latest", redirect("/releases/tool-1.2.tar.gz?x=1"))
    origin.script("/releases/tool-1.2.tar.gz", Answer(size=SIZE))
    status, answer = await daemon.fetch("d", origin.url("/latest"))
    assert (status, answer["filename"]) == (201, "tool-1.2.tar.gz")


async def test_nothing_listens(daemon: DaemonProcess, origin: Origin) -> None:
    url = origin.url("/x")
    await origin.stop()
    status, answer = await daemon.fetch("d", url, timeout="2")
    assert (status, answer["error"]) == (502, "NETWORK_ERROR")


async def test_the_total_time_is_limited_however_the_bytes_trickle(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/slow", Answer(size=1_000_000, rate=1000))
    status, answer = await daemon.fetch("d", origin.url("/slow"), timeout="1")
    assert (status, answer["error"]) == (504, "DOWNLOAD_TIMEOUT")
    assert daemon.parts() == []


async def test_the_request_goes_out_as_it_was_given(daemon: DaemonProcess, origin: Origin) -> None:
    target = "/a%2fb/./c;p=1/%7e~/x+y.bin?X-Amz-Signature=a%2Bb%2f==&b=1+2&&c"
    origin.script(target.partition("?")[0], Answer(size=1))
    status, _ = await daemon.fetch("d", origin.url(target))
    assert status == 201
    [request] = origin.requests(target.partition("?")[0])
    assert request.target == target.encode()
    assert request.field("Accept-Encoding") == "identity"
    assert request.field("Cookie") is None


async def test_what_was_coded_unasked_is_saved_as_it_was_sent(daemon: DaemonProcess, origin: Origin) -> None:
    body = b"\x1f\x8b not really gzip"
    origin.script("/f", Answer(body=body, headers=[("Content-Encoding", "gzip")]))
    assert (await daemon.fetch("d", origin.url("/f")))[0] == 201
    assert daemon.files() == {"d/f": body}


async def test_cookies_are_not_carried_from_one_download_to_the_next(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", Answer(size=1, headers=[("Set-Cookie", "session=1; Path=/")]))
    for _ in range(2):
        await daemon.fetch("d", origin.url("/f"))
    assert [request.field("Cookie") for request in origin.requests("/f")] == [None, None]


async def test_a_host_that_asks_for_patience_gets_it_from_every_download(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/busy", failure(503, retry_after="3"))
    origin.script("/other", Answer(size=1))
    busy = (await daemon.start_download("d", origin.url("/busy")))["download_id"]

    async def retrying() -> Any:
        entry = await daemon.one(busy)
        return entry if entry["status"] == "retrying" else None

    entry = await until(retrying)
    assert entry["error"] == "REMOTE_ERROR"
    other = (await daemon.start_download("d", origin.url("/other")))["download_id"]
    waiting = await daemon.one(other)
    assert waiting["status"] == "queued"
    assert "asked to wait" in waiting["reason"]
    await asyncio.sleep(1)
    assert origin.requests("/other") == []
    assert (await daemon.ended(other))["status"] == "completed"
