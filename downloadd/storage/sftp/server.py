"""One SFTP server: a connection that is opened again when it breaks, and its errors as those of downloads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from random import random
from types import TracebackType
from typing import Final, Self, TypeVar

import asyncssh
import structlog

from downloadd.clock import Clock
from downloadd.config import RemoteStorageConfig
from downloadd.errors import DownloadError, StorageAwayError
from downloadd.storage.sftp.errors import LOST, map_sftp_error
from downloadd.storage.sftp.location import parse_sftp_url
from downloadd.storage.sftp.login import SftpLogin, SftpLoginError, read_login

log = structlog.get_logger()

T = TypeVar("T")

CONNECT_SECONDS: Final = 15.0
"""Seconds for a connection with its login."""
ANSWER_SECONDS: Final = 60.0
"""Seconds for a few requests, besides those for their bytes."""
MIN_BYTES_PER_SECOND: Final = 32 * 1024
"""Bytes a second at which content is sent at least."""
KEEPALIVE_SECONDS: Final = 15.0
"""Seconds of silence after which the server is asked if it is there."""
RETRY_DELAYS: Final = (0.3, 1.0)
"""Seconds before the further tries after a connection broke, before jitter."""
PAUSE_SECONDS: Final = 3.0
"""Seconds for which a server that does not answer is not asked again."""


class SftpServer:
    """Login to one server. Use it in `async with`.

    Attributes:
        path: the directory whose files are on it.
        location: user, host and directory.
    """

    def __init__(self, config: RemoteStorageConfig, *, clock: Clock, environment: Mapping[str, str]) -> None:
        self.path = config.path
        self.location = parse_sftp_url(config.url)
        self._config = config
        self._clock = clock
        self._environment = environment
        self._place = f"the SFTP server of {self.path} ({self.location.url})"
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._closings: set[asyncio.Task[None]] = set()
        self._away_until = 0.0
        self._away_error: Exception | None = None

    async def __aenter__(self) -> Self:
        """Check that there is a login; the connection is opened when it is needed.

        Raises:
            SftpLoginError: there is none.
        """
        await asyncio.to_thread(read_login, self._config, self._environment)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._closings:
            task.cancel()
        await asyncio.gather(*self._closings, return_exceptions=True)
        connection = self._drop()
        if connection is not None:
            await connection.wait_closed()

    def map_error(self, error: Exception) -> DownloadError:
        """Return the error of a download for one of the server."""
        return map_sftp_error(error, place=self._place, known_hosts_file=self._config.known_hosts_file)

    async def call(self, run: Callable[[asyncssh.SFTPClient], Awaitable[T]], *, nbytes: int = 0) -> T:
        """Return the result of requests, which are all made again if the connection breaks.

        `nbytes` is the number of bytes that they send or receive. `run` handles the errors that it expects, and what an
        earlier call of it may have done.

        Raises:
            DownloadError: the server does not answer, or refuses.
        """
        if self._away_error is not None and self._clock.monotonic() < self._away_until:
            raise self.map_error(self._away_error)
        for delay in (*RETRY_DELAYS, None):
            client: asyncssh.SFTPClient | None = None
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    client = await self._connect()
                async with asyncio.timeout(ANSWER_SECONDS + nbytes / MIN_BYTES_PER_SECOND):
                    result = await run(client)
            except SftpLoginError as error:
                raise StorageAwayError(f"{self._place}: {error}") from error
            except LOST as error:
                self._drop(client)
                if delay is None:
                    # Others that wait for it need not wait for the same time limit.
                    self._away_error = error
                    self._away_until = self._clock.monotonic() + PAUSE_SECONDS
                    raise self.map_error(error) from error
                await asyncio.sleep(delay * (0.5 + random() / 2))  # noqa: S311 - jitter, not a secret
            except asyncssh.Error as error:
                if not isinstance(error, asyncssh.SFTPError):
                    self._drop(client)
                raise self.map_error(error) from error
            else:
                self._away_error = None
                return result
        raise AssertionError

    @asynccontextmanager
    async def opened(
        self, client: asyncssh.SFTPClient, path: str, flags: int
    ) -> AsyncIterator[asyncssh.SFTPClientFile]:
        """Yield an open file. After an error or a cancellation, its end does not wait for the server."""
        file = await client.open(path, flags, encoding=None)
        try:
            yield file
        except BaseException:
            task = asyncio.create_task(self.close_quietly(file))  # noqa: TID251 - kept, and awaited at the end
            self._closings.add(task)
            task.add_done_callback(self._closings.discard)
            raise
        await file.close()

    async def close_quietly(self, file: asyncssh.SFTPClientFile) -> None:
        """Close a file; the server closes it itself if the connection is broken."""
        with suppress(asyncssh.Error, OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                await file.close()

    async def _connect(self) -> asyncssh.SFTPClient:
        """Return the client of the open connection; open one if there is none."""
        async with self._lock:
            if self._client is not None:
                return self._client
            # Another program may renew the files.
            login = await asyncio.to_thread(read_login, self._config, self._environment)
            connection = await self._open(login)
            try:
                client = await connection.start_sftp_client()
            except BaseException:
                connection.abort()
                raise
            self._connection, self._client = connection, client
            log.info("sftp_connected", path=self.path, host=self.location.host)
            return client

    async def _open(self, login: SftpLogin) -> asyncssh.SSHClientConnection:
        """Open a connection with this login only: no other files, agent or variable of the user counts."""
        return await asyncssh.connect(
            self.location.host,
            self.location.port,
            username=self.location.user,
            known_hosts=login.known_hosts,
            client_keys=list(login.client_keys) or None,
            password=login.password,
            agent_path=None,
            config=None,
            gss_host=None,
            keepalive_interval=KEEPALIVE_SECONDS,
        )

    def _drop(self, client: asyncssh.SFTPClient | None = None) -> asyncssh.SSHClientConnection | None:
        """Close the connection of a client, or the one that is open; return it if it was open."""
        if client is not None and client is not self._client:
            return None
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.abort()
        return connection
