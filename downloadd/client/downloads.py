"""Calls about downloads, with the names of the specification: `fetch`, `list_active`, `list_global`, `get_history`."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final, Unpack
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from downloadd.bulk_actions import BulkAction
from downloadd.client.connection import ApiError, Connection, ConnectionLostError, decode, format_directory
from downloadd.client.events import Connected, Event
from downloadd.client.file_content import FileContent
from downloadd.download_request import ChangeOptions, StartOptions
from downloadd.fronts.rest.bulk_schemas import BulkBody, BulkResponse
from downloadd.fronts.rest.event_types import Reset
from downloadd.fronts.rest.explain import ExplainResponse
from downloadd.fronts.rest.file_schemas import DirectoryFile, DirectoryFiles, FileLink
from downloadd.fronts.rest.item_bodies import AmendBody, ProbeBody
from downloadd.fronts.rest.queue_schemas import ChangeCountResponse, MoveBody, MoveResponse, MoveTo
from downloadd.fronts.rest.schemas import (
    ActiveEntry,
    ActiveEntryResponse,
    BatchBody,
    BatchItem,
    BatchResponse,
    History,
    HistoryEntry,
    HistoryEntryResponse,
    Listing,
    ProbeResponse,
    RemovalResponse,
    RetryBody,
    StartResponse,
)
from downloadd.states import FINISHED, State

_REMOVAL_SECONDS: Final = 3600
"""Seconds in which millions of entries can be removed."""
_BULK_SECONDS: Final = 600
"""Seconds in which millions of downloads can be paused."""


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Finished downloads, newest first."""

    history: list[HistoryEntry]
    next: str | None
    """Cursor of the next page; None for the last one."""


class FilePage(msgspec.Struct, frozen=True, kw_only=True):
    """Finished files and directories, ordered by name."""

    files: list[DirectoryFile]
    next: str | None
    """Cursor of the next page; None for the last one."""


class _StatusOnly(msgspec.Struct):
    status: State


class Downloads:
    """Calls about downloads; `events` opens a stream of events."""

    def __init__(self, connection: Connection, events: Callable[[], AsyncGenerator[Event]]) -> None:
        self._connection = connection
        self._events = events

    async def fetch(
        self,
        *,
        directory: str = "",
        download: str | Sequence[str],
        wait: int | None = None,
        idempotency_key: str | None = None,
        **parameters: Unpack[StartOptions],
    ) -> StartResponse:
        """Start a download; return when it is on stable storage.

        Args:
            directory: Destination below the storage root; "" for the root itself.
            download: The URL, or several URLs of the same file (mirrors).
            wait: Seconds to hold the answer until the download ends.
            idempotency_key: Makes a repeated call return the result of the first one.
            **parameters: Fields of `downloadd.download_request.StartParameters`, which describes them.

        Raises:
            ApiError: The download was refused, or failed while the call waited; `body` is a `StartResponse`.
            ConnectionLostError: There was no answer; the call can be repeated with the same `idempotency_key`.
        """
        return await self._connection.call(
            StartResponse,
            "GET",
            format_directory(directory),
            query={"download": download, **parameters, "wait": wait},
            fields=_idempotency_fields(idempotency_key),
            extra_seconds=wait or 0,
        )

    async def batch(self, downloads: Sequence[BatchItem], *, idempotency_key: str | None = None) -> BatchResponse:
        """Start up to 10,000 downloads in one call; return one result for each, in order, also for refused ones.

        Raises:
            ApiError, ConnectionLostError: The whole batch was refused, or there was no answer.
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
            # All were refused: each result has the reason.
            return decode(error.body, BatchResponse)

    async def probe(self, probe: ProbeBody) -> ProbeResponse:
        """Return what a download of a URL would find: name, size, type, ranges and validators; save nothing.

        The origin gets one GET for the first byte, or two. It takes 30 seconds at most.

        Raises:
            ApiError: A download would be refused, or fail; the code is that of the download.
            ConnectionLostError: There was no answer.
        """
        return await self._connection.call(ProbeResponse, "POST", "api/v1/probe", json=probe)

    async def explain(self, item: BatchItem) -> ExplainResponse:
        """Return what would become of a download: policy, rule, directory, limits, hooks; ask no origin.

        Raises:
            ApiError, ConnectionLostError: The call failed; a download that would be refused is no error.
        """
        return await self._connection.call(ExplainResponse, "POST", "api/v1/explain", json=item)

    async def list_active(
        self, *, directory: str = "", downloads: str = "", status: str | None = None, limit: int | None = None
    ) -> Listing:
        """Return the active downloads of one directory, oldest first.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        query = {"downloads": downloads, "status": status, "limit": limit}
        return await self._connection.call(Listing, "GET", format_directory(directory), query=query)

    async def list_global(self, *, status: str | None = None, limit: int | None = None) -> Listing:
        """Return all active downloads, oldest first.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        query = {"status": status, "limit": limit}
        return await self._connection.call(Listing, "GET", "api/v1/downloads", query=query)

    async def get_history(
        self,
        *,
        status: str | None = None,
        directory: str | None = None,
        q: str | None = None,
        ended_before: int | None = None,
        kept: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> HistoryPage:
        """Return a page of finished downloads, newest first.

        `q` is a part of a URL or name, `ended_before` a Unix time; with `kept`, only downloads whose part file is kept;
        `cursor` is the `next` of another page.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        query = {
            "status": status,
            "directory": directory,
            "q": q,
            "ended_before": ended_before,
            "kept": _format_flag(kept),
            "limit": limit,
            "cursor": cursor,
        }
        async with self._connection.send("GET", "", query={"download_history": "", **query}) as response:
            body, link = await response.read(), response.headers.get("Link", "")
        return HistoryPage(history=decode(body, History).history, next=parse_next_cursor(link))

    async def get(self, id: str) -> ActiveEntry | HistoryEntry:
        """Return one download, active or finished.

        Raises:
            ApiError, ConnectionLostError: There is no such download, or no answer.
        """
        async with self._connection.send("GET", _download_path(id)) as response:
            body = await response.read()
        return decode(body, HistoryEntry) if decode(body, _StatusOnly).status in FINISHED else decode(body, ActiveEntry)

    async def list_files(self, *, directory: str = "", limit: int | None = None, cursor: str | None = None) -> FilePage:
        """Return a page of the finished files and the directories in a directory, ordered by name.

        Raises:
            ApiError, ConnectionLostError: The call failed, or there is no such directory.
        """
        query = {"files": "", "limit": limit, "cursor": cursor}
        async with self._connection.send("GET", format_directory(directory), query=query) as response:
            body, link = await response.read(), response.headers.get("Link", "")
        return FilePage(files=decode(body, DirectoryFiles).files, next=parse_next_cursor(link))

    @asynccontextmanager
    async def file(self, id: str, *, start: int = 0, if_range: str = "") -> AsyncIterator[FileContent]:
        """Provide the file of a completed download within the context.

        Args:
            id: The download.
            start: Bytes that the caller has already.
            if_range: The `entity_tag` of those bytes; another file is sent from its beginning.

        Raises:
            ApiError: The permission `read-files` is missing, the file is missing or another one, or has no more bytes.
            ConnectionLostError: There was no answer, or it was incomplete.
        """
        fields = {"Range": f"bytes={start}-"} if start else {}
        if if_range:
            fields["If-Range"] = if_range
        async with self._connection.send("GET", f"{_download_path(id)}/file", fields=fields) as response:
            yield FileContent(response)

    async def link(self, id: str) -> FileLink:
        """Return a link to the file of a completed download that works without a token for some hours.

        Raises:
            ApiError, ConnectionLostError: It has no file, or there was no answer.
        """
        return await self._connection.call(FileLink, "POST", f"{_download_path(id)}/link")

    async def cancel(self, id: str) -> HistoryEntryResponse:
        """Cancel an active download and remove its part file.

        Raises:
            ApiError, ConnectionLostError: Its state does not allow it, or there was no answer.
        """
        return await self._connection.call(HistoryEntryResponse, "DELETE", _download_path(id), query={"only": "active"})

    async def remove(self, id: str, *, file: bool = False) -> HistoryEntryResponse:
        """Remove a finished download from the history, with `file` its file too; return its last entry.

        Raises:
            ApiError, ConnectionLostError: It has not finished, its file was changed, or there was no answer.
        """
        query = {"only": "ended", "file": "true" if file else None}
        return await self._connection.call(HistoryEntryResponse, "DELETE", _download_path(id), query=query)

    async def remove_history(
        self,
        *,
        status: str | None = None,
        directory: str | None = None,
        q: str | None = None,
        ended_before: int | None = None,
        kept: bool | None = None,
    ) -> RemovalResponse:
        """Remove all finished downloads that match, without their files; without a filter, all of them.

        Raises:
            ApiError, ConnectionLostError: The call failed, or there was no answer within an hour.
        """
        query = {
            "status": status,
            "directory": directory,
            "q": q,
            "ended_before": ended_before,
            "kept": _format_flag(kept),
        }
        return await self._connection.call(
            RemovalResponse,
            "DELETE",
            "",
            query={"download_history": "", **query},
            extra_seconds=_REMOVAL_SECONDS,
        )

    async def pause(self, id: str) -> ActiveEntryResponse:
        """Pause a download until it is resumed.

        Raises:
            ApiError, ConnectionLostError: Its state does not allow it, or there was no answer.
        """
        return await self._connection.call(ActiveEntryResponse, "POST", f"{_download_path(id)}/pause")

    async def resume(self, id: str) -> ActiveEntryResponse:
        """Resume a paused download.

        Raises:
            ApiError, ConnectionLostError: Its state does not allow it, or there was no answer.
        """
        return await self._connection.call(ActiveEntryResponse, "POST", f"{_download_path(id)}/resume")

    async def move(self, id: str, to: str | int) -> MoveResponse:
        """Move a queued or paused download to `top`, `up`, `down`, `bottom`, or an index, 0 for the first.

        The downloads that wait are in the order of starting. It takes the priority of its new neighbours.

        Raises:
            ApiError, ConnectionLostError: Its state does not allow it, or there was no answer.
        """
        body = MoveBody(to=to if isinstance(to, int) else MoveTo(to))
        return await self._connection.call(MoveResponse, "POST", f"{_download_path(id)}/move", json=body)

    async def act(self, action: BulkAction | str, ids: Sequence[str], *, file: bool = False) -> BulkResponse:
        """Pause, resume, retry, cancel or remove up to 1,000 downloads; with `file`, remove their files too.

        The answer has a result for each; one that is refused does not stop the others.

        Raises:
            ApiError, ConnectionLostError: The call failed, or there was no answer.
        """
        body = BulkBody(action=BulkAction(action), ids=list(ids), file=file)
        return await self._connection.call(
            BulkResponse, "POST", "api/v1/downloads/actions", json=body, extra_seconds=_BULK_SECONDS
        )

    async def pause_all(self) -> ChangeCountResponse:
        """Pause all active downloads; repeat the call if it fails.

        Raises:
            ApiError, ConnectionLostError: The call failed, or there was no answer.
        """
        return await self._connection.call(
            ChangeCountResponse, "POST", "api/v1/downloads/pause", extra_seconds=_BULK_SECONDS
        )

    async def resume_all(self) -> ChangeCountResponse:
        """Resume all paused downloads; repeat the call if it fails.

        Raises:
            ApiError, ConnectionLostError: The call failed, or there was no answer.
        """
        return await self._connection.call(
            ChangeCountResponse, "POST", "api/v1/downloads/resume", extra_seconds=_BULK_SECONDS
        )

    async def retry(self, id: str, *, url: str | None = None) -> ActiveEntryResponse:
        """Start a finished download again under the same id; it continues from the `kept_bytes` of its entry.

        `url` replaces its URL, for example if that has expired; the file there must be the same to be continued.

        Raises:
            ApiError, ConnectionLostError: Its state does not allow it, or there was no answer.
        """
        body = None if url is None else RetryBody(url=url)
        return await self._connection.call(ActiveEntryResponse, "POST", f"{_download_path(id)}/retry", json=body)

    async def change(self, id: str, **changes: Unpack[ChangeOptions]) -> ActiveEntryResponse | HistoryEntryResponse:
        """Change the given parameters of a download, as `downloadd.download_request.DownloadItem` describes them.

        `url` is one to continue from. A finished download that can be retried takes a URL too, and waits for `retry`
        then. One request field, such as `headers`, replaces all of them.

        Raises:
            ApiError, ConnectionLostError: Its state does not allow it, or there was no answer.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        async with self._connection.send(
            "PATCH", _download_path(id), json=msgspec.convert(given, AmendBody)
        ) as response:
            body = await response.read()
        is_finished = decode(body, _StatusOnly).status in FINISHED
        return decode(body, HistoryEntryResponse) if is_finished else decode(body, ActiveEntryResponse)

    async def wait(self, id: str) -> HistoryEntry:
        """Wait until a download has ended, also across restarts of the daemon, and return its entry of the history.

        Raises:
            ApiError: There is no such download, or the token may not read it.
        """
        async with aclosing(self._events()) as events:
            async for event in events:
                match event.data:
                    case HistoryEntry(id=ended) if ended == id:
                        return event.data
                    case Connected() | Reset():
                        # The stream reports ends from now on; query the state for an earlier one.
                        with suppress(ConnectionLostError):
                            entry = await self.get(id)
                            if isinstance(entry, HistoryEntry):
                                return entry
                    case _:
                        pass
        raise AssertionError("the event stream never ends")


def parse_next_cursor(link: str) -> str | None:
    """Return the cursor of the next page from a `Link` field (RFC 8288), or None."""
    for piece in link.split(","):
        target, _, relation = piece.partition(";")
        if 'rel="next"' in relation:
            return parse_qs(urlsplit(target.strip(" <>")).query).get("cursor", [None])[0]
    return None


def _format_flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


def _idempotency_fields(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def _download_path(id: str) -> str:
    return f"api/v1/downloads/{quote(id, safe='')}"
