"""A storage root on a FUSE file system whose program is killed, so that each call gets ENOTCONN, and mounted again."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until, wait_until_true

SIZE = 4_000_000


class FuseMount:
    """Directory shown at another place by bindfs: when the program is killed, the files are as they were.

    Attributes:
        place: the mount point.
    """

    def __init__(self, folder: Path) -> None:
        self._source, self.place = folder / "source", folder / "mount"
        self._source.mkdir()
        self.place.mkdir()
        self.mount()

    def kill(self) -> None:
        """Kill the program of the file system."""
        self._program.kill()
        self._program.wait()
        wait_until_true(lambda: not self._answers())

    def replace(self) -> None:
        """Mount the directory again after a kill."""
        self.unmount()
        self.mount()

    def mount(self) -> None:
        before = os.stat(self.place).st_dev
        self._program = subprocess.Popen(["bindfs", "-f", self._source, self.place])
        wait_until_true(lambda: os.stat(self.place).st_dev != before)

    def unmount(self) -> None:
        """Remove the mount; files that are open there stay open."""
        subprocess.run(["umount", "--lazy", self.place], check=True)

    def close(self) -> None:
        """Remove the mount and end the program."""
        self.unmount()
        self._program.kill()
        self._program.wait()

    def _answers(self) -> bool:
        try:
            os.stat(self.place)
        except OSError:
            return False
        return True


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FuseMount]:
    disk = FuseMount(tmp_path)
    yield disk
    disk.close()


async def test_downloads_wait_for_a_file_system_whose_program_was_killed_also_over_a_restart(
    tmp_path: Path, disk: FuseMount, origin: Origin
) -> None:
    origin.script("/slow", ScriptedResponse(size=SIZE, rate=SIZE // 2, etag='"v"'))
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"v"'))
    daemon = DaemonProcess(tmp_path, config=make_config(max_retries=0))
    daemon.root = disk.place / "files"
    async with daemon:
        await daemon.fetch("d", origin.url("/f"))
        await daemon.start_download("d", origin.url("/slow"), timeout=10)
        await wait_until(daemon.part_files)
        disk.kill()

        async def all_wait() -> bool:
            reasons = [str(entry["reason"]) for entry in await daemon.active()]
            return bool(reasons) and all("Transport endpoint is not connected" in reason for reason in reasons)

        await wait_until(all_wait)
        await daemon.start_download("d", origin.url("/f"))
        await wait_until(all_wait)
        await daemon.kill()
        # A start does not need the disk either.
        await daemon.start()
        await wait_until(all_wait)
        problem = (await daemon.request("GET", "/api/v1/health"))[1]["storage"]
        assert "Transport endpoint is not connected" in problem
        assert [entry["status"] for entry in await daemon.history()] == ["completed"]
        disk.replace()

        async def none_is_left() -> bool:
            return await daemon.active() == []

        await wait_until(none_is_left)
        assert [(entry["status"], entry["detail"]) for entry in await daemon.history()] == [("completed", None)] * 3
        content = expected_bytes(0, 0, SIZE)
        assert daemon.files() == {"d/f": content, "d/slow": content, "d/f (1)": content}
        assert (await daemon.request("GET", "/api/v1/health"))[1]["storage"] == "ok"
        assert "Traceback" not in daemon.log.read_text()
