"""Real servers for SFTP: sshd of OpenSSH, with or without a filter that lets a test act between two requests."""

import asyncio
import getpass
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import asyncssh
import msgspec
from support import sftp_request_filter
from support.ports import free_port
from support.waiting import wait_until_true

from downloadd.clock import SystemClock
from downloadd.config import RemoteStorageConfig
from downloadd.storage.sftp.storage import SftpStorage

SSHD: Final = "/usr/sbin/sshd"
SERVER: Final = "/usr/lib/openssh/sftp-server"
PART_BYTES: Final = 64 * 1024
"""Bytes of a part in tests; the configuration allows no such small one."""


class SftpFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A running server, and its folder of files.

    The folder of the server has the files that a client needs too.
    """

    port: int
    state: Path
    files: Path

    @property
    def url(self) -> str:
        """URL of the folder of files."""
        return f"sftp://{getpass.getuser()}@127.0.0.1:{self.port}{self.files}"

    @property
    def known_hosts(self) -> Path:
        return self.state / "known_hosts"

    @property
    def key(self) -> Path:
        return self.state / "user_key"

    def storage(self, *, path: str = "d", **settings: str) -> SftpStorage:
        """Return a storage for a directory of the server."""
        login = {"private_key_file": str(self.key), "known_hosts_file": str(self.known_hosts)}
        config = msgspec.convert({"path": "d", "url": self.url, **login, **settings}, RemoteStorageConfig)
        storage = SftpStorage(msgspec.structs.replace(config, path=path), clock=SystemClock(), environment={})
        storage.publisher.part_size = PART_BYTES
        return storage


@contextmanager
def running_sftp_server(folder: Path, *, subsystem: str = "internal-sftp", port: int = 0) -> Iterator[SftpFolder]:
    """Run sshd for the present user, with new keys in a folder; it ends with the context."""
    server = SftpFolder(port=port or free_port(), state=folder, files=folder / "files")
    _make_keys(server)
    config = folder / "sshd_config"
    config.write_text(
        f"Port {server.port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host_key'}\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {folder / 'authorized_keys'}\nStrictModes no\nPermitRootLogin prohibit-password\n"
        f"MaxStartups 100\nSubsystem sftp {subsystem}\n"
    )
    if os.geteuid() == 0:
        # sshd of root wants this directory, which its service makes.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = (folder / "sshd.log").open("w")
    with log, subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stderr=log) as process:
        try:
            wait_until_true(lambda: "Server listening" in (folder / "sshd.log").read_text(), every=0.01)
            yield server
        finally:
            process.kill()


def _make_keys(server: SftpFolder) -> None:
    """Make the keys of host and user; keep those that are there."""
    server.files.mkdir(parents=True, exist_ok=True)
    if server.key.exists():
        return
    host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    for name, key in (("host_key", host), ("user_key", user)):
        path = server.state / name
        path.touch(mode=0o600)
        path.write_bytes(key.export_private_key())
    (server.state / "authorized_keys").write_bytes(user.export_public_key())
    public = host.export_public_key().decode()
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {public}")


Act = Callable[[str], Awaitable[bool]]
"""Acts at a moment, such as `before write`; returns False to break the connection."""


class SftpRequests:
    """Requests to a server, as its filter reports them.

    Attributes:
        moments: `before` or `after` with the name of the request, in order.
        act: called at each of them, if it is given.
    """

    def __init__(self, server: SftpFolder) -> None:
        self.server = server
        self.moments: list[str] = []
        self.act: Act | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def requests(self) -> list[str]:
        """Return the names of the requests."""
        return [moment.removeprefix("before ") for moment in self.moments if moment.startswith("before ")]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection of a filter."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while line := await reader.readline():
                moment = line.decode().strip()
                self.moments.append(moment)
                if self.act is not None and not await self.act(moment):
                    break
                writer.write(b"go\n")
        except asyncio.CancelledError:
            # The server of streams reports a cancelled task as a mistake.
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def close(self) -> None:
        """End all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def running_filtered_server(folder: Path) -> AsyncIterator[SftpRequests]:
    """Run sshd whose requests pass a filter."""
    control = folder / "control"
    program = f"{sys.executable} -I -S {Path(sftp_request_filter.__file__)} {SERVER} {control}"
    with running_sftp_server(folder, subsystem=program) as server:
        requests = SftpRequests(server)
        listener = await asyncio.start_unix_server(requests.handle, control)
        try:
            yield requests
        finally:
            listener.close()
            await requests.close()
