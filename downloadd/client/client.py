"""The client: calls by subject over one pool of connections, and the event stream."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from random import uniform
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from msgspec import UNSET
from yarl import URL

from downloadd.client.connection import ApiError, Connection, ConnectionLostError
from downloadd.client.downloads import Downloads
from downloadd.client.events import Connected, Disconnected, Event, EventParser
from downloadd.client.imports import Imports
from downloadd.client.schedules import ScheduleCalls
from downloadd.client.users import UserCalls
from downloadd.fronts.rest.node_schemas import Nodes
from downloadd.fronts.rest.schemas import Directories, ErrorEntry, ErrorTable, Health, Hosts, StorageResponse
from downloadd.fronts.rest.settings_schemas import SettingsBody, SettingsResponse
from downloadd.runtime_settings import CurrentSettings
from downloadd.user_quota import UserQuotaUse

INITIAL_BACKOFF_SECONDS: Final = 0.5
"""Seconds before the stream reconnects; doubled after each failure."""
MAX_BACKOFF_SECONDS: Final = 15.0
"""Seconds, at most."""
_MAX_EVENT_LINE_BYTES: Final = 1 << 20
"""Bytes of the longest line of the stream."""


class Files:
    """Calls about files."""

    def __init__(self, downloads: Downloads) -> None:
        self.downloads = downloads


class Client:
    """Client of one daemon, open as long as the context: `async with Client(…) as client`.

    Args:
        base_url: Address of the API, such as `https://dl.example.com/fetch/` or `unix:/run/downloadd/api.sock`.
        token: Sent as `Authorization: Bearer`.
        ca_file: PEM certificates to trust in addition to those of the system.
        read_timeout: Seconds without a received byte before a connection counts as lost.

    Raises:
        ValueError: The address is invalid, or the certificates cannot be read.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8080/",
        *,
        token: str | None = None,
        ca_file: Path | None = None,
        read_timeout: float = 45.0,
    ) -> None:
        self._connection = Connection(base_url, token=token, ca_file=ca_file, read_timeout=read_timeout)
        self.files = Files(Downloads(self._connection, self.events))
        self.imports = Imports(self._connection)
        self.schedules = ScheduleCalls(self._connection)
        self.users = UserCalls(self._connection)

    @property
    def base_url(self) -> str:
        """Address of the API, with a slash at the end."""
        return self._connection.base_url

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def health(self) -> Health:
        """Return the status and version of the daemon; needs no token.

        Raises:
            ConnectionLostError: The daemon did not answer.
        """
        return await self._connection.call(Health, "GET", "api/v1/health")

    async def errors(self) -> list[ErrorEntry]:
        """Return the explanation of each error code.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        return (await self._connection.call(ErrorTable, "GET", "api/v1/errors")).errors

    async def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        return await self._connection.call(dict[str, Any], "GET", "api/v1/openapi.json")

    @property
    def origin(self) -> str:
        """Scheme, host and port of the API, without a path."""
        return str(URL(self.base_url).origin())

    async def accept_storage(self) -> StorageResponse:
        """Confirm that the storage root was changed on purpose; the queue goes on with the one that is there.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        return await self._connection.call(StorageResponse, "POST", "api/v1/storage/accept")

    async def settings(self) -> CurrentSettings:
        """Return the limits on all downloads that hold now.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        return await self._connection.call(CurrentSettings, "GET", "api/v1/settings")

    async def change_settings(
        self,
        *,
        max_concurrent: int | None = None,
        max_per_host: int | None = None,
        speed_limit: int | None = None,
        allow_starts: bool | None = None,
    ) -> SettingsResponse:
        """Change the given limits at once, until the daemon restarts or reads its configuration again.

        Hours of `[[limits]]` that begin or end set the limits that they have. `speed_limit` is in bytes a second, 0
        for none.

        Raises:
            ApiError, ConnectionLostError: A value is out of range, the permission is missing, or there was no answer.
        """
        body = SettingsBody(
            max_concurrent=UNSET if max_concurrent is None else max_concurrent,
            max_per_host=UNSET if max_per_host is None else max_per_host,
            speed_limit=UNSET if speed_limit is None else speed_limit,
            allow_starts=UNSET if allow_starts is None else allow_starts,
        )
        return await self._connection.call(SettingsResponse, "PATCH", "api/v1/settings", json=body)

    async def metrics(self) -> str:
        """Return the metrics in Prometheus' text format.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        async with self._connection.send("GET", "api/v1/metrics", fields={"Accept": "text/plain"}) as response:
            return await response.text()

    async def directories(self, prefix: str = "", *, limit: int | None = None) -> list[str]:
        """Return directories whose paths begin with `prefix`, one level below its last slash.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        query = {"prefix": prefix, "limit": limit}
        return (await self._connection.call(Directories, "GET", "api/v1/directories", query=query)).directories

    async def hosts(self, *, limit: int | None = None) -> Hosts:
        """Return the origins that downloads wait for or run from, those in trouble first.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        return await self._connection.call(Hosts, "GET", "api/v1/hosts", query={"limit": limit})

    async def quota(self) -> UserQuotaUse:
        """Return the use of the quotas of the user whose token this client has.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        return await self._connection.call(UserQuotaUse, "GET", "api/v1/quota")

    async def nodes(self) -> Nodes:
        """Return the daemons that use the database, ordered by name; on a daemon without one, itself.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        return await self._connection.call(Nodes, "GET", "api/v1/nodes")

    async def events(self, *, last_event_id: str = "") -> AsyncGenerator[Event]:
        """Yield events without end, after `last_event_id` if it is given.

        The type of `Event.data` is the type of the event: `ActiveEntry` for an active download, `HistoryEntry` for one
        that ended, `OperationEntry` for an import, `CurrentSettings` for changed limits. A lost connection is restored:
        no event is missed, though one may be repeated.

        Raises:
            ApiError: The token may not read events.
        """
        parser = EventParser(last_event_id)
        backoff = INITIAL_BACKOFF_SECONDS
        while True:
            reason = "the event stream ended"
            try:
                fields = {"Last-Event-ID": parser.last_id} if parser.last_id else {}
                async with self._connection.send("GET", "api/v1/events", fields=fields) as response:
                    yield Event(data=Connected(), id=parser.last_id)
                    async for line in _lines(response.content):
                        event = parser.feed(line)
                        if event is not None:
                            backoff = INITIAL_BACKOFF_SECONDS
                            yield event
            except ConnectionLostError as error:
                reason = str(error)
            except ApiError as error:
                # The same request with the same token would have the same answer.
                if error.status < 500 and error.status != 429:
                    raise
                reason = str(error)
                backoff = max(backoff, error.retry_after or 0)
            parser = EventParser(parser.last_id)
            yield Event(data=Disconnected(reason=reason), id=parser.last_id)
            await asyncio.sleep(backoff * uniform(0.75, 1.25))  # noqa: S311 - jitter
            backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield the complete lines of a stream.

    Raises:
        ConnectionLostError: A line is longer than `_MAX_EVENT_LINE_BYTES`.
    """
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MAX_EVENT_LINE_BYTES:
            raise ConnectionLostError("a line of the event stream is too long")
        for line in lines:
            yield line
