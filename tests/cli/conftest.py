import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import structlog
from click.testing import CliRunner, Result
from support.daemon_process import TOKEN, DaemonProcess
from support.served_api import TOKEN as API_TOKEN
from support.served_api import ServedApi

from downloadd.cli.main import downloadctl
from downloadd.cli.terminal import Terminal
from downloadd.clock import SystemClock

DOWNLOADCTL = str(Path(sys.executable).with_name("downloadctl"))


class CommandResult(msgspec.Struct, frozen=True):
    """Exit code and output of a command."""

    status: int
    out: str
    err: str


Run = Callable[..., Awaitable[CommandResult]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment without a daemon."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "nothing")}


@pytest.fixture
def run(daemon_environment: dict[str, str]) -> Run:
    """Run the command with the address of the daemon in its environment."""
    return make_runner(daemon_environment)


@pytest.fixture
def daemon_environment(environment: dict[str, str], daemon: DaemonProcess) -> dict[str, str]:
    """Return an environment with the address and token of the daemon."""
    return {**environment, "DOWNLOADD_URL": daemon.url, "DOWNLOADD_TOKEN": TOKEN}


@pytest.fixture
def run_without_daemon(environment: dict[str, str]) -> Run:
    """Run the command without a daemon."""
    return make_runner({**environment, "DOWNLOADD_URL": "http://127.0.0.1:9", "DOWNLOADD_TOKEN": TOKEN})


def make_runner(environment: dict[str, str]) -> Run:
    async def run(*arguments: str, text: str = "", **variables: str) -> CommandResult:
        process = await asyncio.create_subprocess_exec(
            *(DOWNLOADCTL, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**environment, **variables},
        )
        async with asyncio.timeout(40):
            out, err = await process.communicate(text.encode())
        assert b"Traceback" not in err, err.decode()
        assert process.returncode is not None
        return CommandResult(process.returncode, out.decode(), err.decode())

    return run


class Command:
    """Runner of `downloadctl` in this process, against the API in this process."""

    def __init__(self, api: ServedApi, token: str) -> None:
        self.api = api
        self._environment = {
            "DOWNLOADD_URL": f"http://{api.server.host}:{api.server.port}",
            "DOWNLOADD_TOKEN": token,
        }

    async def __call__(self, *arguments: str, text: str = "") -> Result:
        """Run the command in a thread, which has an event loop of its own."""
        terminal = Terminal({}, SystemClock())
        return await asyncio.to_thread(
            lambda: CliRunner().invoke(
                downloadctl, arguments, obj=terminal, env=self._environment, input=text, standalone_mode=False
            )
        )


@pytest.fixture
async def api() -> AsyncIterator[ServedApi]:
    """Serve the API in this process; its log lines do not mix with the output of commands."""
    api = ServedApi()
    with structlog.testing.capture_logs():
        async with api.client:
            yield api


@pytest.fixture
def command(api: ServedApi) -> Command:
    return Command(api, API_TOKEN)
