"""Downloads of one file over several connections."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes, expected_sha256
from support.origin.origin import Origin, Request
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import wait_until

from downloadd.transfer.byte_ranges import ByteRanges

MIB = 1 << 20
SIZE = 16 * MIB + 99
WHOLE = expected_bytes(0, 0, SIZE)
SHORT_TIMEOUTS = make_config(max_retries=2, stall_timeout=1)


def spans(origin: Origin, path: str = "/f") -> list[tuple[int, int]]:
    """Return the requested half-open ranges; a request without `Range` is the whole file."""
    found = []
    for request in origin.requests(path):
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.field("Range") or "bytes=0-")
        assert match is not None
        found.append((int(match[1]), int(match[2]) + 1 if match[2] else SIZE))
    return found


async def most_connections(daemon: DaemonProcess, origin: Origin, *paths: str) -> int:
    """Return the most connections of the origin in two consecutive samples, until all downloads end."""
    before = most = 0

    async def all_ended() -> bool:
        nonlocal before, most
        now = sum(origin.active(path) for path in paths)
        before, most = now, max(most, min(before, now))
        return not await daemon.active()

    await wait_until(all_ended, every=0.1)
    return most


@pytest.fixture
async def short_timeout_daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with DaemonProcess(tmp_path, config=SHORT_TIMEOUTS) as daemon:
        yield daemon
        assert "Traceback" not in daemon.log.read_text()


async def test_one_file_is_fetched_over_the_requested_connections(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"a"', rate=4 * MIB))
    status, answer = await daemon.fetch(
        "d", origin.url("/f"), segments="4", checksum=f"sha-256={expected_sha256(0, SIZE)}"
    )
    assert (status, answer["message"]) == (201, "Download completed")
    assert daemon.files() == {"d/f": WHOLE}
    assert origin.max_active("/f") == 4
    first, *others = origin.requests("/f")
    assert first.field("Range") is None
    assert all(request.field("If-Range") == '"a"' for request in others)
    [entry] = await daemon.history()
    assert entry["checksum"] == f"sha-256={expected_sha256(0, SIZE)}"


async def test_the_number_of_connections_defaults_to_the_configuration(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"a"', rate=4 * MIB))
    async with DaemonProcess(tmp_path, config=make_config(segments=3)) as daemon:
        await daemon.start_download("d", origin.url("/f"))
        assert await most_connections(daemon, origin, "/f") == 3


async def test_a_finished_connection_fetches_part_of_the_range_of_a_slow_one(
    daemon_in_memory: DaemonProcess, origin: Origin
) -> None:
    daemon = daemon_in_memory
    origin.script(
        "/f",
        [
            ScriptedResponse(size=SIZE, etag='"a"', rate=MIB),
            ScriptedResponse(size=SIZE, etag='"a"', rate=16 * MIB),
        ],
    )
    watch = daemon.stopwatch()
    assert (await daemon.fetch("d", origin.url("/f"), segments="2"))[0] == 201
    # Alone, the first connection would need 8 s for its half.
    assert watch.seconds < 4
    assert daemon.files() == {"d/f": WHOLE}
    # The second half, and then part of the first one.
    assert any(0 < start < SIZE // 2 for start, _ in spans(origin))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ScriptedResponse(size=SIZE, etag='"a"', honour_ranges=False), id="ranges ignored"),
        pytest.param(ScriptedResponse(size=SIZE), id="no validator"),
        pytest.param(ScriptedResponse(size=SIZE, etag='W/"a"'), id="weak validator"),
    ],
)
async def test_an_origin_without_ranges_gets_one_connection(
    daemon: DaemonProcess, origin: Origin, answer: ScriptedResponse
) -> None:
    origin.script("/f", answer)
    assert (await daemon.fetch("d", origin.url("/f"), segments="4"))[0] == 201
    assert daemon.files() == {"d/f": WHOLE}
    assert len([request for request in origin.requests("/f") if request.field("Range") is None]) == 1


async def test_a_small_file_is_not_divided(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=2 * MIB - 1, etag='"a"'))
    assert (await daemon.fetch("d", origin.url("/f"), segments="16"))[0] == 201
    assert len(origin.requests("/f")) == 1


@pytest.mark.parametrize(
    "refusal", [error_response(503, retry_after="0"), error_response(429), ScriptedResponse(raw=b"")]
)
async def test_an_origin_that_refuses_further_connections_is_used_over_one(
    short_timeout_daemon: DaemonProcess, origin: Origin, refusal: ScriptedResponse
) -> None:
    def answer(request: Request) -> ScriptedResponse:
        alone = origin.active("/f") <= 1
        return ScriptedResponse(size=SIZE, etag='"a"', rate=16 * MIB) if alone else refusal

    origin.set_fallback(answer)
    status, body = await short_timeout_daemon.fetch("d", origin.url("/f"), segments="4")
    assert status == 201, body
    assert short_timeout_daemon.files() == {"d/f": WHOLE}


async def test_two_versions_are_never_mixed(short_timeout_daemon: DaemonProcess, origin: Origin) -> None:
    """Replace the file between the first connection and the others."""
    origin.script(
        "/f",
        [
            ScriptedResponse(size=SIZE, etag='"a"', rate=4 * MIB),
            ScriptedResponse(size=SIZE, seed=1, etag='"b"', rate=16 * MIB),
        ],
    )
    assert (await short_timeout_daemon.fetch("d", origin.url("/f"), segments="4"))[0] == 201
    assert short_timeout_daemon.files() == {"d/f": expected_bytes(1, 0, SIZE)}


async def test_an_origin_that_ignores_if_range_is_detected(short_timeout_daemon: DaemonProcess, origin: Origin) -> None:
    origin.script(
        "/f",
        [
            ScriptedResponse(size=SIZE, etag='"a"', rate=4 * MIB),
            ScriptedResponse(size=SIZE, seed=1, etag='"b"', honour_if_range=False, rate=16 * MIB),
        ],
    )
    assert (await short_timeout_daemon.fetch("d", origin.url("/f"), segments="4"))[0] == 201
    assert short_timeout_daemon.files() == {"d/f": expected_bytes(1, 0, SIZE)}


async def test_finished_ranges_survive_a_kill(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"a"', rate=MIB))
    async with DaemonProcess(tmp_path, config=SHORT_TIMEOUTS) as daemon:
        id = (await daemon.start_download("d", origin.url("/f"), segments="4"))["download_id"]

        async def has_received() -> bool:
            return bool((await daemon.get_download(id))["current_size"] > 9 * MIB)

        await wait_until(has_received)
        await daemon.kill()
        origin.script("/f", ScriptedResponse(size=SIZE, etag='"a"'))
        before = len(origin.requests("/f"))
        await daemon.start()
        assert (await daemon.wait_until_finished(id))["status"] == "completed"
        assert daemon.files() == {"d/f": WHOLE}
        await wait_until(lambda: daemon.part_files() == [])
        again = ByteRanges()
        for start, end in spans(origin)[before:]:
            again.add(start, end)
        # Checkpoints come every two seconds, at 4 MiB a second: at least one before the kill.
        assert MIB < again.size <= SIZE - 4 * MIB


async def test_every_connection_counts_for_the_host_limit(tmp_path: Path, origin: Origin) -> None:
    for path in ("/f", "/g"):
        origin.script(path, ScriptedResponse(size=SIZE, etag='"a"', rate=4 * MIB))
    async with DaemonProcess(tmp_path, config=make_config(max_per_host=3)) as daemon:
        ids = [
            (await daemon.start_download("d", origin.url(path), segments="8"))["download_id"] for path in ("/f", "/g")
        ]
        assert await most_connections(daemon, origin, "/f", "/g") == 3
        assert [(await daemon.get_download(id))["status"] for id in ids] == ["completed", "completed"]
        assert daemon.files() == {"d/f": WHOLE, "d/g": WHOLE}


async def test_a_speed_limit_holds_over_all_connections(daemon_in_memory: DaemonProcess, origin: Origin) -> None:
    daemon = daemon_in_memory
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"a"'))
    watch = daemon.stopwatch()
    assert (await daemon.fetch("d", origin.url("/f"), segments="4", speed_limit=str(8 * MIB)))[0] == 201
    assert watch.elapsed > 1.8
    assert watch.seconds < 3
    assert daemon.files() == {"d/f": WHOLE}
