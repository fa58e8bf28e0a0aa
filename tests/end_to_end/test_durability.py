"""Kill -9, again and again: nothing that was accepted is lost, doubled or truncated."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from daemon_process import DaemonProcess, until
from origin.answer import Answer
from origin.content import expected_bytes
from origin.origin import Origin

ACCEPTED = 500


@pytest.mark.timeout(180)
async def test_500_accepted_downloads_survive_kills_in_loops(mortal: DaemonProcess, origin: Origin) -> None:
    sizes = {number: (number * 37) % 40_000 for number in range(ACCEPTED)}
    for number, size in sizes.items():
        origin.script(f"/{number}.bin", Answer(size=size, seed=number, etag=f'"{number}"', rate=400_000))
    await mortal.start()
    accepted: dict[str, int] = {}

    async def start(numbers: range) -> None:
        for number in numbers:
            answer = await mortal.start_download(f"d{number % 7}", origin.url(f"/{number}.bin"))
            accepted[answer["download_id"]] = number

    await asyncio.gather(*(start(range(first, ACCEPTED, 25)) for first in range(25)))
    assert len(accepted) == ACCEPTED
    kills = 0
    chance = random.Random(1)
    while True:
        await asyncio.sleep(chance.uniform(0.05, 0.6))
        await mortal.kill()
        kills += 1
        assert_no_file_is_truncated(mortal, sizes)
        await mortal.start()
        if kills >= 8:
            break
    await until(lambda: no_active(mortal), 90)
    history = await mortal.history()
    assert Counter(entry["id"] for entry in history) == dict.fromkeys(accepted, 1)
    assert {entry["status"] for entry in history} == {"completed"}
    assert len(mortal.files()) == ACCEPTED
    assert_no_file_is_truncated(mortal, sizes)
    assert mortal.parts() == []
    assert await mortal.stop() == 0


async def no_active(daemon: DaemonProcess) -> bool:
    return await daemon.active() == []


def assert_no_file_is_truncated(daemon: DaemonProcess, sizes: dict[int, int]) -> None:
    for path, content in daemon.files().items():
        number = int(Path(path).stem)
        assert content == expected_bytes(number, 0, sizes[number]), path


@pytest.mark.timeout(120)
async def test_what_was_answered_before_a_kill_is_there_after_it(mortal: DaemonProcess, origin: Origin) -> None:
    """Accepts go on in parallel while the daemon is killed; every answer that arrived is kept."""
    gate = asyncio.Event()
    origin.script("/held", Answer(size=1, head_gate=gate))
    answered: set[str] = set()

    async def accept_until_killed() -> None:
        while True:
            try:
                answer = await mortal.start_download("d", origin.url("/held"))
            except (OSError, AssertionError, AttributeError, RuntimeError):
                return
            except Exception as error:
                if type(error).__module__.startswith("aiohttp"):
                    return
                raise
            answered.add(answer["download_id"])

    for _ in range(4):
        await mortal.start()
        clients = [asyncio.create_task(accept_until_killed()) for _ in range(32)]
        before = len(answered)
        await until(lambda before=before: len(answered) > before + 200)
        assert mortal.process is not None
        mortal.process.kill()
        await asyncio.gather(*clients)
        await mortal.kill()
    await mortal.start()
    listed = [entry["id"] for entry in await mortal.active()]
    assert len(listed) == len(set(listed))
    assert answered <= set(listed)


async def test_a_killed_transfer_goes_on_with_range_and_if_range(mortal: DaemonProcess, origin: Origin) -> None:
    size = 8_000_000
    origin.script("/big", [Answer(size=size, etag='"v1"', stall_after=3_000_000), Answer(size=size, etag='"v1"')])
    await mortal.start()
    id = (await mortal.start_download("d", origin.url("/big")))["download_id"]
    await until(lambda: [part for part in mortal.parts() if part.stat().st_size == 3_000_000])
    await mortal.kill()
    await mortal.start()
    entry = await mortal.ended(id)
    assert entry["status"] == "completed"
    assert mortal.files() == {"d/big": expected_bytes(0, 0, size)}
    first, second = origin.requests("/big")
    assert (first.field("Range"), first.field("If-Range")) == (None, None)
    assert (second.field("Range"), second.field("If-Range")) == ("bytes=3000000-", '"v1"')


async def test_a_transfer_starts_over_when_the_file_changed_while_the_daemon_was_down(
    mortal: DaemonProcess, origin: Origin
) -> None:
    origin.script(
        "/big",
        [
            Answer(size=2_000_000, etag='"v1"', stall_after=1_500_000),
            Answer(size=2_100_000, etag='"v2"', seed=2),
        ],
    )
    await mortal.start()
    id = (await mortal.start_download("d", origin.url("/big")))["download_id"]
    await until(lambda: [part for part in mortal.parts() if part.stat().st_size == 1_500_000])
    await mortal.kill()
    await mortal.start()
    await mortal.ended(id)
    assert mortal.files() == {"d/big": expected_bytes(2, 0, 2_100_000)}


async def test_paused_stays_paused_and_cancelled_stays_cancelled(mortal: DaemonProcess, origin: Origin) -> None:
    half, nothing = Answer(size=1_000_000, etag='"v"', stall_after=500_000), Answer(head_gate=asyncio.Event())
    # What goes on after the kill must not come to its end while the test looks.
    origin.script("/slow", [half, half, half, nothing])
    await mortal.start()
    paused, cancelled, running = [
        (await mortal.start_download("d", origin.url("/slow"), filename=name))["download_id"] for name in "abc"
    ]
    await until(lambda: len([part for part in mortal.parts() if part.stat().st_size == 500_000]) == 3)
    assert (await mortal.ask("POST", f"/api/v1/downloads/{paused}/pause"))[0] == 200
    assert (await mortal.ask("DELETE", f"/api/v1/downloads/{cancelled}"))[0] == 200
    await mortal.kill()
    await mortal.start()
    states = {entry["id"]: entry["status"] for entry in await mortal.active()}
    assert states.pop(paused) == "paused"
    assert set(states) == {running}
    assert (await mortal.one(cancelled))["status"] == "cancelled"
    await until(lambda: len(mortal.parts()) == 2)


async def test_a_graceful_stop_keeps_what_has_come(mortal: DaemonProcess, origin: Origin) -> None:
    origin.script(
        "/slow", [Answer(size=1_000_000, etag='"v"', stall_after=500_000), Answer(size=1_000_000, etag='"v"')]
    )
    await mortal.start()
    id = (await mortal.start_download("d", origin.url("/slow")))["download_id"]
    await origin.sent("/slow", 500_000)

    async def received_half() -> bool:
        return bool((await mortal.one(id))["current_size"] == 500_000)

    await until(received_half)
    assert await mortal.stop() == 0
    [part] = mortal.parts()
    assert part.stat().st_size == 500_000
    await mortal.start()
    assert (await mortal.ended(id))["status"] == "completed"
    [ended] = await until(lambda: [line for line in mortal.log_lines() if line["event"] == "download_ended"])
    assert ended["attempts"] == 1
    assert origin.requests("/slow")[1].field("Range") == "bytes=500000-"
    assert mortal.files() == {"d/slow": expected_bytes(0, 0, 1_000_000)}


async def test_parts_that_nobody_knows_are_swept_away(mortal: DaemonProcess) -> None:
    stray = mortal.root / "d" / "deep" / ".x.7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c.1.part"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"left behind")
    own = stray.with_name(".mine.part")
    own.write_bytes(b"a user's file")
    await mortal.start()
    await until(lambda: not stray.exists())
    assert own.read_bytes() == b"a user's file"


async def test_a_full_state_disk_or_a_second_daemon_never_harms_the_first(
    mortal: DaemonProcess, origin: Origin
) -> None:
    origin.script("/x", Answer(size=10))
    await mortal.start()
    other = DaemonProcess(mortal.folder)
    with pytest.raises(AssertionError, match="the daemon ended with 1"):
        await other.start()
    status, answer = await mortal.fetch("d", origin.url("/x"))
    assert (status, answer["success"]) == (201, True)
    lines: list[Any] = [line for line in mortal.log.read_text().splitlines() if "Traceback" in line]
    assert lines == []
