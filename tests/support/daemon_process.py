"""Installed daemon as a process that a test starts, uses over HTTP, kills and starts again."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from support.file_tree import contents_below, files_below
from support.program_forks import ForkedProgram, fork_server
from support.stopwatch import Stopwatch
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.config import ALL_PERMISSIONS

TOKEN = "Zu-Z6eKzIIz7MCCRGeHi29bYkXZCJ4SxFC0JAasqm92"
USER = "d26x6zSkaPSe5gCyy"
LOG_LINES_OF_FAILURE = 20
FORKABLE_VARIABLES = frozenset({"SSL_CERT_FILE"})
"""Variables that a process reads after its modules are imported, so that a fork may have others."""

LIMITS: Final[Mapping[str, Any]] = {"max_retries": 5, "max_concurrent": 64, "max_per_host": 16}
"""Limits of the tests: more at once than by default, because most of them have one origin."""


def _format_keys(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())


_PERMISSIONS: Final = f"permissions = {json.dumps(ALL_PERMISSIONS)}\n"
DEFAULT_CONFIG = f"""
[storage]
min_free = 0
[downloads]
{_format_keys(LIMITS)}\
allowed_networks = ["127.0.0.0/8", "::1/128"]
[[users]]
id = "{USER}"
token_hash = "sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}"
{_PERMISSIONS}"""


def config_of_viewer() -> str:
    """Return the configuration of the tests with a user who may only view downloads."""
    return DEFAULT_CONFIG.replace(_PERMISSIONS, 'permissions = ["view-downloads"]\n')


def make_config(**downloads: Any) -> str:
    """Return the configuration of the tests with these keys of `[downloads]` added."""
    return DEFAULT_CONFIG.replace(_format_keys(LIMITS), _format_keys({**LIMITS, **downloads}))


class DaemonProcess:
    """Daemon in a folder of its own, which may be started and killed repeatedly."""

    def __init__(
        self,
        folder: Path,
        *,
        config: str = DEFAULT_CONFIG,
        flags: Sequence[str] = ("--allow-download",),
        environment: Mapping[str, str] | None = None,
        launcher: Sequence[str] = (),
        may_fork: bool = True,
        constants: Mapping[str, Any] | None = None,
        port: int = 0,
    ) -> None:
        """Create a daemon that does not run yet.

        Args:
            folder: its files.
            config: the configuration.
            flags: further arguments.
            environment: further variables.
            launcher: a command that executes the command of the daemon.
            may_fork: False for a process that shares no memory with another.
            constants: values of constants of its modules, by their full names; it must be forked then.
            port: 0 for another free port at each start.
        """
        self.folder = folder
        self.root = folder / "files"
        self.state = folder / "state"
        self.log = folder / "log.jsonl"
        self.config = folder / "config.toml"
        self.config.write_text(config)
        self.flags = flags
        self.environment = environment or {}
        self.launcher = launcher
        self._may_fork = may_fork
        self._constants = constants
        self._port = port
        self.process: subprocess.Popen[bytes] | ForkedProgram | None = None
        self.url = ""
        self.client: aiohttp.ClientSession | None = None

    def command(self) -> list[str]:
        """Return the command of a daemon that is not forked."""
        return [*self.launcher, sys.executable, "-Im", "downloadd", *self._arguments()]

    def _arguments(self) -> list[str]:
        return [
            *("--config", str(self.config)),
            *("--root", str(self.root)),
            *("--state-dir", str(self.state)),
            *("--port", str(self._port)),
            *("--log-format", "json"),
            *self.flags,
        ]

    async def start(self) -> None:
        """Start the process and wait until it listens; end it if that fails."""
        try:
            await self._start()
        except BaseException:
            if self.process is not None:
                await self.kill()
            raise

    async def _start(self) -> None:
        read_from = self.log.stat().st_size if self.log.exists() else 0
        # No request goes to the internet, and its certificates take a tenth of the start to load.
        environment = {**os.environ, "SSL_CERT_FILE": os.devnull, **self.environment}
        with self.log.open("ab") as log:
            if self._may_fork and not self.launcher and FORKABLE_VARIABLES.issuperset(self.environment):
                self.process = fork_server("downloadd").start(
                    self._arguments(), environment=environment, stderr=log.fileno(), constants=self._constants
                )
            else:
                assert not self._constants
                self.process = subprocess.Popen(self.command(), stderr=log, stdout=subprocess.DEVNULL, env=environment)

        def listening() -> str:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended with {self.process.returncode}: {self.log.read_text()}")
            for line in self.log.read_bytes()[read_from:].splitlines(keepends=True):
                if line.endswith(b"\n") and line.startswith(b"{") and b'"listening"' in line:
                    return str(json.loads(line)["url"])
            return ""

        self.url = str(await wait_until(listening)).rstrip("/")
        self.client = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {TOKEN}"}, connector=aiohttp.TCPConnector(limit=0)
        )

    async def reload(self, config: str, outcome: str = "reloaded") -> None:
        """Rewrite the configuration, send SIGHUP, and wait for the log event of the outcome."""

        def count_outcomes() -> int:
            return sum(line["event"] == outcome for line in self.log_lines())

        assert self.process is not None
        before = count_outcomes()
        self.config.write_text(config)
        self.process.send_signal(signal.SIGHUP)
        await wait_until(lambda: count_outcomes() > before)

    async def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        await self._stop(signal.SIGKILL)

    async def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and return the exit status."""
        return await self._stop(sig)

    async def _stop(self, sig: signal.Signals) -> int:
        if self.client is not None:
            await self.client.close()
            self.client = None
        assert self.process is not None
        self.process.send_signal(sig)
        status = await asyncio.to_thread(self.process.wait, CONDITION_TIMEOUT)
        self.process = None
        return status

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            await self.kill()
        if error is not None and self.log.exists():
            # Pytest shows it with the failed test.
            print(*self.log.read_text().splitlines()[-LOG_LINES_OF_FAILURE:], sep="\n", file=sys.stderr)

    # -- requests ------------------------------------------------------------------------------------------------------

    async def request(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Send a request and return status and JSON of the response."""
        assert self.client is not None
        async with self.client.request(method, self.url + path, **options) as response:
            return response.status, await response.json()

    async def start_download(self, directory: str, url: str | Sequence[str], **parameters: Any) -> dict[str, Any]:
        """Start a download that must be accepted; several URLs are mirrors."""
        status, body = await self.request("GET", f"/{directory}", params={"download": url, **parameters})
        assert status == 201, body
        return dict(body)

    async def fetch(self, directory: str, url: str | Sequence[str], **parameters: Any) -> tuple[int, dict[str, Any]]:
        """Start a download and wait for its end."""
        status, body = await self.request(
            "GET", f"/{directory}", params={"download": url, "wait": f"{CONDITION_TIMEOUT:.0f}", **parameters}
        )
        return status, dict(body)

    async def active(self) -> list[dict[str, Any]]:
        return list((await self.request("GET", "/api/v1/downloads"))[1]["downloads"])

    async def history(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return the whole history, all pages."""
        assert self.client is not None
        entries: list[dict[str, Any]] = []
        url = f"{self.url}/?download_history=&limit=1000"
        while url:
            async with self.client.get(url, params=parameters) as response:
                assert response.status == 200
                entries += (await response.json())["history"]
                next_page = response.links.get("next")
                url = str(next_page["url"]) if next_page else ""
                parameters = {}
        return entries

    async def get_download(self, id: str) -> dict[str, Any]:
        return dict((await self.request("GET", f"/api/v1/downloads/{id}"))[1])

    async def has_received(self, id: str, nbytes: int) -> bool:
        """Return True if an active download has so many bytes."""
        return bool((await self.get_download(id))["current_size"] == nbytes)

    async def control(self, id: str, verb: str) -> tuple[int, dict[str, Any]]:
        """Cancel, pause, resume or retry a download."""
        path = f"/api/v1/downloads/{id}"
        status, body = await (
            self.request("DELETE", f"{path}?only=active")
            if verb == "cancel"
            else self.request("POST", f"{path}/{verb}")
        )
        return status, dict(body)

    async def amend(self, id: str, **changes: Any) -> tuple[int, dict[str, Any]]:
        """Change priority, speed limit or URL of a download."""
        status, body = await self.request("PATCH", f"/api/v1/downloads/{id}", json=changes)
        return status, dict(body)

    async def wait_for_state(self, id: str, state: str, seconds: float = CONDITION_TIMEOUT) -> dict[str, Any]:
        """Return the entry of a download once it is in that state."""

        async def is_there() -> dict[str, Any] | None:
            entry = await self.get_download(id)
            return entry if entry["status"] == state else None

        return dict(await wait_until(is_there, seconds))

    async def wait_until_finished(self, id: str, seconds: float = CONDITION_TIMEOUT) -> dict[str, Any]:
        """Return the history entry of a download once it has ended."""

        async def has_ended() -> dict[str, Any] | None:
            entry = await self.get_download(id)
            return entry if entry["status"] in {"completed", "failed", "cancelled", "skipped"} else None

        return dict(await wait_until(has_ended, seconds))

    # -- inspection ----------------------------------------------------------------------------------------------------

    def part_files(self) -> list[Path]:
        """Return the part files of downloads on disk, without those by which the daemon tries the disk."""
        return [
            path
            for path in files_below(self.root)
            if path.name.startswith(".") and path.suffix == ".part" and not path.name.startswith(".trial.")
        ]

    async def stray_part_files(self) -> list[Path]:
        """Return the part files on disk that no failed download keeps for a retry."""
        kept = {entry["id"] for entry in await self.history() if entry["kept_bytes"]}
        return [path for path in self.part_files() if path.name.split(".")[-3] not in kept]

    async def has_no_stray_part_file(self) -> bool:
        """Return True if each part file on disk is one that a failed download keeps."""
        return not await self.stray_part_files()

    def files(self) -> dict[str, bytes]:
        """Return the content of each complete file below the root, by its path."""
        return {
            path: content for path, content in contents_below(self.root).items() if not Path(path).name.startswith(".")
        }

    def log_lines(self) -> list[dict[str, Any]]:
        # The last line may be incomplete.
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    async def wait_for_log(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Return the lines of an event once there are `count`: a thread writes them, perhaps after the response."""

        def matching() -> list[dict[str, Any]]:
            return [line for line in self.log_lines() if line["event"] == event]

        await wait_until(lambda: len(matching()) >= count)
        return matching()

    def stopwatch(self) -> Stopwatch:
        """Return a started stopwatch of this daemon and the test together."""
        assert self.process is not None
        return Stopwatch(self.process.pid)

    def resident_bytes(self) -> int:
        return self._status_bytes("VmRSS:")

    def peak_bytes(self) -> int:
        """Return the largest number of resident bytes so far."""
        return self._status_bytes("VmHWM:")

    def _status_bytes(self, field: str) -> int:
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {field}")


@asynccontextmanager
async def running_daemon(folder: Path, **options: Any) -> AsyncIterator[DaemonProcess]:
    """Run a daemon while the context lasts."""
    async with DaemonProcess(folder, **options) as daemon:
        yield daemon
