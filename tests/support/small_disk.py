"""Daemon on a small file system of its own, which a test may fill."""

import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.machine import not_allowed
from support.waiting import wait_until_true

MOUNT_SCRIPT = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'


def mount_launcher(options: str, place: Path) -> list[str]:
    """Return a launcher that mounts a tmpfs in the mount namespace of the daemon."""
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT_SCRIPT, "sh", options, str(place)]


def path_seen_by(daemon: DaemonProcess, place: Path) -> Path:
    """Return a path in the mount namespace of the daemon."""
    assert daemon.process is not None
    return Path(f"/proc/{daemon.process.pid}/root{place}")


def run_in_mount_namespace(daemon: DaemonProcess, *command: str | Path) -> None:
    """Run a command, to mount or unmount, in the mount namespace of the daemon."""
    assert daemon.process is not None
    command_prefix = ["nsenter", "--target", str(daemon.process.pid), "--user", "--mount", "--preserve-credentials"]
    subprocess.run([*command_prefix, *command], check=True)


@contextlib.contextmanager
def mounted_image(folder: Path, size: int, make: Sequence[str], mount: Sequence[str]) -> Iterator[Path]:
    """Mount a disk image of `size` bytes until the end; see `not_allowed` where that is not possible.

    `make` is the command that makes its file system, and `mount` the options of its mount.
    """
    place, image = folder / "disk", folder / "image"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run([*make, str(image)], capture_output=True, check=True)
    command = ["mount", *mount, "-o", "loop", str(image), str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        not_allowed(f"mount the disk of {make[0]}")
    try:
        yield place
    finally:
        # The helper process of a daemon that was killed ends a moment later.
        wait_until_true(lambda: subprocess.run(["umount", place], capture_output=True, check=False).returncode == 0)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Return a mount point for a file system of a daemon; see `not_allowed` where mounts are not allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run([*mount_launcher("size=1m", place), "true"], capture_output=True, check=False).returncode:
        not_allowed("mount a file system")
    return place


@contextlib.asynccontextmanager
async def daemon_on_disk(
    folder: Path, disk: Path, options: str, *, config: str = DEFAULT_CONFIG, launcher: Sequence[str] = ()
) -> AsyncIterator[DaemonProcess]:
    """Run a daemon whose root and records are on one small file system; `launcher` as for `DaemonProcess`."""
    daemon = DaemonProcess(folder, config=config, launcher=[*mount_launcher(options, disk), *launcher])
    daemon.root, daemon.state = disk / "files", disk / "state"
    async with daemon:
        daemon.root = path_seen_by(daemon, daemon.root)
        yield daemon
        assert "Traceback" not in daemon.log.read_text()
