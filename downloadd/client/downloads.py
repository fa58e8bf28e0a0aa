"""Calls about downloads, with the names of the specification: `fetch`, `list_active`, `list_global`, `get_history`."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Literal
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from msgspec import UNSET

from downloadd.client.connection import ApiError, Connection, ConnectionLostError, decode, format_directory
from downloadd.client.events import Connected, Event, Reset
from downloadd.fronts.rest.schemas import (
    ActiveEntry,
    ActiveEntryResponse,
    AmendBody,
    BatchBody,
    BatchItem,
    BatchResponse,
    History,
    HistoryEntry,
    HistoryEntryResponse,
    Listing,
    StartResponse,
)
from downloadd.states import FINISHED, State

Conflict = Literal["rename", "overwrite", "skip", "error"]


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Ended downloads, newest first; `next` is the cursor of the page after this one."""

    history: list[HistoryEntry]
    next: str | None


class _StatusOnly(msgspec.Struct):
    status: State


class Downloads:
    """What can be asked about downloads; `events` makes a reader of what happens."""

    def __init__(self, connection: Connection, events: Callable[[], AsyncGenerator[Event]]) -> None:
        self._connection = connection
        self._events = events

    async def fetch(
        self,
        *,
        directory: str = "",
        download: str | Sequence[str],
        filename: str | None = None,
        timeout: int | None = None,
        segments: int | None = None,
        checksum: str | None = None,
        conflict: Conflict | None = None,
        priority: int | None = None,
        speed_limit: int | None = None,
        wait: int | None = None,
        idempotency_key: str | None = None,
    ) -> StartResponse:
        """Starts a download; the answer comes once it is on stable storage.

        Args:
            directory: destination below the storage root; "" for the root itself.
            download: the URL, or several of the same file (mirrors).
            filename: a name for the file, in place of the one that its origin gives it.
            timeout: seconds in all.
            segments: parallel connections.
            checksum: `sha-256=<hex>`, of which the file must be.
            conflict: what is done when the name is taken.
            priority: higher starts first.
            speed_limit: bytes a second.
            wait: seconds to hold the answer until the download has ended.
            idempotency_key: makes a repeated call answer the first one's result.

        Raises:
            ApiError: it was refused, or has failed while it was waited for; `body` is a `StartResponse` then.
            ConnectionLostError: nobody answered; with the same `idempotency_key` it may be asked again.
        """
        return await self._connection.call(
            StartResponse,
            "GET",
            format_directory(directory),
            query={
                "download": download,
                "filename": filename,
                "timeout": timeout,
                "segments": segments,
                "checksum": checksum,
                "conflict": conflict,
                "priority": priority,
                "speed_limit": speed_limit,
                "wait": wait,
            },
            fields=_idempotency_fields(idempotency_key),
            extra_seconds=wait or 0,
        )

    async def batch(self, downloads: Sequence[BatchItem], *, idempotency_key: str | None = None) -> BatchResponse:
        """Starts up to 10,000 downloads in one go; one result for each, in order, refused ones included.

        Raises:
            ApiError, ConnectionLostError: the whole batch was refused, or nobody answered.
        """
        try:
            return await self._connection.call(
                BatchResponse,
                "POST",
                "api/v1/downloads",
                json=BatchBody(downloads=list(downloads)),
                fields=_idempotency_fields(idempotency_key),
            )
        except ApiError as error:
            if b'"downloads"' not in error.body:
                raise
            # None was accepted: each result says why.
            return decode(error.body, BatchResponse)

    async def list_active(
        self, *, directory: str = "", downloads: str = "", status: str | None = None, limit: int | None = None
    ) -> Listing:
        """What is active in one directory, oldest first.

        Raises:
            ApiError, ConnectionLostError: there is no answer.
        """
        query = {"downloads": downloads, "status": status, "limit": limit}
        return await self._connection.call(Listing, "GET", format_directory(directory), query=query)

    async def list_global(self, *, status: str | None = None, limit: int | None = None) -> Listing:
        """What is active everywhere, oldest first.

        Raises:
            ApiError, ConnectionLostError: there is no answer.
        """
        query = {"status": status, "limit": limit}
        return await self._connection.call(Listing, "GET", "api/v1/downloads", query=query)

    async def get_history(
        self,
        *,
        status: str | None = None,
        directory: str | None = None,
        q: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> HistoryPage:
        """A page of what has ended, newest first.

        `q` is a part of a URL or name; `cursor` is the `next` of another page.

        Raises:
            ApiError, ConnectionLostError: there is no answer.
        """
        query = {"status": status, "directory": directory, "q": q, "limit": limit, "cursor": cursor}
        async with self._connection.send("GET", "", query={"download_history": "", **query}) as response:
            body, link = await response.read(), response.headers.get("Link", "")
        return HistoryPage(history=decode(body, History).history, next=_parse_next_cursor(link))

    async def get(self, id: str) -> ActiveEntry | HistoryEntry:
        """One download, active or ended.

        Raises:
            ApiError, ConnectionLostError: there is none, or no answer.
        """
        async with self._connection.send("GET", _download_path(id)) as response:
            body = await response.read()
        return decode(body, HistoryEntry) if decode(body, _StatusOnly).status in FINISHED else decode(body, ActiveEntry)

    async def cancel(self, id: str) -> HistoryEntryResponse:
        """Ends it and removes what has come.

        Raises:
            ApiError, ConnectionLostError: it cannot be, or there is no answer.
        """
        return await self._connection.call(HistoryEntryResponse, "DELETE", _download_path(id))

    async def pause(self, id: str) -> ActiveEntryResponse:
        """Holds it until it is resumed.

        Raises:
            ApiError, ConnectionLostError: it cannot be, or there is no answer.
        """
        return await self._connection.call(ActiveEntryResponse, "POST", f"{_download_path(id)}/pause")

    async def resume(self, id: str) -> ActiveEntryResponse:
        """Lets it go on where it was.

        Raises:
            ApiError, ConnectionLostError: it cannot be, or there is no answer.
        """
        return await self._connection.call(ActiveEntryResponse, "POST", f"{_download_path(id)}/resume")

    async def retry(self, id: str) -> ActiveEntryResponse:
        """Tries an ended download again, under the same id.

        Raises:
            ApiError, ConnectionLostError: it cannot be, or there is no answer.
        """
        return await self._connection.call(ActiveEntryResponse, "POST", f"{_download_path(id)}/retry")

    async def change(
        self, id: str, *, priority: int | None = None, speed_limit: int | None = None, url: str | None = None
    ) -> ActiveEntryResponse:
        """Changes what is given: the place in the queue, bytes a second (0 for no limit), or where it comes from.

        Raises:
            ApiError, ConnectionLostError: it cannot be, or there is no answer.
        """
        changes = AmendBody(
            priority=UNSET if priority is None else priority,
            speed_limit=UNSET if speed_limit is None else speed_limit,
            url=UNSET if url is None else url,
        )
        return await self._connection.call(ActiveEntryResponse, "PATCH", _download_path(id), json=changes)

    async def wait(self, id: str) -> HistoryEntry:
        """The entry of the history, once the download has ended, however it did; outlives restarts of the daemon.

        Raises:
            ApiError: there is no such download, or the token may not look at it.
        """
        async with aclosing(self._events()) as events:
            async for event in events:
                match event.data:
                    case HistoryEntry(id=ended) if ended == id:
                        return event.data
                    case Connected() | Reset():
                        # What ended while nobody listened is found by looking; what ends from now on is told.
                        with suppress(ConnectionLostError):
                            entry = await self.get(id)
                            if isinstance(entry, HistoryEntry):
                                return entry
                    case _:
                        pass
        raise AssertionError("the stream of events has no end")


def _parse_next_cursor(link: str) -> str | None:
    """The cursor of the next page in a `Link` field (RFC 8288)."""
    for piece in link.split(","):
        target, _, relation = piece.partition(";")
        if 'rel="next"' in relation:
            return parse_qs(urlsplit(target.strip(" <>")).query).get("cursor", [None])[0]
    return None


def _idempotency_fields(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def _download_path(id: str) -> str:
    return f"api/v1/downloads/{quote(id, safe='')}"
