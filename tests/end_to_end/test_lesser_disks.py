"""Disks that are small, or that do not support what an ordinary disk does."""

import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Framing, ScriptedResponse
from support.small_disk import mount_launcher, path_seen_by
from support.waiting import wait_until

SIZE = 3_000_000
WHOLE = expected_bytes(0, 0, SIZE)

LESSER_DISK = """
import ctypes, errno, json, os, sys
from downloadd.daemon.main import main
from downloadd.storage import publisher

def refuse(number):
    def call(*_, **__):
        raise OSError(number, os.strerror(number))
    return call

limits = json.loads(sys.argv[1])
for name, number in limits["refused"].items():
    if name == "renameat2":
        publisher.rename_without_replacing = refuse(number)
    else:
        setattr(os, name, refuse(number))
if limits["name_max"]:
    sys.path.insert(0, limits["tests"])
    import pytest
    from support.short_names import limit_names
    limit_names(pytest.MonkeyPatch(), limits["name_max"])
del sys.argv[1:5]
main()
"""
"""Launcher of a daemon whose disk refuses calls of the operating system and long names."""


def lesser_disk(*, refused: dict[str, int] | None = None, name_max: int = 0) -> list[str]:
    limits = {"refused": refused or {}, "name_max": name_max, "tests": str(Path(__file__).parents[1])}
    return [sys.executable, "-Ic", LESSER_DISK, json.dumps(limits)]


LIMITED_FILES = ("sh", "-c", 'ulimit -f 16384 && exec "$@"', "sh")
"""Launcher of a daemon that may write files of 8 MiB."""


async def statuses(daemon: DaemonProcess, ids: Sequence[str]) -> list[str]:
    return [(await daemon.get_download(id))["status"] for id in ids]


async def active_reasons(daemon: DaemonProcess) -> list[str]:
    return [entry["reason"] for entry in await daemon.active()]


async def test_six_files_on_a_disk_with_space_for_two_complete_two_at_a_time(
    tmp_path: Path, disk: Path, origin: Origin
) -> None:
    for number in range(6):
        origin.script(f"/{number}", ScriptedResponse(size=SIZE, etag='"v"'))
    daemon = DaemonProcess(tmp_path, config=make_config(max_retries=0), launcher=mount_launcher("size=8m", disk))
    daemon.root = disk
    async with daemon:
        root = path_seen_by(daemon, disk)
        ids = [(await daemon.start_download("", origin.url(f"/{number}")))["download_id"] for number in range(6)]

        async def are_settled() -> bool:
            reasons = await active_reasons(daemon)
            return len(reasons) == 4 and all("waits for space on the disk" in str(reason) for reason in reasons)

        await wait_until(are_settled)
        for completed in (2, 4, 6):
            await wait_until_completed(daemon, ids, completed)
            assert (await statuses(daemon, ids)).count("completed") == completed
            for path in root.iterdir():
                if not path.name.startswith("."):
                    assert path.read_bytes() == WHOLE
                    path.unlink()
        assert [entry["error"] for entry in await daemon.history()] == [None] * 6
        assert "waiting_for_space" in daemon.log.read_text()


async def wait_until_completed(daemon: DaemonProcess, ids: Sequence[str], count: int) -> None:
    async def are_completed() -> bool:
        return (await statuses(daemon, ids)).count("completed") == count

    await wait_until(are_completed)


async def test_a_download_that_waits_for_space_says_so_and_can_be_cancelled_and_paused(
    tmp_path: Path, disk: Path, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=6_000_000, etag='"v"'))
    daemon = DaemonProcess(tmp_path, launcher=mount_launcher("size=8m", disk))
    daemon.root = disk
    async with daemon:
        ballast = path_seen_by(daemon, disk) / "ballast"
        ballast.write_bytes(bytes(4 << 20))
        ids = [(await daemon.start_download(str(number), origin.url("/f")))["download_id"] for number in range(3)]

        async def all_wait() -> bool:
            return await active_reasons(daemon) == ["waits for space on the disk: needs 6 MB, 4.2 MB free"] * 3

        await wait_until(all_wait)
        entry = await daemon.get_download(ids[0])
        assert (entry["status"], entry["error"], entry["current_size"]) == ("queued", None, 0)
        assert (await daemon.control(ids[0], "cancel"))[0] == 200
        assert (await daemon.control(ids[1], "pause"))[0] == 200
        ballast.unlink()
        assert (await daemon.wait_until_finished(ids[2]))["status"] == "completed"
        assert await statuses(daemon, ids) == ["cancelled", "paused", "completed"]
        # Each has asked its origin once, and the one that was started again once more.
        assert len(origin.requests("/f")) == 4


async def test_a_file_that_the_disk_can_never_hold_fails_at_once(tmp_path: Path, disk: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=9 << 20))
    daemon = DaemonProcess(tmp_path, launcher=mount_launcher("size=8m", disk))
    daemon.root = disk
    async with daemon:
        status, answer = await daemon.fetch("", origin.url("/f"))
        assert (status, answer["error"]) == (507, "INSUFFICIENT_STORAGE")
        assert "the disk has 8388608 in all" in answer["detail"]
        assert len(origin.requests("/f")) == 1


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_too_large_for_the_file_system_fails_once_and_holds_no_other(
    tmp_path: Path, origin: Origin, announced: bool
) -> None:
    options: dict[str, Any] = {} if announced else {"framing": Framing.CHUNKED}
    origin.script("/large", ScriptedResponse(size=20 << 20, etag='"v"', **options))
    origin.script("/small", ScriptedResponse(size=SIZE))
    async with DaemonProcess(tmp_path, launcher=LIMITED_FILES) as daemon:
        status, answer = await daemon.fetch("d", origin.url("/large"))
        assert (status, answer["error"]) == (413, "FILE_TOO_LARGE")
        assert "too large" in answer["detail"]
        assert "RLIMIT_FSIZE" in answer["detail"]
        assert len(origin.requests("/large")) == 1
        assert (await daemon.fetch("d", origin.url("/small")))[1]["message"] == "Download completed"
        await wait_until(lambda: daemon.part_files() == [])
        assert "queue_suspended" not in daemon.log.read_text()


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP], ids=errno.errorcode.__getitem__)
async def test_a_download_resumes_and_completes_on_a_disk_without_modes_times_and_links(
    tmp_path: Path, origin: Origin, number: int
) -> None:
    origin.script(
        "/f",
        [ScriptedResponse(size=SIZE, etag='"v"', cut_after=SIZE // 2), ScriptedResponse(size=SIZE, etag='"v"')],
    )
    refused = dict.fromkeys(("fchmod", "fchown", "utime", "link", "renameat2"), number)
    config = make_config() + '\n[[directories]]\npath = "d"\nmode = "0640"\n'
    async with DaemonProcess(tmp_path, config=config, launcher=lesser_disk(refused=refused)) as daemon:
        for expected in ("f", "f (1)"):
            status, answer = await daemon.fetch("d", origin.url("/f"), segments="1")
            assert (status, answer["filename"]) == (201, expected)
        assert daemon.files() == {"d/f": WHOLE, "d/f (1)": WHOLE}

        def warnings() -> list[str]:
            lines = [line for line in daemon.log_lines() if line["event"] == "attribute_refused"]
            return [line["attribute"] for line in lines if line["level"] == "warning"]

        # The log is written by a thread of its own.
        await wait_until(warnings)
        assert warnings() == ["mode"]
        assert "Traceback" not in daemon.log.read_text()


async def test_a_daemon_works_under_a_container_engine_that_refuses_newer_system_calls(
    tmp_path: Path, origin: Origin
) -> None:
    # With EPERM, as libseccomp did before the engines learned to answer ENOSYS.
    calls = "faccessat2,openat2,statx,renameat2,close_range,pidfd_open,epoll_pwait2,splice,io_uring_setup"
    log = tmp_path / "strace"
    strace = ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o", str(log), "-e", f"trace={calls}"]
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"v"'))
    async with DaemonProcess(tmp_path, launcher=[*strace, "-e", f"inject={calls}:error=EPERM"]) as daemon:
        for expected in ("f", "f (1)"):
            status, answer = await daemon.fetch("d", origin.url("/f"))
            assert (status, answer["filename"]) == (201, expected)
        assert daemon.files() == {"d/f": WHOLE, "d/f (1)": WHOLE}
        assert "Traceback" not in daemon.log.read_text()
    assert "EPERM" in log.read_text()


async def test_names_fit_on_a_disk_with_short_names(tmp_path: Path, origin: Origin) -> None:
    name = "n" * 200 + ".tar.gz"
    origin.script(f"/{name}", ScriptedResponse(size=SIZE))
    async with DaemonProcess(tmp_path, launcher=lesser_disk(name_max=143)) as daemon:
        for conflict, expected in (
            ("rename", "n" * 136 + ".tar.gz"),
            ("rename", "n" * 132 + " (1).tar.gz"),
            ("overwrite", "n" * 136 + ".tar.gz"),
        ):
            status, answer = await daemon.fetch("d", origin.url(f"/{name}"), conflict=conflict)
            assert (status, answer["filename"]) == (201, expected)
        longest = "r" * 143
        assert (await daemon.fetch("d", origin.url(f"/{name}"), filename=longest))[0] == 201
        requests = len(origin.requests(f"/{name}"))
        status, answer = await daemon.fetch("d", origin.url(f"/{name}"), filename=longest + "r")
        assert (status, answer["error"]) == (400, "INVALID_PATH")
        assert "at most 143 bytes" in answer["detail"]
        assert len(origin.requests(f"/{name}")) == requests
        assert sorted(os.listdir(daemon.root / "d")) == sorted(
            ["n" * 136 + ".tar.gz", "n" * 132 + " (1).tar.gz", longest]
        )
