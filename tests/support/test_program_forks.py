import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon_process import DaemonProcess
from support.program_forks import ForkServer
from support.waiting import CONDITION_TIMEOUT

pytestmark = pytest.mark.system


@pytest.fixture
def server() -> Iterator[ForkServer]:
    server = ForkServer("downloadd")
    yield server
    server.close()


def run(server: ForkServer, log: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Return the exit status and the messages of a daemon with these arguments."""
    with log.open("wb") as file:
        forked = server.start(arguments, environment=environment, stderr=file.fileno())
    return forked.wait(CONDITION_TIMEOUT), log.read_text()


def test_a_fork_has_its_arguments_variables_folder_and_exit_status(
    server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "log"
    assert run(server, log, "--version") == (0, "")
    status, message = run(server, log, "--nonsense")
    assert (status, "--nonsense" in message) == (2, True)
    status, message = run(server, log, "--config", "missing.toml")
    assert (status, "missing.toml" in message) == (2, True)
    status, message = run(server, log, DOWNLOADD_SERVER__PORT="x")
    assert (status, "DOWNLOADD_SERVER__PORT" in message) == (2, True)


@pytest.mark.parametrize(("sig", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)])
async def test_a_fork_ends_with_a_signal(tmp_path: Path, sig: signal.Signals, status: int) -> None:
    daemon = DaemonProcess(tmp_path)
    await daemon.start()
    assert daemon.process is not None
    assert daemon.process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.process.wait(0.01)
    process = daemon.process
    assert await daemon.stop(sig) == status
    assert (process.poll(), process.returncode) == (status, status)
    process.kill()


async def test_a_fork_has_its_own_descriptors_and_parent(daemon: DaemonProcess, tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path) as other:
        assert daemon.process is not None
        assert other.process is not None
        folders = [Path(f"/proc/{process.pid}/fd") for process in (daemon.process, other.process)]
        first, second = ({os.readlink(fd) for fd in folder.iterdir()} for folder in folders)
        shared = {name for name in first & second if not name.startswith("anon_inode:")}
        assert shared == {"/dev/null"}
        assert str(daemon.log) in first
