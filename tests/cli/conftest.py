import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile

import msgspec
import pytest
import structlog
from click.testing import CliRunner, Result
from support.daemon_process import TOKEN, DaemonProcess
from support.program_forks import fork_server
from support.served_api import TOKEN as API_TOKEN
from support.served_api import ServedApi
from support.waiting import CONDITION_TIMEOUT

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
        return await asyncio.to_thread(run_command, arguments, text, {**environment, **variables})

    return run


def run_command(arguments: Sequence[str], text: str, environment: Mapping[str, str]) -> CommandResult:
    """Run the command with a text as its standard input."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(text.encode())
        given.seek(0)
        process = fork_server("downloadctl").start(
            arguments, environment=environment, stdin=given.fileno(), stdout=out.fileno(), stderr=err.fileno()
        )
        try:
            status = process.wait(CONDITION_TIMEOUT)
        finally:
            process.kill()
            process.wait(CONDITION_TIMEOUT)
        for file in (out, err):
            file.seek(0)
        result = CommandResult(status, out.read().decode(), err.read().decode())
    assert "Traceback" not in result.err, result.err
    return result


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
