"""A daemon on a small disk of its own, which a test may fill."""

import contextlib
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess

MOUNT_SCRIPT = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'


def mount_launcher(options: str, place: Path) -> list[str]:
    """A launcher that mounts a tmpfs for the daemon alone."""
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT_SCRIPT, "sh", options, str(place)]


def path_seen_by(daemon: DaemonProcess, place: Path) -> Path:
    """A place as the daemon sees it, with its own mounts."""
    assert daemon.process is not None
    return Path(f"/proc/{daemon.process.pid}/root{place}")


def run_in_mount_namespace(daemon: DaemonProcess, *command: str | Path) -> None:
    """Runs a command that mounts or unmounts something where the daemon sees it."""
    assert daemon.process is not None
    command_prefix = ["nsenter", "--target", str(daemon.process.pid), "--user", "--mount", "--preserve-credentials"]
    subprocess.run([*command_prefix, *command], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A place where a daemon may mount a disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    with contextlib.suppress(FileNotFoundError):
        if not subprocess.run([*mount_launcher("size=1m", place), "true"], capture_output=True).returncode:
            return place
    pytest.skip("may not mount a small file system here")


@contextlib.asynccontextmanager
async def daemon_on_disk(
    folder: Path, disk: Path, options: str, *, config: str = DEFAULT_CONFIG, launcher: Sequence[str] = ()
) -> AsyncIterator[DaemonProcess]:
    """A daemon whose root and records both lie on a disk of their own; `launcher` as that of `DaemonProcess`."""
    daemon = DaemonProcess(folder, config=config, launcher=[*mount_launcher(options, disk), *launcher])
    daemon.root, daemon.state = disk / "files", disk / "state"
    async with daemon:
        daemon.root = path_seen_by(daemon, daemon.root)
        yield daemon
        assert "Traceback" not in daemon.log.read_text()
