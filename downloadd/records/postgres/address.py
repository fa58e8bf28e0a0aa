"""Address of the database: the URL, its text without the password, and connections to it."""

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from downloadd.errors import StartupError
from downloadd.records.postgres.postgres_errors import DRIVER_ERRORS, reason, sqlstate
from downloadd.records.postgres.texts import decode_text, encode_text

CONNECT_SECONDS: Final = 5.0
"""Seconds that one attempt to connect may take."""
_SETTINGS: Final = {
    # The server ends the session of a node that the network has cut off, and with it its locks.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "lock_timeout": "2s",
    "default_transaction_isolation": "read committed",
    "search_path": "public",
}
DEFAULT_LEASE: Final = 15.0
"""Seconds of a lease, where no node takes part."""
_IDLE_SHARE: Final = 1 / 3
"""Part of a lease for which a transaction waits for its next statement.

A node that stands still in between has locks. Others wait for these with their heartbeats, and must not lose their
leases meanwhile.
"""
_MIN_VERSION: Final = 15
_LOST_STATEMENTS: Final = frozenset({"26000", "42P05"})
"""SQLSTATEs of prepared statements that are missing, or of another session."""
_IS_POOLED: Final = (
    "a pooler such as pgbouncer in transaction mode is in between, which loses locks and notifications; connect to the "
    "server itself, or use the session mode"
)


class DatabaseAddress:
    """The URL of a database.

    Attributes:
        label: the server and the name of the database, for messages.
    """

    def __init__(
        self,
        url: str,
        *,
        setting: str = "cluster.database",
        timeout: float = CONNECT_SECONDS,
        lease: float = DEFAULT_LEASE,
    ) -> None:
        """Keep a URL.

        Args:
            url: the URL.
            setting: what the user corrects if it is wrong.
            timeout: seconds that one attempt to connect may take.
            lease: seconds of the lease of the nodes.
        """
        self._url = url
        self._setting = setting
        self._timeout = timeout
        idle = round(1000 * min(lease, DEFAULT_LEASE) * _IDLE_SHARE)
        self._settings = _SETTINGS | {"idle_in_transaction_session_timeout": f"{idle}ms"}
        self.label = _label(url) or f"of {setting}"

    def __repr__(self) -> str:
        return f"DatabaseAddress({self.label})"

    async def connect(self, settings: Mapping[str, str] | None = None) -> asyncpg.Connection:
        """Return a new connection, whose texts are escaped.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError: the connection failed.
        """
        # The server can turn silent at any moment of it.
        async with asyncio.timeout(self._timeout):
            return await self._connect(settings or {})

    async def _connect(self, settings: Mapping[str, str]) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            self._url, server_settings={"application_name": f"downloadd {socket.gethostname()} {os.getpid()}"}
        )
        try:
            # Not as settings of the connection itself: poolers refuse these.
            chosen = self._settings | dict(settings)
            values = [item for pair in chosen.items() for item in pair]
            calls = ", ".join(f"set_config(${number}, ${number + 1}, false)" for number in range(1, len(values), 2))
            await connection.execute(f"SELECT {calls}", *values)
            await connection.set_type_codec(
                "text", schema="pg_catalog", encoder=encode_text, decoder=decode_text, format="binary"
            )
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def connect_first(self) -> asyncpg.Connection:
        """Return a new connection to a server that is found usable.

        Raises:
            StartupError: it is not; the message says why and what to do.
        """
        try:
            connection = await self.connect()
        except (*DRIVER_ERRORS, ValueError) as error:
            raise self.startup_error(error) from None
        try:
            await self._require_usable(connection)
        except DRIVER_ERRORS as error:
            connection.terminate()
            raise self.startup_error(error) from None
        except BaseException:
            connection.terminate()
            raise
        return connection

    def startup_error(self, error: BaseException) -> StartupError:
        """Return the error to raise in place of an error of the driver at the start."""
        code = sqlstate(error)
        if code.startswith("28"):
            return self._error(f"the server refuses the user or the password; correct them in {self._setting}")
        if code == "3D000":
            return self._error(f"there is no such database; create it with `createdb`, or correct {self._setting}")
        if code == "42501":
            return self._error(
                f"the user lacks a right ({reason(error)}); make it the owner of the database, with "
                "`ALTER DATABASE ... OWNER TO ...`"
            )
        if code in _LOST_STATEMENTS:
            return self._error(_IS_POOLED)
        if code == "25006":
            return self._error(f"the server is read-only; name the primary server in {self._setting}")
        # The driver raises the class itself only in this case.
        if type(error) is ConnectionError:
            return self._error(f"the server does not offer TLS; enable it there, or change sslmode in {self._setting}")
        if isinstance(error, ValueError | asyncpg.InterfaceError):
            return self._error(f"{self._setting} is malformed or the server is no PostgreSQL server; correct it")
        return self._error(f"{reason(error)}; start the server, or correct {self._setting}")

    async def _require_usable(self, connection: asyncpg.Connection) -> None:
        version = connection.get_server_version().major
        if version < _MIN_VERSION:
            raise self._error(f"the server has PostgreSQL {version}; upgrade it to {_MIN_VERSION} or newer")
        encoding = connection.get_settings().server_encoding
        if encoding != "UTF8":
            raise self._error(f"the encoding of the database is {encoding}; create one with the encoding UTF8")
        if await self._is_pooled_by_transaction(connection):
            raise self._error(_IS_POOLED)

    async def _is_pooled_by_transaction(self, connection: asyncpg.Connection) -> bool:
        """Return True if a pooler lends the backend of this connection to another one between transactions."""
        backend = await _backend(connection)
        # A pooler tells its clients numbers of its own.
        if backend == connection.get_server_pid():
            return False
        other = await self.connect()
        try:
            async with other.transaction():
                return await _backend(other) == backend
        finally:
            other.terminate()

    def _error(self, problem: str) -> StartupError:
        return StartupError(f"the database {self.label} cannot be used: {problem}")


async def _backend(connection: asyncpg.Connection) -> int:
    """Return the number of the server process behind a connection, in a transaction of its own."""
    number: int = await connection.fetchval("SELECT pg_backend_pid()")
    return number


def _label(url: str) -> str | None:
    """Return the host, the port and the name of the database of a URL; None if it is malformed."""
    try:
        parts = urlsplit(url)
        query: Mapping[str, Any] = parse_qs(parts.query)
        host = parts.netloc.rpartition("@")[2] or "".join(query.get("host", ("",))[0])
    except ValueError:
        return None
    # A character of a password that is not percent-encoded ended the part with the password too early.
    if "@" in url.partition("//")[2].removeprefix(parts.netloc):
        return None
    return f"{parts.path.strip('/')} on {host or 'this machine'}"
