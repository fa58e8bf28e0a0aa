"""A daemon on a small disk of its own, which a test may fill."""

import contextlib
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from daemon_process import DEFAULT_CONFIG, DaemonProcess

MOUNTING = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'


def mounted(options: str, place: Path) -> list[str]:
    """A launcher that mounts a tmpfs for the daemon alone."""
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNTING, "sh", options, str(place)]


def seen_by(daemon: DaemonProcess, place: Path) -> Path:
    """A place as the daemon sees it, with its own mounts."""
    assert daemon.process is not None
    return Path(f"/proc/{daemon.process.pid}/root{place}")


def mounting(daemon: DaemonProcess, *command: str | Path) -> None:
    """Runs a command that mounts or unmounts something where the daemon sees it."""
    assert daemon.process is not None
    among = ["nsenter", "--target", str(daemon.process.pid), "--user", "--mount", "--preserve-credentials"]
    subprocess.run([*among, *command], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A place where a daemon may mount a disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    with contextlib.suppress(FileNotFoundError):
        if not subprocess.run([*mounted("size=1m", place), "true"], capture_output=True).returncode:
            return place
    pytest.skip("may not mount a small file system here")


@contextlib.asynccontextmanager
async def on_disk(
    folder: Path, disk: Path, options: str, *, config: str = DEFAULT_CONFIG, launcher: Sequence[str] = ()
) -> AsyncIterator[DaemonProcess]:
    """A daemon whose root and records both lie on a disk of their own; `launcher` as that of `DaemonProcess`."""
    daemon = DaemonProcess(folder, config=config, launcher=[*mounted(options, disk), *launcher])
    daemon.root, daemon.state = disk / "files", disk / "state"
    async with daemon:
        daemon.root = seen_by(daemon, daemon.root)
        yield daemon
        assert "Traceback" not in daemon.log.read_text()
