from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.crash_runner import ForkServer
from support.daemon_process import DaemonProcess
from support.origin.origin import Origin
from support.small_disk import disk as disk


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """An origin that does whatever it is told."""
    async with Origin() as origin:
        yield origin


@pytest.fixture
async def restartable(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """A daemon that the test starts, kills and starts again."""
    folder = tmp_path / "restartable"
    folder.mkdir()
    daemon = DaemonProcess(folder)
    yield daemon
    if daemon.process is not None:
        await daemon.kill()


@pytest.fixture(scope="session")
def fork_servers() -> Iterator[list[ForkServer]]:
    """Two, for lives beside each other."""
    with ExitStack() as stack:
        yield [stack.enter_context(ForkServer()) for _ in range(2)]
