"""A storage root on a FUSE file system whose program is killed, so that each call gets ENOTCONN, and mounted again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.small_disk import mounted_image
from support.waiting import wait_until, wait_until_true

SIZE = 4_000_000
MOUNT = ("-t", "exfat-fuse")


class FuseDisk:
    """Mounted exFAT image.

    Attributes:
        place: the mount point.
    """

    def __init__(self, place: Path) -> None:
        self.place = place

    def kill(self) -> None:
        """Kill the program of the file system."""
        [id] = (
            int(folder.name)
            for folder in Path("/proc").glob("[0-9]*")
            if b"exfat" in (words := _command(folder)) and os.fsencode(self.place) in words
        )
        os.kill(id, signal.SIGKILL)
        wait_until_true(lambda: not self._answers())

    def mount(self) -> None:
        """Mount it again."""
        subprocess.run(["umount", "--lazy", self.place], check=True)
        subprocess.run(["mount", *MOUNT, "-o", "loop", self.place.parent / "image", self.place], check=True)

    def _answers(self) -> bool:
        try:
            os.stat(self.place)
        except OSError:
            return False
        return True


def _command(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FuseDisk]:
    with mounted_image(tmp_path, 32 << 20, ["mkfs.exfat"], MOUNT) as place:
        yield FuseDisk(place)


async def test_downloads_wait_for_a_file_system_whose_program_was_killed_also_over_a_restart(
    tmp_path: Path, disk: FuseDisk, origin: Origin
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
        disk.mount()

        async def none_is_left() -> bool:
            return await daemon.active() == []

        await wait_until(none_is_left)
        assert [(entry["status"], entry["detail"]) for entry in await daemon.history()] == [("completed", None)] * 3
        content = expected_bytes(0, 0, SIZE)
        assert daemon.files() == {"d/f": content, "d/slow": content, "d/f (1)": content}
        assert (await daemon.request("GET", "/api/v1/health"))[1]["storage"] == "ok"
        assert "Traceback" not in daemon.log.read_text()
