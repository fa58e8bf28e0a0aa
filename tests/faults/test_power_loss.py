"""Loss of power: the order of the system calls shows that answers and records come after stable storage.

`tests/storage/test_publisher.py` tests the publish of a file alone; these tests have the records and answers too.
"""

import asyncio
import contextlib
import os
import re
import sqlite3
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from support.daemon_process import DaemonProcess
from support.manager_stack import CONFIG, open_stack
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

from downloadd.download_request import DownloadRequest
from downloadd.records.database import DATABASE_FILE_NAME
from downloadd.states import FINISHED
from downloadd.transfer.byte_ranges import ByteRanges

CALLS = "mkdirat,pwritev,pwritev2,pwrite64,splice,write,writev,sendto,sendmsg,fsync,fdatasync,linkat,renameat,unlinkat"
UNNAMED = "/files/d/#"
"""Path of an unnamed file, up to its number."""
LINE = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<call>\w+)\()(?P<rest>.*)")


class Step(msgspec.Struct):
    """System call that matters here: its purpose, and the lines of the trace in which it began and ended."""

    purpose: str
    began: int
    done: int = 0


def purpose_of(call: str, arguments: str) -> str | None:
    """Return the purpose of a call; None if it does not matter here."""
    match call:
        case "fdatasync" if "records.db-wal>" in arguments:
            return "records"
        case "fsync" | "fdatasync" if ".part>" in arguments or UNNAMED in arguments:
            return "sync part"
        case "fsync" if "/files/d>" in arguments:
            return "sync directory"
        case "fsync" if "/files>" in arguments:
            return "sync root"
        case "mkdirat" if '"d"' in arguments:
            return "mkdir"
        case "pwritev" | "pwritev2" | "pwrite64" | "splice" if ".part>" in arguments or UNNAMED in arguments:
            return "write part"
        case "linkat" if "/proc/self/fd/" in arguments:
            return "link"
        case "linkat" | "unlinkat" | "renameat" if ".part" in arguments:
            return call.removesuffix("at")
        case "write" | "writev" | "sendto" | "sendmsg" if "HTTP/1.1 201" in arguments:
            return "answer"
        case _:
            return None


def steps_of(trace: Path) -> list[Step]:
    """Return the calls that matter here, in the order in which they began."""
    steps: list[Step] = []
    under_way: dict[str, Step] = {}
    for number, line in enumerate(trace.read_text(errors="replace").splitlines()):
        match = LINE.match(line)
        if match is None:
            continue
        if match["resumed"]:
            step = under_way.pop(match["pid"], None)
            if step is not None:
                step.done = number
            continue
        purpose = purpose_of(match["call"], match["rest"])
        if purpose is not None:
            step = Step(purpose, number, number)
            steps.append(step)
            if "<unfinished ...>" in line:
                under_way[match["pid"]] = step
    return steps


def strace_launcher(trace: Path) -> tuple[str, ...]:
    """Return a launcher that writes the system calls of the daemon to a file."""
    strace = ("strace", "-D", "-f", "-y", "-q", "--seccomp-bpf", "-s", "64", "-e", "signal=none", "-o", str(trace))
    return (*strace, "-e", f"trace={CALLS}")


async def traced(tmp_path: Path, origin: Origin, **parameters: str) -> list[Step]:
    """Run one download and return its steps, from the request to the end."""
    origin.script("/f", ScriptedResponse(size=100, etag='"v"'))
    trace = tmp_path / "trace"
    async with DaemonProcess(tmp_path, launcher=strace_launcher(trace)) as daemon:
        begin = len(trace.read_text(errors="replace").splitlines())
        answer = await daemon.start_download("d", origin.url("/f"), **parameters)
        await daemon.wait_until_finished(answer["download_id"])
        assert daemon.process is not None
        last_line = f"{daemon.process.pid} +++ exited with 0 +++"
        assert await daemon.stop() == 0
        await wait_until(lambda: last_line in re.sub(" +", " ", trace.read_text(errors="replace")))
        assert daemon.files() == {"d/f": expected_bytes(0, 0, 100)}
    return [step for step in steps_of(trace) if step.began >= begin]


def assert_one_after_the_other(steps: list[Step]) -> None:
    """Assert that each step ended before the next one began."""
    for one, following in pairwise(steps):
        assert one.done < following.began, (one, following)


async def test_an_accepted_download_is_on_stable_storage_before_the_answer(tmp_path: Path, origin: Origin) -> None:
    steps = await traced(tmp_path, origin)
    written = next(step for step in steps if step.purpose == "records")
    answered = next(step for step in steps if step.purpose == "answer")
    assert written.done < answered.began


@pytest.mark.parametrize("conflict", ["rename", "overwrite"])
async def test_bytes_name_and_history_reach_stable_storage_in_this_order(
    tmp_path: Path, origin: Origin, conflict: str
) -> None:
    steps = await traced(tmp_path, origin, conflict=conflict, wait="20")
    first = next(number for number, step in enumerate(steps) if step.purpose == "mkdir")
    last = next(number for number, step in enumerate(steps) if step.purpose == "answer")
    path = steps[first : last + 1]
    assert [step.purpose for step in path] == [
        *("mkdir", "sync root"),
        *("write part", "sync part"),
        # The name is recorded first: a file that exists after a power failure is not fetched again.
        *("records", "link", "sync directory"),
        # The completed row.
        "records",
        "answer",
    ]
    assert_one_after_the_other(path)


SIZE = 4_000_000
SLOW = ScriptedResponse(size=SIZE, etag='"v"', rate=SIZE // 2)


async def fail_power(daemon: DaemonProcess) -> ByteRanges:
    """Kill the daemon as by a power failure: overwrite all bytes that the records do not mention with zeros."""
    await daemon.kill()
    with contextlib.closing(sqlite3.connect(daemon.state / DATABASE_FILE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE boot SET id = 'another'")
        ((received, ranges, validator),) = connection.execute(
            "SELECT received, received_ranges, validator FROM downloads"
        )
    kept = ByteRanges.parse(f"0-{received}" if ranges is None else ranges)
    (part,) = daemon.part_files()
    size = part.stat().st_size
    # Otherwise no byte would be lost, and the test would prove nothing.
    assert validator is None or kept.size < size
    with part.open("r+b") as file:
        for start, end in kept.gaps(size) if validator is not None else [(0, size)]:
            file.seek(start)
            file.write(bytes(end - start))
    return kept


async def receives(daemon: DaemonProcess, id: str, nbytes: int) -> None:
    """Wait until this number of bytes is in the part file."""

    async def has_received() -> bool:
        parts = daemon.part_files()
        return bool(
            parts and (await daemon.get_download(id))["current_size"] >= nbytes and parts[0].stat().st_size >= nbytes
        )

    await wait_until(has_received)


@pytest.mark.parametrize("segments", ["1", "2"])
async def test_zeros_after_a_power_failure_are_never_used_as_received_bytes(
    restartable: DaemonProcess, origin: Origin, segments: str
) -> None:
    origin.script("/f", SLOW)
    await restartable.start()
    id = (await restartable.start_download("d", origin.url("/f"), segments=segments))["download_id"]
    await receives(restartable, id, SIZE // 4)
    assert (await restartable.control(id, "pause"))[0] == 200
    paused_at = (await restartable.get_download(id))["current_size"]
    assert (await restartable.control(id, "resume"))[0] == 200
    await receives(restartable, id, paused_at + SIZE // 8)
    kept = await fail_power(restartable)
    assert kept.size >= paused_at
    await origin.wait_idle("/f")
    before = origin.bytes_sent("/f")
    await restartable.start()
    assert (await restartable.wait_until_finished(id))["status"] == "completed"
    assert restartable.files() == {"d/f": expected_bytes(0, 0, SIZE)}
    # Bytes on stable storage are not fetched again.
    assert origin.bytes_sent("/f") - before == SIZE - kept.size


async def test_without_a_validator_no_byte_from_before_a_power_failure_is_used(
    restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", replace(SLOW, etag=None))
    await restartable.start()
    id = (await restartable.start_download("d", origin.url("/f")))["download_id"]
    await receives(restartable, id, SIZE // 4)
    await fail_power(restartable)
    await restartable.start()
    assert (await restartable.wait_until_finished(id))["status"] == "completed"
    assert restartable.files() == {"d/f": expected_bytes(0, 0, SIZE)}


async def test_after_a_kill_without_a_power_failure_nothing_is_fetched_twice(
    restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", SLOW)
    await restartable.start()
    id = (await restartable.start_download("d", origin.url("/f")))["download_id"]
    await receives(restartable, id, SIZE // 4)
    await restartable.kill()
    (part,) = restartable.part_files()
    await origin.wait_idle("/f")
    size, before = part.stat().st_size, origin.bytes_sent("/f")
    await restartable.start()
    assert (await restartable.wait_until_finished(id))["status"] == "completed"
    assert restartable.files() == {"d/f": expected_bytes(0, 0, SIZE)}
    assert origin.bytes_sent("/f") - before == SIZE - size


async def test_bytes_are_on_stable_storage_before_the_records_mention_them(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fdatasync

    def fdatasync(fd: int) -> None:
        size = os.fstat(fd).st_size
        real(fd)
        synced.append(size)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr("downloadd.transfer.checkpoints.CHECKPOINT_SECONDS", 0.1)
    monkeypatch.setattr("downloadd.transfer.checkpoints.RECORD_SECONDS", 0.0)
    origin.script("/f", SLOW)
    async with open_stack(tmp_path, CONFIG, fsync=True) as stack:
        started = await stack.manager.start([DownloadRequest(url=origin.url("/f"), directory="d")], user="u")
        seen: set[int] = set()
        while (row := await stack.records.get(started.downloads[0].id)) is not None and row.state not in FINISHED:
            assert row.progress.received <= max(synced, default=0)
            seen.add(row.progress.received)
            await asyncio.sleep(0.01)
        assert len(seen) >= 4
        assert stack.files() == {"d/f": expected_bytes(0, 0, SIZE)}


async def test_bytes_of_a_paused_download_are_on_stable_storage_before_the_records_mention_them(
    tmp_path: Path, origin: Origin
) -> None:
    origin.script("/f", SLOW)
    trace = tmp_path / "trace"
    async with DaemonProcess(tmp_path, launcher=strace_launcher(trace)) as daemon:
        id = (await daemon.start_download("d", origin.url("/f")))["download_id"]
        await receives(daemon, id, SIZE // 8)
        assert (await daemon.control(id, "pause"))[0] == 200
        assert daemon.process is not None
        last_line = f"{daemon.process.pid} +++ exited with 0 +++"
        assert await daemon.stop() == 0
        await wait_until(lambda: last_line in re.sub(" +", " ", trace.read_text(errors="replace")))
    steps = steps_of(trace)
    last_write = max(number for number, step in enumerate(steps) if step.purpose == "write part")
    synced = next(number for number in range(last_write, len(steps)) if steps[number].purpose == "sync part")
    assert [step.purpose for step in steps[synced : synced + 2]] == ["sync part", "records"]
    assert_one_after_the_other([steps[last_write], *steps[synced : synced + 2]])
