"""Misbehaving origins: a download ends with the complete representation, or with an error code and no file."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Cut, Framing, ScriptedResponse, error_response, redirect
from support.waiting import wait_until

SHORT_TIMEOUTS = make_config(max_retries=2, stall_timeout=1, max_size=1_000_000)
SIZE = 300_000
WHOLE = expected_bytes(0, 0, SIZE)


@pytest.fixture
async def short_timeout_daemon(tmp_path: Path) -> Any:
    async with DaemonProcess(tmp_path, config=SHORT_TIMEOUTS) as daemon:
        yield daemon
        assert not [line for line in daemon.log.read_text().splitlines() if "Traceback" in line]


# Scripts that end with a complete file, with the number of requests.
COMPLETED_BY: dict[str, tuple[list[ScriptedResponse], int]] = {
    "length": ([ScriptedResponse(size=SIZE)], 1),
    "chunked": ([ScriptedResponse(size=SIZE, framing=Framing.CHUNKED)], 1),
    "until-close": ([ScriptedResponse(size=SIZE, framing=Framing.CLOSE)], 1),
    "empty": ([ScriptedResponse(size=0)], 1),
    "empty-until-close": ([ScriptedResponse(size=0, framing=Framing.CLOSE)], 1),
    "early-hints": ([ScriptedResponse(size=SIZE, interim=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")], 1),
    "http-1.0": ([ScriptedResponse(raw=b"HTTP/1.0 200 OK\r\n\r\n" + WHOLE)], 1),
    "reset-then-resumed": (
        [ScriptedResponse(size=SIZE, etag='"a"', cut_after=100_000), ScriptedResponse(size=SIZE, etag='"a"')],
        2,
    ),
    "fin-then-resumed": (
        [
            ScriptedResponse(size=SIZE, etag='"a"', cut_after=100_000, cut=Cut.FIN),
            ScriptedResponse(size=SIZE, etag='"a"'),
        ],
        2,
    ),
    "stall-then-resumed": (
        [ScriptedResponse(size=SIZE, etag='"a"', stall_after=100_000), ScriptedResponse(size=SIZE, etag='"a"')],
        2,
    ),
    # Three samples, and the rest with an overlap.
    "no-validator-then-compared": ([ScriptedResponse(size=SIZE, cut_after=100_000), ScriptedResponse(size=SIZE)], 5),
    "weak-etag-then-compared": (
        [ScriptedResponse(size=SIZE, etag='W/"a"', cut_after=100_000), ScriptedResponse(size=SIZE, etag='W/"a"')],
        5,
    ),
    "ranges-ignored": (
        [
            ScriptedResponse(size=SIZE, etag='"a"', cut_after=100_000),
            ScriptedResponse(size=SIZE, etag='"a"', honour_ranges=False),
        ],
        3,
    ),
    "chunked-cut-then-resumed": (
        [
            ScriptedResponse(size=SIZE, etag='"a"', framing=Framing.CHUNKED, cut_after=100_000),
            ScriptedResponse(size=SIZE, etag='"a"'),
        ],
        2,
    ),
    "several-cuts-that-bring-something": (
        [
            *(ScriptedResponse(size=SIZE, etag='"a"', cut_after=50_000) for _ in range(5)),
            ScriptedResponse(size=SIZE, etag='"a"'),
        ],
        6,
    ),
    "busy-then-there": ([error_response(503, retry_after="0"), ScriptedResponse(size=SIZE)], 2),
    "too-early-then-there": ([error_response(429), error_response(500), ScriptedResponse(size=SIZE)], 3),
    "silent-then-there": ([ScriptedResponse(raw=b""), ScriptedResponse(size=SIZE)], 2),
}


@asynccontextmanager
async def fetched(
    daemon: DaemonProcess, scripts: Mapping[str, list[ScriptedResponse]]
) -> AsyncIterator[dict[str, tuple[Origin, int, dict[str, Any]]]]:
    """Run all scripts at once, each with its own origin and directory; return the outcomes."""
    async with AsyncExitStack() as stack:
        origins = {name: await stack.enter_async_context(Origin()) for name in scripts}
        for name, origin in origins.items():
            origin.script("/f.bin", scripts[name])
        answers = await asyncio.gather(*(daemon.fetch(name, origins[name].url("/f.bin")) for name in scripts))
        yield {name: (origins[name], *answer) for name, answer in zip(scripts, answers, strict=True)}


async def test_the_complete_file_is_saved(short_timeout_daemon: DaemonProcess) -> None:
    async with fetched(
        short_timeout_daemon, {name: answers for name, (answers, _) in COMPLETED_BY.items()}
    ) as outcomes:
        files = short_timeout_daemon.files()
        for name, (origin, status, answer) in outcomes.items():
            answers, requests = COMPLETED_BY[name]
            assert (status, answer["message"]) == (201, "Download completed"), (name, answer)
            empty = answers[-1].raw is None and answers[-1].size == 0
            assert files[f"{name}/f.bin"] == (b"" if empty else WHOLE), name
            assert len(origin.requests("/f.bin")) == requests, name
    await wait_until(lambda: short_timeout_daemon.part_files() == [])


VERSION_2 = expected_bytes(2, 0, SIZE + 1)

# Scripts whose file changes between two attempts: only the second version may be saved.
CHANGED: dict[str, list[ScriptedResponse]] = {
    "etag": [
        ScriptedResponse(size=SIZE, etag='"1"', cut_after=100_000),
        ScriptedResponse(size=SIZE + 1, etag='"2"', seed=2),
    ],
    "date": [
        ScriptedResponse(size=SIZE, last_modified=1_600_000_000, cut_after=100_000),
        ScriptedResponse(size=SIZE + 1, last_modified=1_600_000_100, seed=2),
    ],
    "if-range-ignored": [
        ScriptedResponse(size=SIZE, etag='"1"', cut_after=100_000),
        ScriptedResponse(size=SIZE + 1, etag='"2"', seed=2, honour_if_range=False),
        ScriptedResponse(size=SIZE + 1, etag='"2"', seed=2),
    ],
    "wrong-offset": [
        ScriptedResponse(size=SIZE, etag='"1"', cut_after=100_000),
        ScriptedResponse(size=SIZE + 1, etag='"1"', seed=2, content_range=f"bytes 99999-{SIZE}/{SIZE + 1}"),
        ScriptedResponse(size=SIZE + 1, etag='"2"', seed=2),
    ],
    "gone-shorter": [
        ScriptedResponse(size=SIZE + 200_000, etag='"1"', cut_after=SIZE + 100_000),
        ScriptedResponse(size=SIZE + 1, etag='"1"', seed=2),
        ScriptedResponse(size=SIZE + 1, etag='"2"', seed=2),
    ],
}


async def test_two_versions_are_never_mixed(short_timeout_daemon: DaemonProcess) -> None:
    async with fetched(short_timeout_daemon, CHANGED) as outcomes:
        for name, (_, status, answer) in outcomes.items():
            assert (status, answer["message"]) == (201, "Download completed"), (name, answer)
        assert short_timeout_daemon.files() == {f"{name}/f.bin": VERSION_2 for name in CHANGED}


# Scripts that fail: the error code, a word of the detail, and the number of requests.
FAILED_BY: dict[str, tuple[list[ScriptedResponse], str, str, int]] = {
    "not-found": ([error_response(404)], "REMOTE_FILE_NOT_FOUND", "404", 1),
    "gone": ([error_response(410)], "REMOTE_FILE_NOT_FOUND", "410", 1),
    "forbidden": ([error_response(403)], "REMOTE_ERROR", "403", 1),
    "teapot": ([error_response(418)], "REMOTE_ERROR", "418", 1),
    "always-busy": ([error_response(503)], "REMOTE_ERROR", "503", 3),
    "not-implemented": ([error_response(501)], "REMOTE_ERROR", "501", 1),
    "no-content": ([ScriptedResponse(status=204)], "REMOTE_ERROR", "204", 1),
    "unasked-part": ([ScriptedResponse(status=206, size=10)], "REMOTE_ERROR", "206", 1),
    "not-modified": ([ScriptedResponse(status=304)], "REMOTE_ERROR", "304", 1),
    "unsatisfiable": ([error_response(416)], "REMOTE_ERROR", "416", 1),
    "always-reset": ([ScriptedResponse(size=SIZE, cut_after=1000)], "NETWORK_ERROR", "", 3),
    "always-short": ([ScriptedResponse(size=SIZE, cut_after=1000, cut=Cut.FIN)], "NETWORK_ERROR", "", 3),
    "chunked-cut": (
        [ScriptedResponse(size=SIZE, framing=Framing.CHUNKED, cut_after=1000, cut=Cut.FIN)],
        "NETWORK_ERROR",
        "",
        3,
    ),
    "until-close-reset": (
        [ScriptedResponse(size=SIZE, framing=Framing.CLOSE, cut_after=200_000)],
        "NETWORK_ERROR",
        "reset",
        3,
    ),
    "no-http": ([ScriptedResponse(raw=b"SSH-2.0-OpenSSH_9.2\r\n")], "NETWORK_ERROR", "HTTP", 3),
    "silence": ([ScriptedResponse(stall_after=0, size=10)], "NETWORK_ERROR", "stall timeout", 3),
    "negative-length": ([ScriptedResponse(size=10, content_length=-1)], "", "", 0),
    "length-of-words": ([ScriptedResponse(size=10, content_length="ten")], "", "", 0),
    "two-lengths": ([ScriptedResponse(size=10, headers=[("Content-Length", "11")])], "", "", 0),
    "too-large": ([ScriptedResponse(size=1_000_001)], "FILE_TOO_LARGE", "1000000", 1),
    "too-large-unsaid": ([ScriptedResponse(size=3_000_000, framing=Framing.CHUNKED)], "FILE_TOO_LARGE", "1000000", 1),
    "redirect-loop": ([redirect("/f.bin")], "TOO_MANY_REDIRECTS", "10", 11),
    "redirect-nowhere": ([ScriptedResponse(status=302)], "REMOTE_ERROR", "302", 1),
    "redirect-to-file": ([redirect("file:///etc/passwd")], "INVALID_URL", "", 1),
    "redirect-inside": ([redirect("http://169.254.169.254/latest/meta-data/")], "DOMAIN_BLOCKED", "", 1),
    "redirect-inside-spelled-oddly": ([redirect("http://0xa9fea9fe/")], "REMOTE_ERROR", "", 1),
}


async def test_a_failure_has_a_code_and_leaves_no_file(short_timeout_daemon: DaemonProcess) -> None:
    async with fetched(short_timeout_daemon, {name: answers for name, (answers, *_) in FAILED_BY.items()}) as outcomes:
        history = {entry["directory"]: entry for entry in await short_timeout_daemon.history()}
        for name, (origin, status, answer) in outcomes.items():
            _, code, word, requests = FAILED_BY[name]
            assert answer["success"] is False, name
            assert answer["error"] in ({code} if code else {"NETWORK_ERROR", "REMOTE_ERROR"}), (name, answer)
            assert status >= 400, name
            assert word in answer["detail"], (name, answer)
            if requests:
                assert len(origin.requests("/f.bin")) == requests, name
            entry = history[name]
            assert (entry["status"], entry["error"], entry["total_bytes"]) == ("failed", answer["error"], None), name
    assert short_timeout_daemon.files() == {}
    await wait_until(short_timeout_daemon.has_no_stray_part_file)


async def test_a_redirect_is_followed_and_names_the_file(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/latest", redirect("/releases/tool-1.2.tar.gz?x=1"))
    origin.script("/releases/tool-1.2.tar.gz", ScriptedResponse(size=SIZE))
    status, answer = await daemon.fetch("d", origin.url("/latest"))
    assert (status, answer["filename"]) == (201, "tool-1.2.tar.gz")


async def test_an_origin_that_refuses_connections_fails_the_download(daemon: DaemonProcess, origin: Origin) -> None:
    url = origin.url("/x")
    await origin.stop()
    status, answer = await daemon.fetch("d", url, timeout="2")
    assert (status, answer["error"]) == (502, "NETWORK_ERROR")


async def test_the_timeout_limits_an_origin_that_sends_slowly(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/slow", ScriptedResponse(size=1_000_000, etag='"v"', rate=1000))
    status, answer = await daemon.fetch("d", origin.url("/slow"), timeout="1")
    assert (status, answer["error"]) == (504, "DOWNLOAD_TIMEOUT")
    assert (await daemon.get_download(answer["download_id"]))["kept_bytes"] > 0
    assert await daemon.has_no_stray_part_file()


async def test_the_request_target_is_sent_unchanged(daemon: DaemonProcess, origin: Origin) -> None:
    target = "/a%2fb/./c;p=1/%7e~/x+y.bin?X-Amz-Signature=a%2Bb%2f==&b=1+2&&c"
    origin.script(target.partition("?")[0], ScriptedResponse(size=1))
    status, _ = await daemon.fetch("d", origin.url(target))
    assert status == 201
    [request] = origin.requests(target.partition("?")[0])
    assert request.target == target.encode()
    assert request.field("Accept-Encoding") == "identity"
    assert request.field("Cookie") is None


async def test_content_with_an_unrequested_coding_is_saved_without_decoding(
    daemon: DaemonProcess, origin: Origin
) -> None:
    body = b"\x1f\x8b not really gzip"
    origin.script("/f", ScriptedResponse(body=body, headers=[("Content-Encoding", "gzip")]))
    assert (await daemon.fetch("d", origin.url("/f")))[0] == 201
    assert daemon.files() == {"d/f": body}


async def test_cookies_are_not_kept_between_downloads(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=1, headers=[("Set-Cookie", "session=1; Path=/")]))
    for _ in range(2):
        await daemon.fetch("d", origin.url("/f"))
    assert [request.field("Cookie") for request in origin.requests("/f")] == [None, None]


async def test_the_retry_after_of_a_host_holds_for_every_download(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/busy", error_response(503, retry_after="6"))
    origin.script("/other", ScriptedResponse(size=1))
    busy = (await daemon.start_download("d", origin.url("/busy")))["download_id"]

    async def retrying() -> Any:
        entry = await daemon.get_download(busy)
        return entry if entry["status"] == "retrying" else None

    entry = await wait_until(retrying)
    assert entry["error"] == "REMOTE_ERROR"
    other = (await daemon.start_download("d", origin.url("/other")))["download_id"]
    waiting = await daemon.get_download(other)
    assert waiting["status"] == "queued"
    assert "asked to wait" in waiting["reason"]
    assert (await daemon.wait_until_finished(other))["status"] == "completed"
    [request], [refused, *_] = origin.requests("/other"), origin.requests("/busy")
    assert request.received_at - refused.received_at >= 6
