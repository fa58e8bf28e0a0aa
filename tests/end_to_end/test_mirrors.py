"""Downloads of one file from several sources."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes, expected_sha256
from support.origin.origin import Origin
from support.origin.scripted_response import Cut, ScriptedResponse, error_response
from support.waiting import wait_until

MIB = 1 << 20
SIZE = 16 * MIB + 99
WHOLE = expected_bytes(0, 0, SIZE)
SLOW_RESPONSE = ScriptedResponse(size=SIZE, etag='"a"', rate=8 * MIB)
SHORT_TIMEOUTS = make_config(max_retries=1, stall_timeout=2)


@pytest.fixture
async def mirror() -> AsyncIterator[Origin]:
    """Start another origin."""
    async with Origin() as origin:
        yield origin


@pytest.fixture
async def short_timeout_daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with DaemonProcess(tmp_path, config=SHORT_TIMEOUTS) as daemon:
        yield daemon
        assert "Traceback" not in daemon.log.read_text()


async def fetch(daemon: DaemonProcess, *urls: str, **parameters: str) -> dict[str, Any]:
    """Fetch a file from these URLs and return its history entry."""
    query = [("download", url) for url in urls] + [("wait", "60"), *parameters.items()]
    status, answer = await daemon.request("GET", "/d", params=query)
    assert status == 201, answer
    await wait_until(lambda: daemon.part_files() == [])
    return await daemon.get_download(answer["download_id"])


async def test_all_sources_are_used_together(daemon: DaemonProcess, origin: Origin, mirror: Origin) -> None:
    origin.script("/f", SLOW_RESPONSE)
    mirror.script("/m", SLOW_RESPONSE)
    entry = await fetch(daemon, origin.url("/f"), mirror.url("/m"), checksum=f"sha-256={expected_sha256(0, SIZE)}")
    assert (entry["status"], entry["warning"], entry["url"]) == ("completed", None, origin.url("/f"))
    assert daemon.files() == {"d/f": WHOLE}
    assert origin.bytes_sent("/f") > 4 * MIB
    assert mirror.bytes_sent("/m") > 4 * MIB
    assert all(request.field("If-Range") == '"a"' for request in mirror.requests("/m"))


async def test_a_fast_source_sends_more_and_both_end_together(
    daemon_in_memory: DaemonProcess, origin: Origin, mirror: Origin
) -> None:
    daemon = daemon_in_memory
    origin.script("/f", replace(SLOW_RESPONSE, rate=MIB // 4))
    mirror.script("/m", replace(SLOW_RESPONSE, rate=6 * MIB))
    watch = daemon.stopwatch()
    await fetch(daemon, origin.url("/f"), mirror.url("/m"))
    # Together they need 2.6 s; half and half, the slow one would need 32 s, and 4 s for the last MiB.
    assert watch.seconds < 5
    assert daemon.files() == {"d/f": WHOLE}


async def test_connections_are_distributed_over_the_sources(
    daemon: DaemonProcess, origin: Origin, mirror: Origin
) -> None:
    origin.script("/f", replace(SLOW_RESPONSE, rate=2 * MIB))
    mirror.script("/m", replace(SLOW_RESPONSE, rate=2 * MIB))
    await fetch(daemon, origin.url("/f"), mirror.url("/m"), segments="4")
    assert (origin.max_active("/f"), mirror.max_active("/m")) == (2, 2)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        pytest.param(ScriptedResponse(size=SIZE + 1, etag='"a"'), "of another length", id="length"),
        pytest.param(
            ScriptedResponse(size=SIZE - MIB, etag='"a"', honour_ranges=False), f"has {SIZE - MIB} bytes", id="shorter"
        ),
        pytest.param(ScriptedResponse(size=SIZE, seed=1, etag='"b"'), "another validator", id="validator"),
        pytest.param(
            ScriptedResponse(size=SIZE, seed=1, etag='"b"', honour_if_range=False),
            "another validator",
            id="overlooks If-Range",
        ),
        pytest.param(ScriptedResponse(size=SIZE, etag='"a"', honour_ranges=False), "gives no ranges", id="no ranges"),
        pytest.param(error_response(404), "answered 404", id="absent"),
        pytest.param(error_response(503), "answered 503", id="busy"),
        pytest.param(ScriptedResponse(raw=b""), "closed the connection", id="silent"),
        pytest.param(ScriptedResponse(raw=b"nonsense\r\n\r\n"), "not valid HTTP", id="nonsense"),
    ],
)
async def test_an_unusable_mirror_is_dropped_and_reported(
    daemon: DaemonProcess, origin: Origin, mirror: Origin, other: ScriptedResponse, reason: str
) -> None:
    origin.script("/f", SLOW_RESPONSE)
    mirror.script("/m", other)
    entry = await fetch(daemon, origin.url("/f"), mirror.url("/m?token=secret"), segments="4")
    assert daemon.files() == {"d/f": WHOLE}
    assert entry["status"] == "completed"
    assert entry["warning"].startswith(mirror.url("/m?token="))
    assert reason in entry["warning"]
    assert "secret" not in entry["warning"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(error_response(404), id="absent"),
        pytest.param(error_response(503), id="busy"),
        pytest.param(ScriptedResponse(raw=b""), id="silent"),
        pytest.param(
            ScriptedResponse(status=302, headers=[("Location", "ftp://example.com/")]), id="forbidden-redirect"
        ),
    ],
)
async def test_a_mirror_replaces_a_failed_first_url(
    daemon: DaemonProcess, origin: Origin, mirror: Origin, other: ScriptedResponse
) -> None:
    origin.script("/f", other)
    mirror.script("/m", SLOW_RESPONSE)
    entry = await fetch(daemon, origin.url("/f"), mirror.url("/m"), filename="x")
    assert daemon.files() == {"d/x": WHOLE}
    assert entry["status"] == "completed"
    # A request that got no answer at all is repeated once by the client.
    assert len(origin.requests("/f")) <= 2
    assert origin.url("/f") in entry["warning"]


async def test_a_mirror_sends_the_rest_of_a_broken_source(
    short_timeout_daemon: DaemonProcess, origin: Origin, mirror: Origin
) -> None:
    origin.script("/f", [replace(SLOW_RESPONSE, cut_after=3 * MIB, cut=Cut.RESET), error_response(404)])
    mirror.script("/m", SLOW_RESPONSE)
    await fetch(short_timeout_daemon, origin.url("/f"), mirror.url("/m"))
    assert short_timeout_daemon.files() == {"d/f": WHOLE}
    assert len(origin.requests("/f")) == 1


async def test_the_range_of_a_stalled_source_is_fetched_from_another(
    daemon_in_memory: DaemonProcess, origin: Origin, mirror: Origin
) -> None:
    daemon = daemon_in_memory
    origin.script("/f", replace(SLOW_RESPONSE, rate=0, stall_after=100))
    mirror.script("/m", replace(SLOW_RESPONSE, rate=4 * MIB))
    watch = daemon.stopwatch()
    await fetch(daemon, origin.url("/f"), mirror.url("/m"))
    assert daemon.files() == {"d/f": WHOLE}
    # The default stall timeout is longer.
    assert watch.seconds < 8


async def test_without_a_validator_a_mirror_is_tried_after_a_failure(
    short_timeout_daemon: DaemonProcess, origin: Origin, mirror: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, cut_after=3 * MIB))
    mirror.script("/m", ScriptedResponse(size=SIZE))
    await fetch(short_timeout_daemon, origin.url("/f"), mirror.url("/m"), filename="x")
    assert short_timeout_daemon.files() == {"d/x": WHOLE}


async def test_a_download_without_a_usable_source_fails(daemon: DaemonProcess, origin: Origin, mirror: Origin) -> None:
    origin.script("/f", error_response(404))
    mirror.script("/m", error_response(403))
    status, answer = await daemon.request(
        "GET", "/d", params=[("download", origin.url("/f")), ("download", mirror.url("/m")), ("wait", "20")]
    )
    assert (status, answer["error"]) == (404, "REMOTE_FILE_NOT_FOUND")
    assert daemon.files() == {}


async def test_a_download_from_several_sources_survives_a_kill(tmp_path: Path, origin: Origin, mirror: Origin) -> None:
    origin.script("/f", replace(SLOW_RESPONSE, rate=2 * MIB))
    mirror.script("/m", replace(SLOW_RESPONSE, rate=2 * MIB))
    async with DaemonProcess(tmp_path) as daemon:
        item = {"url": origin.url("/f"), "mirrors": [mirror.url("/m"), mirror.url("/m")], "directory": "d"}
        _, answer = await daemon.request("POST", "/api/v1/downloads", json={"downloads": [item]})
        id = answer["downloads"][0]["download_id"]

        async def has_received() -> bool:
            return bool((await daemon.get_download(id))["current_size"] > 11 * MIB)

        await wait_until(has_received)
        await daemon.kill()
        # The first source has stopped: the rest comes from the other.
        origin.script("/f", error_response(404))
        mirror.script("/m", SLOW_RESPONSE)
        before = mirror.bytes_sent("/m")
        await daemon.start()
        entry = await daemon.wait_until_finished(id)
        assert entry["status"] == "completed"
        assert origin.url("/f") in entry["warning"]
        assert daemon.files() == {"d/f": WHOLE}
        assert mirror.bytes_sent("/m") - before < SIZE - 4 * MIB


async def test_each_url_is_checked_before_the_download_starts(daemon: DaemonProcess, origin: Origin) -> None:
    status, answer = await daemon.request(
        "GET", "/d", params=[("download", origin.url("/f")), ("download", "ftp://example.com/f")]
    )
    assert (status, answer["error"]) == (400, "INVALID_URL")
    assert answer["detail"].startswith("mirror 1: ")
    status, answer = await daemon.request("GET", "/d", params=[("download", origin.url(f"/{n}")) for n in range(17)])
    assert (status, answer["error"]) == (400, "INVALID_PARAMETER")
    assert "at most 16" in answer["detail"]
    item = {"url": origin.url("/f"), "mirrors": [f"http://example.com/{n}" for n in range(16)]}
    status, answer = await daemon.request("POST", "/api/v1/downloads", json={"downloads": [item]})
    assert (status, answer["downloads"][0]["error"]) == (400, "INVALID_PARAMETER")
    assert origin.requests("/f") == []


@pytest.mark.parametrize("wrong_source", [0, 1, 2])
async def test_a_source_with_wrong_bytes_is_detected_and_dropped(
    daemon: DaemonProcess, origin: Origin, wrong_source: int
) -> None:
    size = 6 * MIB
    for number in range(3):
        origin.script(
            f"/{number}/f",
            ScriptedResponse(size=size, seed=9 if number == wrong_source else 0, etag='"1"', rate=20 * MIB),
        )
    urls = [origin.url(f"/{number}/f") for number in range(3)]
    status, answer = await daemon.fetch("d", urls, checksum=f"sha-256={expected_sha256(0, size)}")
    assert (status, answer["error"]) == (201, None), answer
    assert daemon.files() == {"d/f": expected_bytes(0, 0, size)}


async def test_a_download_fails_if_all_sources_send_wrong_bytes(daemon: DaemonProcess, origin: Origin) -> None:
    for number in range(3):
        origin.script(f"/{number}/f", ScriptedResponse(size=1000, seed=9, etag='"1"'))
    urls = [origin.url(f"/{number}/f") for number in range(3)]
    status, answer = await daemon.fetch("d", urls, checksum=f"sha-256={expected_sha256(0, 1000)}")
    assert (status, answer["error"]) == (422, "CHECKSUM_MISMATCH")
    assert sum(len(origin.requests(f"/{number}/f")) for number in range(3)) < 10
    assert daemon.files() == {}
    await wait_until(lambda: daemon.part_files() == [])


@pytest.mark.parametrize("size", [3 << 20, 20 << 20])
async def test_a_source_that_has_finished_sends_ranges_of_a_slow_one(
    daemon: DaemonProcess, origin: Origin, size: int
) -> None:
    async with Origin() as fast:
        origin.script("/f", ScriptedResponse(size=size, etag='"1"', rate=1000))
        fast.script("/f", ScriptedResponse(size=size, etag='"1"'))
        status, _ = await daemon.fetch("d", [origin.url("/f"), fast.url("/f")])
        assert status == 201
        assert daemon.files() == {"d/f": expected_bytes(0, 0, size)}


async def test_a_mirror_in_place_of_the_first_url_stays_within_its_host_limit(tmp_path: Path, origin: Origin) -> None:
    origin.script("/m", ScriptedResponse(size=MIB, rate=4 * MIB))
    async with DaemonProcess(tmp_path, config=make_config(max_per_host=1)) as daemon:
        # The first source of each is a host of its own that refuses connections.
        orders = [[f"http://127.0.0.{n}:65001/f", origin.url("/m")] for n in range(2, 6)]
        ids = [(await daemon.start_download("d", urls, filename="f"))["download_id"] for urls in orders]
        entries = [await daemon.wait_until_finished(id) for id in ids]
        assert [entry["status"] for entry in entries] == ["completed"] * 4
        assert origin.max_active("/m") == 1
        assert len(origin.requests("/m")) == 4


async def test_a_mirror_without_a_slot_is_waited_for_if_the_first_source_fails_permanently(
    tmp_path: Path, origin: Origin
) -> None:
    release = asyncio.Event()
    async with (
        Origin(host="127.0.0.2") as missing,
        DaemonProcess(tmp_path, config=make_config(max_per_host=1)) as daemon,
    ):
        missing.script("/f", error_response(404))
        origin.script("/busy", ScriptedResponse(size=10, body_event=release))
        origin.script("/m", ScriptedResponse(size=10))
        busy = (await daemon.start_download("d", origin.url("/busy")))["download_id"]
        await origin.wait_requested("/busy")
        id = (await daemon.start_download("d", [missing.url("/f"), origin.url("/m")]))["download_id"]

        async def waits() -> bool:
            entry = await daemon.get_download(id)
            return entry["status"] == "queued" and f"from 127.0.0.1:{origin.port}" in str(entry["reason"])

        await wait_until(waits)
        assert origin.requests("/m") == []
        release.set()
        assert [(await daemon.wait_until_finished(one))["status"] for one in (busy, id)] == ["completed", "completed"]
        assert len(missing.requests("/f")) == 1
