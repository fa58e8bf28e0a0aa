"""Server-sent events of the daemon: complete, resumable, and without delays for other clients."""

import asyncio
import hashlib
import socket
import sys
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess, make_config
from support.event_reader import StreamEvent, open_event_stream
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.events import parse_event_id

FAST_HEARTBEAT_LAUNCHER = """
import sys
from downloadd.fronts.rest.event_stream import EventStream
from downloadd.daemon.main import main
EventStream.__init__.__kwdefaults__["heartbeat"] = 0.2
del sys.argv[1:4]
main()
"""
"""Launcher of the daemon with a short heartbeat; its arguments are the command that it replaces."""


async def test_events_have_the_entries_of_listing_and_history_from_acceptance_to_end(
    daemon: DaemonProcess, origin: Origin
) -> None:
    release = asyncio.Event()
    origin.script("/f.bin", ScriptedResponse(size=1000, body_event=release))
    async with open_event_stream(daemon) as reader:
        assert reader.events == []
        id = (await daemon.start_download("d", origin.url("/f.bin")))["download_id"]
        await reader.wait_until(
            lambda: [entry for entry in reader.entries("download", id) if entry["status"] == "downloading"]
        )
        [listed] = await daemon.active()
        # They change without an event.
        moving = {"speed": None, "eta": None, "connections": 0}
        assert reader.entries("download", id)[-1] | moving == listed | moving
        release.set()
        [ended] = await reader.wait_until(lambda: reader.entries("history", id))
    assert [ended] == await daemon.history()
    statuses = [entry["status"] for entry in reader.entries("download", id)]
    assert list(dict.fromkeys(statuses))[:3] == ["queued", "starting", "downloading"]
    # Only entries that wait have `wait`.
    assert all(entry.keys() - {"wait"} == listed.keys() for entry in reader.entries("download"))
    # The end is the last event.
    assert reader.events[-1].name == "history"


async def test_every_final_state_has_an_event(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/missing", error_response(404))
    origin.script("/stalled", ScriptedResponse(size=10, stall_after=5))
    origin.script("/f", ScriptedResponse(size=1))
    async with open_event_stream(daemon) as reader:
        await daemon.fetch("d", origin.url("/f"))
        await daemon.fetch("d", origin.url("/f"), conflict="skip")
        await daemon.fetch("d", origin.url("/missing"))
        await daemon.request("GET", "/d", params={"download": "ftp://x/"})
        id = (await daemon.start_download("d", origin.url("/stalled")))["download_id"]
        await reader.wait_until(
            lambda: [entry for entry in reader.entries("download", id) if entry["current_size"] == 5]
        )
        await daemon.control(id, "pause")
        await reader.wait_until(lambda: reader.entries("download", id)[-1]["status"] == "paused")
        await daemon.control(id, "resume")
        await reader.wait_until(lambda: reader.entries("download", id)[-1]["status"] in {"starting", "downloading"})
        await daemon.control(id, "cancel")
        await reader.wait_until(lambda: reader.entries("history", id))
    assert [(entry["status"], entry["error"]) for entry in reader.entries("history")] == [
        ("completed", None),
        ("skipped", None),
        ("failed", "REMOTE_FILE_NOT_FOUND"),
        ("failed", "INVALID_URL"),
        ("cancelled", "CANCELLED"),
    ]
    assert reader.entries("history") == list(reversed(await daemon.history()))


async def test_the_end_has_an_event_if_the_part_file_cannot_be_removed(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=10, stall_after=5))
    id = (await daemon.start_download("d", origin.url("/f")))["download_id"]
    [part] = await wait_until(daemon.part_files)
    await daemon.control(id, "pause")
    part.unlink()
    part.mkdir()
    async with open_event_stream(daemon) as reader:
        status, entry = await daemon.control(id, "cancel")
        assert (status, entry["status"]) == (200, "cancelled")
        await reader.wait_until(lambda: reader.entries("history", id))
    await wait_until(lambda: [line for line in daemon.log_lines() if line["event"] == "part_removal_failed"])


async def test_progress_has_about_one_event_a_second(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=10_000_000, rate=1_000_000))
    async with open_event_stream(daemon) as reader:
        await daemon.start_download("d", origin.url("/f"))
        await reader.wait_until(lambda: len({entry["current_size"] for entry in reader.entries("download")}) >= 4)
    sizes = [entry["current_size"] for entry in reader.entries("download")]
    assert sizes == sorted(sizes)
    last = reader.entries("download")[-1]
    assert last["expected_size"] == 10_000_000
    assert last["progress_percentage"] > 0
    assert last["speed"] > 100_000
    assert last["eta"] is not None


async def test_a_stream_without_events_has_comments_as_heartbeat(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path, launcher=(sys.executable, "-Ic", FAST_HEARTBEAT_LAUNCHER)) as daemon:
        async with open_event_stream(daemon) as reader:
            await reader.wait_until(lambda: len(reader.comments) >= 2)
        assert set(reader.comments) == {"heartbeat"}
        assert reader.events == []


# -- reconnecting ------------------------------------------------------------------------------------------------------


async def test_a_client_that_reconnects_receives_every_event_once(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=100))
    received: list[StreamEvent] = []
    last_id = ""
    started: list[str] = []
    for _ in range(5):
        async with open_event_stream(daemon, last_id) as reader:
            received += reader.events
            missed = len(reader.events)
            started.append((await daemon.start_download("d", origin.url("/f")))["download_id"])
            await reader.wait_until(lambda id=started[-1]: reader.entries("history", id))
            received += reader.events[missed:]
            last_id = reader.last_id
        # These events happen while no client is connected.
        _, answer = await daemon.fetch("d", origin.url("/f"))
        started.append(answer["download_id"])
    async with open_event_stream(daemon, last_id) as reader:
        received += reader.events
    assert [one.entry["id"] for one in received if one.name == "history"] == started
    ids = [one.id for one in received]
    assert None not in ids
    assert len(ids) == len(set(ids))
    for id in started:
        own = [one.entry["status"] for one in received if one.entry["id"] == id]
        assert (own[0], own[-1]) == ("queued", "completed")


@pytest.mark.timeout(240)
async def test_no_end_is_lost_across_reconnects_and_kills(restartable: DaemonProcess, origin: Origin) -> None:
    restartable.config.write_text(make_config(max_retries=2, max_concurrent=20, max_per_host=20))
    for number in range(100):
        # Some of them fail, so that ends come from each code path.
        answer = (
            ScriptedResponse(size=20_000, seed=number, etag=f'"{number}"', rate=60_000)
            if number % 5
            else error_response(404)
        )
        origin.script(f"/{number}", answer)
    await restartable.start()
    async with open_event_stream(restartable) as reader:
        last_id = reader.last_id
    started = [
        (await restartable.start_download("d", origin.url(f"/{number}")))["download_id"] for number in range(100)
    ]
    received: Counter[str] = Counter()
    restarts = 0
    while len(received) < len(started):
        async with open_event_stream(restartable, last_id) as reader:
            before = len(received)
            await reader.wait_until(
                lambda before=before: len(set(reader.finished_ids()) | set(received)) >= min(before + 15, len(started)),
                seconds=60,
            )
            last_id = reader.last_id
            received.update(reader.finished_ids())
            if restarts < 4:
                await restartable.kill()
                restarts += 1
        if restartable.process is None:
            await restartable.start()
    assert set(received) == set(started)
    assert {entry["id"] for entry in await restartable.history()} == set(started)
    # Only an event whose id the client did not have before the kill may come twice.
    assert received.total() - len(received) <= 4 * 20


async def test_an_event_id_never_covers_an_end_that_was_not_sent(restartable: DaemonProcess, origin: Origin) -> None:
    """An event id stays valid after a restart: a client that reconnects with it receives only later ends."""
    restartable.config.write_text(make_config(max_concurrent=1))
    origin.script("/held", ScriptedResponse(head_event=asyncio.Event()))
    await restartable.start()
    await restartable.start_download("d", origin.url("/held"))
    queued = [(await restartable.start_download("d", origin.url("/held")))["download_id"] for _ in range(100)]
    batch = {"downloads": [{"url": f"ftp://nowhere.test/{number}"} for number in range(10_000)]}

    async def cancel(ids: list[str]) -> None:
        for id in ids:
            assert (await restartable.control(id, "cancel"))[0] == 200

    async with open_event_stream(restartable) as reader:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(restartable.request("POST", "/api/v1/downloads", json=batch))
            for first in range(4):
                tasks.create_task(cancel(queued[first::4]))
        await wait_until(lambda: reader.is_closed or len(reader.finished_ids()) == 10_100)
    order = [entry["id"] for entry in reversed(await restartable.history())]
    assert len(order) == 10_100
    received: set[str] = set()
    for one in reader.events:
        if one.name == "history":
            received.add(one.entry["id"])
        place = parse_event_id(one.id or "")
        if place is not None:
            missing = set(order[: place.ended_seq]) - received
            assert not missing, f"{one.id} vouches for {len(missing)} ends that come only later"


# -- slow clients ------------------------------------------------------------------------------------------------------


async def open_and_never_read(daemon: DaemonProcess) -> socket.socket:
    """Return a connection to the stream with the smallest possible buffers."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, _, port = daemon.url.removeprefix("http://").rpartition(":")
    await asyncio.to_thread(sock.connect, (host, int(port)))
    sock.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: d\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    return sock


async def test_clients_that_do_not_read_delay_no_other_client(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    # Long URLs make long events, which fill the socket buffers fast.
    padding = "x" * 15_000
    slow = [await open_and_never_read(daemon) for _ in range(10)]
    try:
        async with open_event_stream(daemon) as reader:
            items = [{"url": f"{origin.url('/f')}?{number}={padding}"} for number in range(500)]
            health_seconds = []
            for first in range(0, 500, 50):
                status, _ = await daemon.request(
                    "POST", "/api/v1/downloads", json={"downloads": items[first : first + 50]}
                )
                assert status == 201
                watch = daemon.stopwatch()
                assert (await daemon.request("GET", "/api/v1/health"))[0] == 200
                health_seconds.append(watch.seconds)
            await reader.wait_until(lambda: len(reader.finished_ids()) == 500)
            assert max(health_seconds) < 2
        assert len(daemon.files()) == 500
        # All clients share the events: ten that are 25 MB behind each do not use 250 MB.
        assert daemon.resident_bytes() < 250 * 2**20
    finally:
        for sock in slow:
            sock.close()
    assert (await daemon.request("GET", "/api/v1/health"))[0] == 200
    assert "Traceback" not in daemon.log.read_text()


async def test_the_daemon_stops_in_time_with_open_event_streams(restartable: DaemonProcess) -> None:
    await restartable.start()
    slow = await open_and_never_read(restartable)
    async with open_event_stream(restartable) as reader, aiohttp.ClientSession() as other:
        restartable.client, watched = other, restartable.client
        watch = restartable.stopwatch()
        assert await restartable.stop() == 0
        assert watch.seconds < 10
        await wait_until(lambda: reader.is_closed)
        assert watched is not None
        await watched.close()
    slow.close()


# -- permissions and secrets -------------------------------------------------------------------------------------------


async def test_events_contain_no_secrets(daemon: DaemonProcess, origin: Origin) -> None:
    release = asyncio.Event()
    origin.script("/f", ScriptedResponse(size=10, body_event=release))
    secret = "hush-4711"
    query = "&".join(
        f"{name}={secret}" for name in ("X-Amz-Signature", "token", "pub_secret", "sig", "GoogleAccessId", "API-Key")
    )
    url = f"{origin.url('/f').replace('://', f'://user:{secret}@')}?{query}&page=7"
    async with open_event_stream(daemon) as reader:
        id = (await daemon.start_download("d", url))["download_id"]
        await reader.wait_until(
            lambda: [entry for entry in reader.entries("download", id) if entry["status"] == "downloading"]
        )
        async with open_event_stream(daemon) as late:
            assert late.entries("download", id)
        release.set()
        await reader.wait_until(lambda: reader.entries("history", id))
    assert secret not in repr([one.entry for one in (*reader.events, *late.events)])
    [shown] = {entry["url"] for entry in (*reader.entries("download"), *reader.entries("history"))}
    assert shown.startswith(f"{origin.url('/f')}?X-Amz-Signature=***&token=***")
    assert shown.endswith("&page=7")


@pytest.mark.parametrize("last_id", ["", "nonsense", "-1", "0" * 5000, "aa-99999999999999999999-0"])
async def test_a_client_with_an_unknown_event_id_is_a_new_one(
    daemon: DaemonProcess, origin: Origin, last_id: str
) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    await daemon.fetch("d", origin.url("/f"))
    origin.script("/g", ScriptedResponse(size=10, head_event=asyncio.Event()))
    id = (await daemon.start_download("d", origin.url("/g")))["download_id"]
    async with open_event_stream(daemon, last_id) as reader:
        assert {entry["id"] for entry in reader.entries("download")} == {id}
        assert reader.entries("history") == []


async def test_the_stream_of_a_removed_user_ends(tmp_path: Path, origin: Origin) -> None:
    bob = "".join(f"{number:02x}" for number in range(32))
    digest = hashlib.sha256(bob.encode()).hexdigest()
    with_bob = f'{DEFAULT_CONFIG}\n[[users]]\nid = "bob"\ntoken_hash = "sha256:{digest}"\n'
    headers = {"Authorization": f"Bearer {bob}"}
    async with DaemonProcess(tmp_path, config=with_bob) as daemon, open_event_stream(daemon, headers=headers) as reader:
        await daemon.reload(DEFAULT_CONFIG)
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while not reader.is_closed:
                await asyncio.sleep(0.01)
        status, _ = await daemon.request("GET", "/api/v1/events", headers=headers)
        assert status == 401
