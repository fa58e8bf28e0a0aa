"""Fixtures of all tests that need an origin or a daemon."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.daemon_process import DaemonProcess
from support.memory_folder import MEMORY, may_hold_all_files
from support.nginx_origin import NginxOrigin
from support.origin.origin import Origin
from support.ports import free_port


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system in memory; one on the disk where the machine has none with enough room.

    It is for promises in seconds, in which other load on the disk must not count.
    """
    if not may_hold_all_files():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """Start a scripted origin."""
    async with Origin() as origin:
        yield origin


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """Start a daemon with the default configuration of the tests, which allows origins on this machine."""
    folder = tmp_path / "daemon"
    folder.mkdir()
    async with DaemonProcess(folder) as daemon:
        yield daemon


@pytest.fixture
async def daemon_in_memory(memory_path: Path) -> AsyncIterator[DaemonProcess]:
    """Start such a daemon whose files are in memory, for promises in seconds."""
    async with DaemonProcess(memory_path) as daemon:
        yield daemon


@pytest.fixture
async def restartable(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """Return a daemon that the test starts, kills and starts again, each time on the same port."""
    folder = tmp_path / "restartable"
    folder.mkdir()
    # Between two starts, the kernel gives the port to no other program.
    daemon = DaemonProcess(folder, port=free_port())
    try:
        yield daemon
    finally:
        if daemon.process is not None:
            await daemon.kill()


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxOrigin]:
    """Start nginx as origin, over HTTP and TLS."""
    with NginxOrigin(tmp_path_factory.mktemp("nginx")) as origin:
        yield origin
