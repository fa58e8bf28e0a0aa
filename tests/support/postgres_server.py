"""PostgreSQL server in a temporary folder, on a Unix socket and a free port, with a database for each test."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import asyncpg
from support.ports import free_port
from support.waiting import CONDITION_TIMEOUT

USER: Final = "downloadd"
PASSWORD_USER: Final = "locked"
"""Role that needs `PASSWORD` over TCP, and has no rights."""
PASSWORD: Final = "s3cret/pass"

_HBA: Final = f"""
local all all trust
host all {PASSWORD_USER} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
_CONFIG: Final = """
fsync = {fsync}
full_page_writes = {fsync}
shared_buffers = 32MB
max_connections = 80
max_wal_size = 256MB
autovacuum = off
listen_addresses = '127.0.0.1'
logging_collector = off
"""
_ADD_PASSWORD_USER: Final = f"""
DO $$ BEGIN
    CREATE ROLE {PASSWORD_USER} LOGIN PASSWORD '{PASSWORD}';
EXCEPTION WHEN duplicate_object THEN NULL;
END $$
"""
_DISCONNECT: Final = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_EMPTY: Final = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema' LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER SEQUENCE %I RESTART', name);
    END LOOP;
END $$
"""


class PostgresServer:
    """Server that runs while the `with` block does; it also ends when this process is killed.

    Attributes:
        port: the port on 127.0.0.1.
        folder: its files; the server can read those of others there.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        self.port = free_port()
        self._fsync = fsync
        self.folder = Path(tempfile.mkdtemp(prefix="downloadd-postgres-"))
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._create()
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGQUIT)
        self._remove()

    def start(self) -> None:
        """Start the server, and wait until it accepts connections.

        For the main thread: the server ends with the thread that started it.
        """
        deadline = time.monotonic() + CONDITION_TIMEOUT
        self._process = self._spawn()
        # The server writes the last line of this file when it is ready.
        while "ready" not in _text(self._data / "postmaster.pid"):
            if time.monotonic() > deadline:
                raise AssertionError(_text(self.folder / "log"))
            time.sleep(0.01)
            # After a kill, its processes hold the shared memory for a moment, and the next server does not start.
            if self._process.poll() is not None:
                self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        # It must not outlive a worker that is killed.
        watched = [*self.owner_command(), "--pdeathsig=KILL", "--"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*watched, _program("postgres"), "-D", str(self._data), "-p", str(self.port), "-k", str(self.folder)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT disconnects clients, SIGQUIT ends it as a crash does."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(CONDITION_TIMEOUT)
            self._process = None
            # A crash leaves it, and the next start would be taken for ready at once.
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def url(self, database: str, *, user: str = USER, password: str | None = None, port: int | None = None) -> str:
        """Return the URL of a database over TCP; `port` may be that of a wire to the server."""
        account = user if password is None else f"{user}:{password}"
        return f"postgresql://{account}@127.0.0.1:{port or self.port}/{database}"

    def socket_url(self, database: str) -> str:
        """Return the URL of a database over the Unix socket."""
        return f"postgresql:///{database}?host={self.folder}&port={self.port}&user={USER}"

    async def create_database(self, options: str = "") -> str:
        """Create a database, and return its name."""
        name = f"test_{next(self._numbers)}"
        await self.execute(f"CREATE DATABASE {name} {options}")
        return name

    async def empty_database(self, name: str) -> None:
        """Close the connections of a database and delete all rows, which is much faster than to make another one."""
        connection = await asyncpg.connect(self.socket_url(name))
        try:
            await connection.execute(_DISCONNECT)
            await connection.execute(_EMPTY)
        finally:
            await connection.close()

    async def add_password_user(self) -> None:
        """Create the role `PASSWORD_USER`, if it is not there."""
        await self.execute(_ADD_PASSWORD_USER)

    async def execute(self, sql: str, *, database: str = "postgres") -> None:
        """Execute a statement as superuser."""
        connection = await asyncpg.connect(self.socket_url(database))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _create(self) -> None:
        options = ["-D", str(self._data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        owner = self.owner_command()
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        subprocess.run(
            [*owner, "--", _program("initdb"), *options, "--no-instructions"],
            check=True,
            capture_output=True,
            cwd=self.folder,
        )
        (self._data / "pg_hba.conf").write_text(_HBA)
        with (self._data / "postgresql.conf").open("a") as config:
            config.write(_CONFIG.format(fsync="on" if self._fsync else "off"))

    def owner_command(self) -> Sequence[str]:
        """Return the command that runs the server's programs, which refuse to run as root."""
        if os.getuid():
            return ["setpriv"]
        owner = pwd.getpwnam("postgres")
        return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _program(name: str) -> str:
    """Return the path of a program of the newest server; Debian keeps them out of the search path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else name


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
