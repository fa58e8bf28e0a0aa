"""The ways that bytes can take from a connection to the disk: each of them keeps every promise.

Long contents pass by the HTTP parser: inside the kernel, or through one buffer when they come over TLS or have to be
hashed. What they have in common is tested here once for all of them.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from daemon_process import DEFAULT_CONFIG, DaemonProcess, until
from origin.answer import Answer, Cut, Framing
from origin.content import expected_bytes, expected_sha256
from origin.origin import Origin
from origin.tls import Authority

MIB = 1 << 20
SIZE = 6 * MIB + 4_321
CUT = 5 * MIB + 77
RECORD = 16 * 1024
"""Bytes of a TLS record."""
IMPATIENT = DEFAULT_CONFIG.replace("[downloads]", "[downloads]\nretries = 2\nstall_timeout = 1")


class Way:
    """One way, with an origin and a daemon for it."""

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

    def answer(self, **options: Any) -> Answer:
        framing = Framing.CHUNKED if self.name == "parsed" else Framing.LENGTH
        return Answer(**{"size": SIZE, "etag": '"v1"', "framing": framing, **options})

    async def fetch(self, seed: int = 0, **parameters: Any) -> tuple[int, dict[str, Any]]:
        return await self.daemon.fetch("d", self.url, **self.parameters(seed), **parameters)

    async def start(self, **parameters: Any) -> str:
        answer = await self.daemon.start_download("d", self.url, **self.parameters(), **parameters)
        return str(answer["download_id"])

    async def receives(self, id: str, nbytes: int) -> dict[str, Any]:
        """The entry of a download once so much of it has come."""

        async def has_come() -> dict[str, Any] | None:
            entry = await self.daemon.one(id)
            return entry if entry["current_size"] >= nbytes else None

        return dict(await until(has_come))

    def saved(self) -> bool:
        """Whether the whole first version lies there, and nothing else."""
        return self.daemon.files() == {"d/f": expected_bytes(0, 0, SIZE)} and self.daemon.parts() == []


@pytest.fixture(params=["parsed", "spliced", "hashed", "tls", "segmented", "segmented mirrors"])
async def way(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Way]:
    authority = Authority()
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(authority.certificate)
    tls = authority.server_context() if "tls" in request.param else None
    async with (
        Origin(tls=tls) as origin,
        DaemonProcess(tmp_path, config=IMPATIENT, environment={"SSL_CERT_FILE": str(bundle)}) as daemon,
    ):
        yield Way(request.param, origin, daemon)
        if daemon.process is not None:
            assert "Traceback" not in daemon.log.read_text()


async def test_the_whole_file_arrives(way: Way) -> None:
    way.origin.script("/f", way.answer())
    status, answer = await way.fetch()
    assert (status, answer["message"]) == (201, "Download completed")
    assert way.saved()


async def test_the_border_between_short_and_long_is_no_border_for_bytes(way: Way) -> None:
    for size in (4 * MIB - 1, 4 * MIB, 4 * MIB + 1):
        way.origin.script("/f", way.answer(size=size))
        status, _ = await way.daemon.fetch("d", way.origin.url("/f"), conflict="overwrite", **way.parameters(size=size))
        assert status == 201
        assert way.daemon.files() == {"d/f": expected_bytes(0, 0, size)}


BROKEN: list[dict[str, Any]] = [
    {"cut_after": CUT},
    {"cut_after": CUT, "cut": Cut.FIN},
    {"cut_after": SIZE - 1},
    {"stall_after": CUT},
    {"cut_after": 10},
]


async def test_what_came_before_a_break_is_not_fetched_again(way: Way) -> None:
    for number, broken in enumerate(BROKEN):
        path = f"/{number}"
        way.origin.script(path, [way.answer(**broken), Answer(size=SIZE, etag='"v1"')])
        status, answer = await way.daemon.fetch("d", way.origin.url(path), filename="f", conflict="overwrite")
        assert status == 201, answer
        assert way.saved()
        after = int(broken["cut_after"] if "cut_after" in broken else broken["stall_after"])
        if way.segmented:
            # Their requests are looked at elsewhere.
            continue
        first, second = (request.field("Range") for request in way.origin.requests(path))
        assert first is None
        if way.name == "tls" and broken.get("cut") is not Cut.FIN and after > 10:
            # A reset overtakes the record before it.
            assert second is not None
            assert after - RECORD <= int(second.removeprefix("bytes=").rstrip("-")) <= after
        else:
            assert second == f"bytes={after}-"


async def test_two_versions_never_meet(way: Way) -> None:
    way.origin.script("/f", [way.answer(cut_after=CUT), Answer(size=SIZE, seed=1, etag='"v2"')])
    status, answer = await way.fetch(seed=1)
    assert status == 201, answer
    assert way.daemon.files() == {"d/f": expected_bytes(1, 0, SIZE)}


@pytest.mark.parametrize("way", ["spliced", "hashed", "tls"], indirect=True)
async def test_a_content_that_something_follows_is_not_believed_however_often_it_is_tried(way: Way) -> None:
    head = f'HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: "v1"\r\n\r\n'.encode()
    way.origin.script("/f", Answer(raw=head + expected_bytes(0, 0, SIZE) + b"HTTP/1.1 200 OK\r\n\r\nmore" * 99))
    status, answer = await way.fetch()
    assert (status, answer["error"]) == (502, "NETWORK_ERROR")
    assert way.daemon.files() == {}
    assert way.daemon.parts() == []


async def test_a_pause_takes_effect_within_a_second_and_keeps_what_came(way: Way) -> None:
    way.origin.script("/f", way.answer(rate=4 * MIB))
    id = await way.start()
    await way.receives(id, 3 * MIB)
    begin = time.monotonic()
    status, entry = await way.daemon.verb(id, "pause")
    assert time.monotonic() - begin < 1
    assert (status, entry["status"]) == (200, "paused")
    assert entry["current_size"] >= 3 * MIB
    way.origin.script("/f", Answer(size=SIZE, etag='"v1"'))
    await way.daemon.verb(id, "resume")
    assert (await way.daemon.ended(id))["status"] == "completed"
    assert way.saved()
    if not way.segmented:
        assert way.origin.requests("/f")[-1].field("Range") == f"bytes={entry['current_size']}-"


@pytest.mark.parametrize("rate", [0, 4 * MIB], ids=["full speed", "slow"])
async def test_a_cancel_takes_effect_within_a_second_and_leaves_nothing(way: Way, rate: int) -> None:
    way.origin.script("/f", way.answer(size=2_000 * MIB, rate=rate))
    answer = await way.daemon.start_download("d", way.origin.url("/f"), **way.parameters())
    id = answer["download_id"]
    await way.receives(id, 5 * MIB)
    begin = time.monotonic()
    status, entry = await way.daemon.verb(id, "cancel")
    assert time.monotonic() - begin < 1
    assert (status, entry["status"], entry["error"]) == (200, "cancelled", "CANCELLED")
    assert (way.daemon.files(), way.daemon.parts()) == ({}, [])


async def test_a_kill_in_the_middle_loses_no_more_than_was_on_its_way(way: Way) -> None:
    way.origin.script("/f", way.answer(rate=4 * MIB))
    id = await way.start()
    for least in (2 * MIB, 4 * MIB):
        await way.receives(id, least)
        await way.daemon.kill()
        await way.daemon.start()
    way.origin.script("/f", Answer(size=SIZE, etag='"v1"'))
    assert (await way.daemon.ended(id))["status"] == "completed"
    assert way.saved()
    if way.segmented:
        return
    ranges = [request.field("Range") for request in way.origin.requests("/f")]
    assert ranges[0] is None
    starts = [int(str(span).removeprefix("bytes=").rstrip("-")) for span in ranges[1:]]
    assert starts[0] > 1 * MIB
    assert starts == sorted(starts)


async def test_kills_in_loops_lose_nothing_and_mix_nothing(way: Way) -> None:
    contents = [expected_bytes(seed, 0, SIZE) for seed in range(3)]
    for seed in range(3):
        way.origin.script(f"/{seed}", way.answer(seed=seed, etag=f'"{seed}"', rate=2 * MIB))
    ids = []
    for seed in range(3):
        url = way.origin.url(f"/{seed}")
        urls = [url, f"{url}?mirror"] if "mirrors" in way.name else url
        ids.append((await way.daemon.start_download("d", urls, **way.parameters(seed)))["download_id"])
    chance = random.Random(way.name)
    for _ in range(5):
        await asyncio.sleep(chance.uniform(0.05, 0.7))
        await way.daemon.kill()
        for path, content in way.daemon.files().items():
            assert content == contents[int(Path(path).name)]
        await way.daemon.start()
    for id in ids:
        assert (await way.daemon.ended(id))["status"] == "completed"
    assert way.daemon.files() == {f"d/{seed}": contents[seed] for seed in range(3)}
    assert way.daemon.parts() == []


@pytest.mark.parametrize("parameters", [{}, {"checksum": f"sha-256={expected_sha256(1, 2 * SIZE)}"}])
async def test_a_late_reader_of_an_earlier_answer_takes_nothing_from_the_next_one(
    tmp_path: Path, parameters: dict[str, str]
) -> None:
    """A connection may be used again as soon as an answer has come, though not all of it has been written yet."""
    async with Origin() as origin, DaemonProcess(tmp_path, config=IMPATIENT) as daemon:
        origin.script("/late", Answer(size=400_000))
        origin.script("/next", Answer(size=2 * SIZE, seed=1, rate=4 * MIB, etag='"n"'))
        late = (await daemon.start_download("d", origin.url("/late"), speed_limit=100_000))["download_id"]
        await origin.finished("/late")
        await asyncio.sleep(0.3)
        status, _ = await daemon.fetch("d", origin.url("/next"), **parameters)
        assert status == 201
        assert origin.requests("/next")[0].connection == origin.requests("/late")[0].connection
        assert len(origin.requests("/next")) == 1
        assert (await daemon.ended(late))["status"] == "completed"
        assert daemon.files() == {"d/late": expected_bytes(0, 0, 400_000), "d/next": expected_bytes(1, 0, 2 * SIZE)}


async def test_progress_is_told_while_it_is_made(way: Way) -> None:
    way.origin.script("/f", way.answer(rate=4 * MIB))
    id = await way.start()
    seen = set()
    while (entry := await way.daemon.one(id))["status"] not in {"completed", "failed"}:
        seen.add(entry["current_size"])
        await asyncio.sleep(0.1)
    assert entry["status"] == "completed"
    assert len(seen) >= 5


async def test_a_speed_limit_holds(way: Way) -> None:
    way.origin.script("/f", way.answer())
    begin = time.monotonic()
    status, _ = await way.fetch(speed_limit=3 * MIB)
    assert status == 201
    assert SIZE / (3 * MIB) * 0.95 < time.monotonic() - begin < SIZE / (3 * MIB) * 1.15
    assert way.saved()


async def test_a_file_that_is_too_large_is_given_up_as_it_grows(way: Way) -> None:
    await way.daemon.reload(IMPATIENT.replace("[downloads]", f"[downloads]\nmax_size = {SIZE - 1}"))
    way.origin.script("/f", way.answer())
    status, answer = await way.fetch()
    assert (status, answer["error"]) == (413, "FILE_TOO_LARGE")
    assert (way.daemon.files(), way.daemon.parts()) == ({}, [])
