"""Each path of the bytes from a connection to the disk keeps the same promises.

Long contents pass by the HTTP parser: inside the kernel, or through one buffer when they come over TLS or have to be
hashed. What they have in common is tested here once for all of them.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes, expected_sha256
from support.origin.origin import Origin
from support.origin.scripted_response import Cut, Framing, ScriptedResponse
from support.origin.tls import Authority
from support.waiting import wait_until

from downloadd.transfer.receiver import WRITE_BUFFER_BYTES

MIB = 1 << 20
SIZE = 6 * MIB + 4_321
CUT = 5 * MIB + 77
RECORD = 16 * 1024
"""Bytes of a TLS record."""
SHORT_TIMEOUTS = make_config(max_retries=2, stall_timeout=1)


class TransferPath:
    """One path of the bytes, with an origin and a daemon for it."""

    def __init__(self, name: str, origin: Origin, daemon: DaemonProcess) -> None:
        self.name = name
        self.origin = origin
        self.daemon = daemon

    @property
    def url(self) -> str | list[str]:
        url = self.origin.url("/f")
        return [url, f"{url}?mirror"] if "mirrors" in self.name else url

    @property
    def segmented(self) -> bool:
        return self.name.startswith("segmented")

    def parameters(self, seed: int = 0, size: int = SIZE) -> dict[str, str]:
        if self.name == "hashed":
            return {"checksum": f"sha-256={expected_sha256(seed, size)}"}
        return {"segments": "4"} if self.segmented else {}

    def answer(self, **options: Any) -> ScriptedResponse:
        framing = Framing.CHUNKED if self.name == "parsed" else Framing.LENGTH
        return ScriptedResponse(**{"size": SIZE, "etag": '"v1"', "framing": framing, **options})

    async def fetch(self, seed: int = 0, **parameters: Any) -> tuple[int, dict[str, Any]]:
        return await self.daemon.fetch("d", self.url, **self.parameters(seed), **parameters)

    async def start(self, **parameters: Any) -> str:
        answer = await self.daemon.start_download("d", self.url, **self.parameters(), **parameters)
        return str(answer["download_id"])

    async def wait_until_received(self, id: str, nbytes: int) -> dict[str, Any]:
        """Return the entry of a download once it has received this number of bytes."""

        async def has_received() -> dict[str, Any] | None:
            entry = await self.daemon.get_download(id)
            return entry if entry["current_size"] >= nbytes else None

        return dict(await wait_until(has_received))

    def saved(self) -> bool:
        """Return True if the only file is the complete first version."""
        return self.daemon.files() == {"d/f": expected_bytes(0, 0, SIZE)} and self.daemon.part_files() == []


EXHAUSTIVE_PATHS = [pytest.param(name, marks=pytest.mark.exhaustive) for name in ("hashed", "segmented mirrors")]
"""Paths with other tests of their own."""


@pytest.fixture(params=["parsed", "spliced", "tls", "segmented", *EXHAUSTIVE_PATHS])
async def transfer_path(request: pytest.FixtureRequest, memory_path: Path) -> AsyncIterator[TransferPath]:
    authority = Authority()
    bundle = memory_path / "ca.pem"
    bundle.write_bytes(authority.certificate)
    tls = authority.server_context() if "tls" in request.param else None
    async with (
        Origin(tls=tls) as origin,
        DaemonProcess(memory_path, config=SHORT_TIMEOUTS, environment={"SSL_CERT_FILE": str(bundle)}) as daemon,
    ):
        yield TransferPath(request.param, origin, daemon)
        if daemon.process is not None:
            assert "Traceback" not in daemon.log.read_text()


async def test_the_complete_file_is_saved(transfer_path: TransferPath) -> None:
    transfer_path.origin.script("/f", transfer_path.answer())
    status, answer = await transfer_path.fetch()
    assert (status, answer["message"]) == (201, "Download completed")
    assert transfer_path.saved()


async def test_files_around_the_size_threshold_are_complete(transfer_path: TransferPath) -> None:
    for size in (4 * MIB - 1, 4 * MIB, 4 * MIB + 1):
        transfer_path.origin.script("/f", transfer_path.answer(size=size))
        status, _ = await transfer_path.daemon.fetch(
            "d", transfer_path.origin.url("/f"), conflict="overwrite", **transfer_path.parameters(size=size)
        )
        assert status == 201
        assert transfer_path.daemon.files() == {"d/f": expected_bytes(0, 0, size)}


INTERRUPTED_RESPONSES: list[dict[str, Any]] = [
    {"cut_after": CUT},
    {"cut_after": CUT, "cut": Cut.FIN},
    {"cut_after": SIZE - 1},
    {"stall_after": CUT},
    {"cut_after": 10},
]


async def test_bytes_received_before_an_interruption_are_not_fetched_again(transfer_path: TransferPath) -> None:
    for number, broken in enumerate(INTERRUPTED_RESPONSES):
        path = f"/{number}"
        transfer_path.origin.script(path, [transfer_path.answer(**broken), ScriptedResponse(size=SIZE, etag='"v1"')])
        status, answer = await transfer_path.daemon.fetch(
            "d", transfer_path.origin.url(path), filename="f", conflict="overwrite"
        )
        assert status == 201, answer
        assert transfer_path.saved()
        after = int(broken["cut_after"] if "cut_after" in broken else broken["stall_after"])
        if transfer_path.segmented:
            # Other tests check their requests.
            continue
        first, second = (request.field("Range") for request in transfer_path.origin.requests(path))
        assert first is None
        if transfer_path.name == "tls" and broken.get("cut") is not Cut.FIN and after > 10:
            # A reset discards the TLS record before it.
            assert second is not None
            assert after - RECORD <= int(second.removeprefix("bytes=").rstrip("-")) <= after
        else:
            assert second == f"bytes={after}-"


async def test_two_versions_are_never_mixed(transfer_path: TransferPath) -> None:
    transfer_path.origin.script(
        "/f", [transfer_path.answer(cut_after=CUT), ScriptedResponse(size=SIZE, seed=1, etag='"v2"')]
    )
    status, answer = await transfer_path.fetch(seed=1)
    assert status == 201, answer
    assert transfer_path.daemon.files() == {"d/f": expected_bytes(1, 0, SIZE)}


@pytest.mark.parametrize("transfer_path", ["spliced", "hashed", "tls"], indirect=True)
async def test_content_followed_by_extra_bytes_is_refused_on_every_attempt(
    transfer_path: TransferPath,
) -> None:
    head = f'HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: "v1"\r\n\r\n'.encode()
    transfer_path.origin.script(
        "/f", ScriptedResponse(raw=head + expected_bytes(0, 0, SIZE) + b"HTTP/1.1 200 OK\r\n\r\nmore" * 99)
    )
    status, answer = await transfer_path.fetch()
    assert (status, answer["error"]) == (502, "NETWORK_ERROR")
    assert transfer_path.daemon.files() == {}
    await wait_until(lambda: transfer_path.daemon.part_files() == [])


async def test_a_pause_takes_effect_within_a_second_and_keeps_received_bytes(transfer_path: TransferPath) -> None:
    transfer_path.origin.script("/f", transfer_path.answer(rate=4 * MIB))
    id = await transfer_path.start()
    await transfer_path.wait_until_received(id, 3 * MIB)
    watch = transfer_path.daemon.stopwatch()
    status, entry = await transfer_path.daemon.control(id, "pause")
    assert watch.seconds < 1
    assert (status, entry["status"]) == (200, "paused")
    assert entry["current_size"] >= 3 * MIB
    transfer_path.origin.script("/f", ScriptedResponse(size=SIZE, etag='"v1"'))
    await transfer_path.daemon.control(id, "resume")
    assert (await transfer_path.daemon.wait_until_finished(id))["status"] == "completed"
    assert transfer_path.saved()
    if not transfer_path.segmented:
        assert transfer_path.origin.requests("/f")[-1].field("Range") == f"bytes={entry['current_size']}-"


@pytest.mark.parametrize("rate", [0, 4 * MIB], ids=["full speed", "slow"])
async def test_a_cancel_takes_effect_within_a_second_and_leaves_no_file(transfer_path: TransferPath, rate: int) -> None:
    transfer_path.origin.script("/f", transfer_path.answer(size=2_000 * MIB, rate=rate))
    answer = await transfer_path.daemon.start_download(
        "d", transfer_path.origin.url("/f"), **transfer_path.parameters()
    )
    id = answer["download_id"]
    await transfer_path.wait_until_received(id, 5 * MIB)
    watch = transfer_path.daemon.stopwatch()
    status, entry = await transfer_path.daemon.control(id, "cancel")
    assert watch.seconds < 1
    assert (status, entry["status"], entry["error"]) == (200, "cancelled", "CANCELLED")
    await wait_until(lambda: transfer_path.daemon.part_files() == [])
    assert transfer_path.daemon.files() == {}


async def test_a_kill_loses_only_bytes_in_buffers(transfer_path: TransferPath) -> None:
    transfer_path.origin.script("/f", transfer_path.answer(rate=2 * MIB))
    id = await transfer_path.start()
    received = []
    for least in (3 * MIB, 5 * MIB):
        entry = await transfer_path.wait_until_received(id, least)
        received.append(entry["current_size"])
        await transfer_path.daemon.kill()
        await transfer_path.daemon.start()
    transfer_path.origin.script("/f", ScriptedResponse(size=SIZE, etag='"v1"'))
    assert (await transfer_path.daemon.wait_until_finished(id))["status"] == "completed"
    assert transfer_path.saved()
    if transfer_path.segmented:
        return
    ranges = [request.field("Range") for request in transfer_path.origin.requests("/f")]
    assert ranges[0] is None
    starts = [int(str(span).removeprefix("bytes=").rstrip("-")) for span in ranges[1:]]
    # One buffer is being written, and another one is being filled.
    assert starts[0] >= received[0] - 2 * WRITE_BUFFER_BYTES
    assert starts == sorted(starts)


async def test_repeated_kills_lose_and_mix_no_bytes(transfer_path: TransferPath) -> None:
    contents = [expected_bytes(seed, 0, SIZE) for seed in range(3)]
    for seed in range(3):
        transfer_path.origin.script(f"/{seed}", transfer_path.answer(seed=seed, etag=f'"{seed}"', rate=2 * MIB))
    ids = []
    for seed in range(3):
        url = transfer_path.origin.url(f"/{seed}")
        urls = [url, f"{url}?mirror"] if "mirrors" in transfer_path.name else url
        ids.append(
            (await transfer_path.daemon.start_download("d", urls, **transfer_path.parameters(seed)))["download_id"]
        )
    chance = random.Random(transfer_path.name)
    for _ in range(5):
        await asyncio.sleep(chance.uniform(0.05, 0.7))
        await transfer_path.daemon.kill()
        for path, content in transfer_path.daemon.files().items():
            assert content == contents[int(Path(path).name)]
        await transfer_path.daemon.start()
    for id in ids:
        assert (await transfer_path.daemon.wait_until_finished(id))["status"] == "completed"
    assert transfer_path.daemon.files() == {f"d/{seed}": contents[seed] for seed in range(3)}
    await wait_until(lambda: transfer_path.daemon.part_files() == [])


async def test_progress_is_reported_during_the_transfer(transfer_path: TransferPath) -> None:
    # Cancelled after enough samples: a slow machine takes fewer in the same time.
    transfer_path.origin.script("/f", transfer_path.answer(size=2_000 * MIB, rate=4 * MIB))
    id = await transfer_path.start()
    seen: set[int] = set()

    async def is_seen_often() -> bool:
        entry = await transfer_path.daemon.get_download(id)
        assert entry["status"] in {"queued", "starting", "downloading"}, entry
        seen.add(entry["current_size"])
        return len(seen) >= 5

    await wait_until(is_seen_often, every=0.1)
    # Progress is reported in small steps, not only at the end of an attempt.
    assert max(seen) < 100 * MIB
    assert (await transfer_path.daemon.control(id, "cancel"))[0] == 200


async def test_a_speed_limit_holds(transfer_path: TransferPath) -> None:
    transfer_path.origin.script("/f", transfer_path.answer())
    expected = SIZE / (3 * MIB)

    async def measured_seconds() -> float:
        watch = transfer_path.daemon.stopwatch()
        assert (await transfer_path.fetch(speed_limit=3 * MIB, conflict="overwrite"))[0] == 201
        assert watch.elapsed > expected * 0.95
        assert transfer_path.saved()
        return watch.seconds

    # A limiter that is too slow is slow each time; a disk with other load is not.
    took = [await measured_seconds()]
    while took[-1] > expected * 1.15 and len(took) < 3:
        took.append(await measured_seconds())
    assert took[-1] <= expected * 1.15, took


async def test_a_file_that_grows_beyond_max_size_is_aborted(transfer_path: TransferPath) -> None:
    await transfer_path.daemon.reload(SHORT_TIMEOUTS.replace("[downloads]", f"[downloads]\nmax_size = {SIZE - 1}"))
    transfer_path.origin.script("/f", transfer_path.answer())
    status, answer = await transfer_path.fetch()
    assert (status, answer["error"]) == (413, "FILE_TOO_LARGE")
    assert transfer_path.daemon.files() == {}
    assert await transfer_path.daemon.has_no_stray_part_file()
