"""Server-sent events of the real daemon: complete, resumable, and never a burden for anybody else."""

import asyncio
import hashlib
import socket
import sys
import time
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess, configured, until
from end_to_end.event_reader import Told, watching
from origin.answer import Answer, failure
from origin.origin import Origin

from downloadd.events import parse_event_id

HASTY_HEARTBEAT = """
import sys
from downloadd.api.event_stream import EventStream
from downloadd.daemon.main import main
EventStream.__init__.__kwdefaults__["heartbeat"] = 0.2
del sys.argv[1:4]
main()
"""
"""The daemon, with a heartbeat that a test can wait for; what it executes in place of is in its arguments."""


async def test_a_download_is_told_from_acceptance_to_end_with_the_entries_of_listing_and_history(
    daemon: DaemonProcess, origin: Origin
) -> None:
    gate = asyncio.Event()
    origin.script("/f.bin", Answer(size=1000, gate=gate))
    async with watching(daemon) as reader:
        assert reader.told == []
        id = (await daemon.start_download("d", origin.url("/f.bin")))["download_id"]
        await reader.until(lambda: [entry for entry in reader.of("download", id) if entry["status"] == "downloading"])
        [listed] = await daemon.active()
        assert {**reader.of("download", id)[-1], "speed": None, "eta": None} == {**listed, "speed": None, "eta": None}
        gate.set()
        [ended] = await reader.until(lambda: reader.of("history", id))
    assert [ended] == await daemon.history()
    statuses = [entry["status"] for entry in reader.of("download", id)]
    assert list(dict.fromkeys(statuses))[:3] == ["queued", "starting", "downloading"]
    assert all(entry.keys() == listed.keys() for entry in reader.of("download"))
    # Nothing comes behind the end.
    assert reader.told[-1].name == "history"


async def test_every_way_to_end_is_told(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/missing", failure(404))
    origin.script("/stalled", Answer(size=10, stall_after=5))
    origin.script("/f", Answer(size=1))
    async with watching(daemon) as reader:
        await daemon.fetch("d", origin.url("/f"))
        await daemon.fetch("d", origin.url("/f"), conflict="skip")
        await daemon.fetch("d", origin.url("/missing"))
        await daemon.ask("GET", "/d", params={"download": "ftp://x/"})
        id = (await daemon.start_download("d", origin.url("/stalled")))["download_id"]
        await reader.until(lambda: [entry for entry in reader.of("download", id) if entry["current_size"] == 5])
        await daemon.verb(id, "pause")
        await reader.until(lambda: reader.of("download", id)[-1]["status"] == "paused")
        await daemon.verb(id, "resume")
        await reader.until(lambda: reader.of("download", id)[-1]["status"] in {"starting", "downloading"})
        await daemon.verb(id, "cancel")
        await reader.until(lambda: reader.of("history", id))
    assert [(entry["status"], entry["error"]) for entry in reader.of("history")] == [
        ("completed", None),
        ("skipped", None),
        ("failed", "REMOTE_FILE_NOT_FOUND"),
        ("failed", "INVALID_URL"),
        ("cancelled", "CANCELLED"),
    ]
    assert reader.of("history") == list(reversed(await daemon.history()))


async def test_an_end_is_told_even_when_its_part_cannot_be_removed(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", Answer(size=10, stall_after=5))
    id = (await daemon.start_download("d", origin.url("/f")))["download_id"]
    [part] = await until(daemon.parts)
    await daemon.verb(id, "pause")
    part.unlink()
    part.mkdir()
    async with watching(daemon) as reader:
        status, entry = await daemon.verb(id, "cancel")
        assert (status, entry["status"]) == (200, "cancelled")
        await reader.until(lambda: reader.of("history", id))
    await until(lambda: [line for line in daemon.log_lines() if line["event"] == "part_not_removed"])


async def test_progress_is_told_about_once_a_second(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", Answer(size=10_000_000, rate=1_000_000))
    async with watching(daemon) as reader:
        await daemon.start_download("d", origin.url("/f"))
        await reader.until(lambda: len({entry["current_size"] for entry in reader.of("download")}) >= 4)
    sizes = [entry["current_size"] for entry in reader.of("download")]
    assert sizes == sorted(sizes)
    last = reader.of("download")[-1]
    assert last["expected_size"] == 10_000_000
    assert last["progress_percentage"] > 0
    assert last["speed"] > 100_000
    assert last["eta"] is not None


async def test_a_quiet_stream_has_comments_as_heartbeat(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path, launcher=(sys.executable, "-Ic", HASTY_HEARTBEAT)) as daemon:
        async with watching(daemon) as reader:
            await reader.until(lambda: len(reader.comments) >= 2)
        assert set(reader.comments) == {"heartbeat"}
        assert reader.told == []


# -- coming back -------------------------------------------------------------------------------------------------------


async def test_one_that_comes_back_is_told_every_event_once(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", Answer(size=100))
    told: list[Told] = []
    last_id = ""
    started: list[str] = []
    for _ in range(5):
        async with watching(daemon, last_id) as reader:
            told += reader.told
            missed = len(reader.told)
            started.append((await daemon.start_download("d", origin.url("/f")))["download_id"])
            await reader.until(lambda id=started[-1]: reader.of("history", id))
            told += reader.told[missed:]
            last_id = reader.last_id
        # What happens now is seen by nobody.
        _, answer = await daemon.fetch("d", origin.url("/f"))
        started.append(answer["download_id"])
    async with watching(daemon, last_id) as reader:
        told += reader.told
    assert [one.entry["id"] for one in told if one.name == "history"] == started
    ids = [one.id for one in told]
    assert None not in ids
    assert len(ids) == len(set(ids))
    for id in started:
        own = [one.entry["status"] for one in told if one.entry["id"] == id]
        assert (own[0], own[-1]) == ("queued", "completed")


@pytest.mark.timeout(120)
async def test_no_end_is_lost_across_reconnects_and_kills(mortal: DaemonProcess, origin: Origin) -> None:
    mortal.config.write_text(configured(retries=2, max_concurrent=20, max_per_host=20))
    for number in range(100):
        # A part of them fails, so that ends come from everywhere.
        answer = Answer(size=20_000, seed=number, etag=f'"{number}"', rate=60_000) if number % 5 else failure(404)
        origin.script(f"/{number}", answer)
    await mortal.start()
    async with watching(mortal) as reader:
        last_id = reader.last_id
    started = [(await mortal.start_download("d", origin.url(f"/{number}")))["download_id"] for number in range(100)]
    told: Counter[str] = Counter()
    lives = 0
    while len(told) < len(started):
        async with watching(mortal, last_id) as reader:
            seen = len(told)
            await reader.until(
                lambda seen=seen: len(set(reader.ended()) | set(told)) >= min(seen + 15, len(started)), seconds=60
            )
            last_id = reader.last_id
            told.update(reader.ended())
            if lives < 4:
                await mortal.kill()
                lives += 1
        if mortal.process is None:
            await mortal.start()
    assert set(told) == set(started)
    assert {entry["id"] for entry in await mortal.history()} == set(started)
    # Told twice is possible only for what was not yet vouched for when the daemon was killed.
    assert told.total() - len(told) <= 4 * 20


async def test_an_id_never_vouches_for_an_end_that_was_not_told(mortal: DaemonProcess, origin: Origin) -> None:
    """What an id says outlives the daemon: whoever comes back with it is told only of later ends."""
    mortal.config.write_text(configured(max_concurrent=1))
    origin.script("/held", Answer(head_gate=asyncio.Event()))
    await mortal.start()
    await mortal.start_download("d", origin.url("/held"))
    queued = [(await mortal.start_download("d", origin.url("/held")))["download_id"] for _ in range(100)]
    batch = {"downloads": [{"url": f"ftp://nowhere.test/{number}"} for number in range(10_000)]}

    async def cancel(ids: list[str]) -> None:
        for id in ids:
            assert (await mortal.verb(id, "cancel"))[0] == 200

    async with watching(mortal) as reader:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(mortal.ask("POST", "/api/v1/downloads", json=batch))
            for first in range(4):
                tasks.create_task(cancel(queued[first::4]))
        await until(lambda: reader.over or len(reader.ended()) == 10_100)
    order = [entry["id"] for entry in reversed(await mortal.history())]
    assert len(order) == 10_100
    told: set[str] = set()
    for one in reader.told:
        if one.name == "history":
            told.add(one.entry["id"])
        place = parse_event_id(one.id or "")
        if place is not None:
            missing = set(order[: place.ended_seq]) - told
            assert not missing, f"{one.id} vouches for {len(missing)} ends that come only later"


# -- slow readers ------------------------------------------------------------------------------------------------------


async def open_and_never_read(daemon: DaemonProcess) -> socket.socket:
    """A connection to the stream whose buffers are as small as can be."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, _, port = daemon.url.removeprefix("http://").rpartition(":")
    await asyncio.to_thread(sock.connect, (host, int(port)))
    sock.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: d\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    return sock


async def test_readers_that_do_not_read_hold_up_nobody(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", Answer(size=10))
    # Long URLs make long events: what a socket buffers is soon full.
    padding = "x" * 15_000
    slow = [await open_and_never_read(daemon) for _ in range(10)]
    try:
        async with watching(daemon) as reader:
            items = [{"url": f"{origin.url('/f')}?{number}={padding}"} for number in range(500)]
            slowest = 0.0
            for first in range(0, 500, 50):
                status, _ = await daemon.ask("POST", "/api/v1/downloads", json={"downloads": items[first : first + 50]})
                assert status == 201
                began = time.monotonic()
                assert (await daemon.ask("GET", "/api/v1/health"))[0] == 200
                slowest = max(slowest, time.monotonic() - began)
            await reader.until(lambda: len(reader.ended()) == 500, seconds=40)
            assert slowest < 2
        assert len(daemon.files()) == 500
        # Shared among all readers: ten of them that are behind by 25 MB each do not cost 250 MB.
        assert daemon.resident_bytes() < 250 * 2**20
    finally:
        for sock in slow:
            sock.close()
    assert (await daemon.ask("GET", "/api/v1/health"))[0] == 200
    assert "Traceback" not in daemon.log.read_text()


async def test_the_daemon_stops_in_time_whoever_watches(mortal: DaemonProcess) -> None:
    await mortal.start()
    slow = await open_and_never_read(mortal)
    async with watching(mortal) as reader, aiohttp.ClientSession() as other:
        mortal.client, watched = other, mortal.client
        began = time.monotonic()
        assert await mortal.stop() == 0
        assert time.monotonic() - began < 10
        await until(lambda: reader.over)
        assert watched is not None
        await watched.close()
    slow.close()


# -- who may, and what is shown ----------------------------------------------------------------------------------------


async def test_secrets_are_not_told(daemon: DaemonProcess, origin: Origin) -> None:
    gate = asyncio.Event()
    origin.script("/f", Answer(size=10, gate=gate))
    secret = "hush-4711"
    query = "&".join(
        f"{name}={secret}" for name in ("X-Amz-Signature", "token", "pub_secret", "sig", "GoogleAccessId", "API-Key")
    )
    url = f"{origin.url('/f').replace('://', f'://user:{secret}@')}?{query}&page=7"
    async with watching(daemon) as reader:
        id = (await daemon.start_download("d", url))["download_id"]
        await reader.until(lambda: [entry for entry in reader.of("download", id) if entry["status"] == "downloading"])
        async with watching(daemon) as late:
            assert late.of("download", id)
        gate.set()
        await reader.until(lambda: reader.of("history", id))
    assert secret not in repr([one.entry for one in (*reader.told, *late.told)])
    [shown] = {entry["url"] for entry in (*reader.of("download"), *reader.of("history"))}
    assert shown.startswith(f"{origin.url('/f')}?X-Amz-Signature=***&token=***")
    assert shown.endswith("&page=7")


@pytest.mark.parametrize("last_id", ["", "nonsense", "-1", "0" * 5000, "aa-99999999999999999999-0"])
async def test_a_foreign_id_is_a_new_reader(daemon: DaemonProcess, origin: Origin, last_id: str) -> None:
    origin.script("/f", Answer(size=10))
    await daemon.fetch("d", origin.url("/f"))
    origin.script("/g", Answer(size=10, head_gate=asyncio.Event()))
    id = (await daemon.start_download("d", origin.url("/g")))["download_id"]
    async with watching(daemon, last_id) as reader:
        assert {entry["id"] for entry in reader.of("download")} == {id}
        assert reader.of("history") == []


async def test_a_user_who_was_removed_reads_no_further(tmp_path: Path, origin: Origin) -> None:
    bob = "".join(f"{number:02x}" for number in range(32))
    digest = hashlib.sha256(bob.encode()).hexdigest()
    with_bob = f'{DEFAULT_CONFIG}\n[[users]]\nid = "bob"\ntoken_hash = "sha256:{digest}"\n'
    headers = {"Authorization": f"Bearer {bob}"}
    async with DaemonProcess(tmp_path, config=with_bob) as daemon, watching(daemon, headers=headers) as reader:
        await daemon.reload(DEFAULT_CONFIG)
        async with asyncio.timeout(20):
            while not reader.over:
                await asyncio.sleep(0.01)
        status, _ = await daemon.ask("GET", "/api/v1/events", headers=headers)
        assert status == 401
