"""Repeated `kill -9`: no accepted download is lost, duplicated or truncated."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.daemon_process import DaemonProcess
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

ACCEPTED = 500


@pytest.mark.timeout(180)
async def test_500_accepted_downloads_survive_repeated_kills(restartable: DaemonProcess, origin: Origin) -> None:
    sizes = {number: (number * 37) % 40_000 for number in range(ACCEPTED)}
    for number, size in sizes.items():
        origin.script(f"/{number}.bin", ScriptedResponse(size=size, seed=number, etag=f'"{number}"', rate=400_000))
    await restartable.start()
    accepted: dict[str, int] = {}

    async def start(numbers: range) -> None:
        for number in numbers:
            answer = await restartable.start_download(f"d{number % 7}", origin.url(f"/{number}.bin"))
            accepted[answer["download_id"]] = number

    await asyncio.gather(*(start(range(first, ACCEPTED, 25)) for first in range(25)))
    assert len(accepted) == ACCEPTED
    kills = 0
    chance = random.Random(1)
    while True:
        await asyncio.sleep(chance.uniform(0.05, 0.6))
        await restartable.kill()
        kills += 1
        assert_no_file_is_truncated(restartable, sizes)
        await restartable.start()
        if kills >= 8:
            break
    await wait_until(lambda: no_active(restartable), 90)
    history = await restartable.history()
    assert Counter(entry["id"] for entry in history) == dict.fromkeys(accepted, 1)
    assert {entry["status"] for entry in history} == {"completed"}
    assert len(restartable.files()) == ACCEPTED
    assert_no_file_is_truncated(restartable, sizes)
    await wait_until(lambda: restartable.part_files() == [])
    assert await restartable.stop() == 0


async def no_active(daemon: DaemonProcess) -> bool:
    return await daemon.active() == []


def assert_no_file_is_truncated(daemon: DaemonProcess, sizes: dict[int, int]) -> None:
    for path, content in daemon.files().items():
        number = int(Path(path).stem)
        assert content == expected_bytes(number, 0, sizes[number]), path


@pytest.mark.timeout(240)
async def test_a_download_answered_before_a_kill_is_stored(restartable: DaemonProcess, origin: Origin) -> None:
    """Accept in parallel while the daemon is killed; each download that was answered with 201 must be stored."""
    release = asyncio.Event()
    origin.script("/held", ScriptedResponse(size=1, head_event=release))
    answered: set[str] = set()

    async def accept_until_killed() -> None:
        while True:
            try:
                answer = await restartable.start_download("d", origin.url("/held"))
            except (OSError, AssertionError, AttributeError, RuntimeError):
                return
            except Exception as error:
                if type(error).__module__.startswith("aiohttp"):
                    return
                raise
            answered.add(answer["download_id"])

    for _ in range(4):
        await restartable.start()
        clients = [asyncio.create_task(accept_until_killed()) for _ in range(32)]
        before = len(answered)
        await wait_until(lambda before=before: len(answered) > before + 200)
        assert restartable.process is not None
        restartable.process.kill()
        await asyncio.gather(*clients)
        await restartable.kill()
    await restartable.start()
    listed = [entry["id"] for entry in await restartable.active()]
    assert len(listed) == len(set(listed))
    assert answered <= set(listed)


async def test_a_killed_transfer_resumes_with_range_and_if_range(restartable: DaemonProcess, origin: Origin) -> None:
    size = 8_000_000
    origin.script(
        "/big",
        [ScriptedResponse(size=size, etag='"v1"', stall_after=3_000_000), ScriptedResponse(size=size, etag='"v1"')],
    )
    await restartable.start()
    id = (await restartable.start_download("d", origin.url("/big")))["download_id"]
    await wait_until(lambda: [part for part in restartable.part_files() if part.stat().st_size == 3_000_000])
    await restartable.kill()
    await restartable.start()
    entry = await restartable.wait_until_finished(id)
    assert entry["status"] == "completed"
    assert restartable.files() == {"d/big": expected_bytes(0, 0, size)}
    first, second = origin.requests("/big")
    assert (first.field("Range"), first.field("If-Range")) == (None, None)
    assert (second.field("Range"), second.field("If-Range")) == ("bytes=3000000-", '"v1"')


async def test_a_transfer_starts_over_when_the_file_changed_while_the_daemon_was_down(
    restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script(
        "/big",
        [
            ScriptedResponse(size=2_000_000, etag='"v1"', stall_after=1_500_000),
            ScriptedResponse(size=2_100_000, etag='"v2"', seed=2),
        ],
    )
    await restartable.start()
    id = (await restartable.start_download("d", origin.url("/big")))["download_id"]
    await wait_until(lambda: [part for part in restartable.part_files() if part.stat().st_size == 1_500_000])
    await restartable.kill()
    await restartable.start()
    await restartable.wait_until_finished(id)
    assert restartable.files() == {"d/big": expected_bytes(2, 0, 2_100_000)}


async def test_paused_and_cancelled_downloads_keep_their_state_across_a_kill(
    restartable: DaemonProcess, origin: Origin
) -> None:
    half, nothing = (
        ScriptedResponse(size=1_000_000, etag='"v"', stall_after=500_000),
        ScriptedResponse(head_event=asyncio.Event()),
    )
    # A download that continues after the kill must not end before the assertions.
    origin.script("/slow", [half, half, half, nothing])
    await restartable.start()
    paused, cancelled, running = [
        (await restartable.start_download("d", origin.url("/slow"), filename=name))["download_id"] for name in "abc"
    ]
    await wait_until(lambda: len([part for part in restartable.part_files() if part.stat().st_size == 500_000]) == 3)
    assert (await restartable.request("POST", f"/api/v1/downloads/{paused}/pause"))[0] == 200
    assert (await restartable.request("DELETE", f"/api/v1/downloads/{cancelled}"))[0] == 200
    await restartable.kill()
    await restartable.start()
    states = {entry["id"]: entry["status"] for entry in await restartable.active()}
    assert states.pop(paused) == "paused"
    assert set(states) == {running}
    assert (await restartable.get_download(cancelled))["status"] == "cancelled"
    await wait_until(lambda: len(restartable.part_files()) == 2)


async def test_a_graceful_stop_keeps_received_bytes(restartable: DaemonProcess, origin: Origin) -> None:
    origin.script(
        "/slow",
        [
            ScriptedResponse(size=1_000_000, etag='"v"', stall_after=500_000),
            ScriptedResponse(size=1_000_000, etag='"v"'),
        ],
    )
    await restartable.start()
    id = (await restartable.start_download("d", origin.url("/slow")))["download_id"]
    await origin.wait_sent("/slow", 500_000)

    async def received_half() -> bool:
        return bool((await restartable.get_download(id))["current_size"] == 500_000)

    await wait_until(received_half)
    assert await restartable.stop() == 0
    [part] = restartable.part_files()
    assert part.stat().st_size == 500_000
    await restartable.start()
    assert (await restartable.wait_until_finished(id))["status"] == "completed"
    [ended] = await wait_until(lambda: [line for line in restartable.log_lines() if line["event"] == "download_ended"])
    assert ended["attempts"] == 1
    assert origin.requests("/slow")[1].field("Range") == "bytes=500000-"
    assert restartable.files() == {"d/slow": expected_bytes(0, 0, 1_000_000)}


async def test_part_files_without_a_download_are_removed(restartable: DaemonProcess) -> None:
    stray = restartable.root / "d" / "deep" / ".x.7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c.1.part"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"left behind")
    own = stray.with_name(".mine.part")
    own.write_bytes(b"a user's file")
    await restartable.start()
    await wait_until(lambda: not stray.exists())
    assert own.read_bytes() == b"a user's file"


async def test_a_full_state_disk_or_a_second_daemon_does_not_affect_the_first(
    restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script("/x", ScriptedResponse(size=10))
    await restartable.start()
    other = DaemonProcess(restartable.folder)
    with pytest.raises(AssertionError, match="the daemon ended with 1"):
        await other.start()
    status, answer = await restartable.fetch("d", origin.url("/x"))
    assert (status, answer["success"]) == (201, True)
    lines: list[Any] = [line for line in restartable.log.read_text().splitlines() if "Traceback" in line]
    assert lines == []
