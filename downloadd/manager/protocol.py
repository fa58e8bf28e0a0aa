"""The interface of the manager: requests, results and methods that the layers above use."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from downloadd.download import Conflict, Download, Snapshot
from downloadd.download_request import DownloadRequest, RequestFieldParameters
from downloadd.manager.queue_report import OriginList
from downloadd.queue_move import QueueMove
from downloadd.records.protocol import ActiveFilter, HistoryFilter, StoredResponse
from downloadd.states import State

MakeStoredResponse = Callable[[Sequence[Download]], StoredResponse | None]
"""Maker of the response that is stored under a request's `Idempotency-Key`; None when none is to be stored."""


class StartResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a request to start downloads."""

    downloads: Sequence[Download] = ()
    """One per download request, in order: `queued`, or `failed` when it was refused."""
    replayed: StoredResponse | None = None
    """The first response to a request with the same `Idempotency-Key`; nothing was started now."""


class DownloadChange(msgspec.Struct, frozen=True, kw_only=True):
    """Changes that a user makes to a download; None leaves a value as it is."""

    priority: int | None = None
    speed_limit: int | None = None
    """Bytes a second; 0 for no limit."""
    url: str | None = None
    mirrors: Sequence[str] | None = None
    filename: str | None = None
    directory: str | None = None
    conflict: Conflict | None = None
    checksum: str | None = None
    segments: int | None = None
    fields: RequestFieldParameters | None = None
    """Request fields in place of all former ones; other parameters in it are ignored."""
    max_retries: int | None = None
    retry_wait: int | None = None
    stall_timeout: float | None = None
    connect_timeout: float | None = None
    min_speed: int | None = None
    not_before: str | float | None = None
    """A time that has passed starts it."""


class ResultCount(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of ended downloads."""

    shown: int
    """Those in the list of results."""
    total: int
    """All of the history."""


class DownloadManager(Protocol):
    """The manager, without the user's rights."""

    async def start(
        self,
        requests: Sequence[DownloadRequest],
        *,
        user: str,
        request_id: str | None = None,
        make_stored_response: MakeStoredResponse | None = None,
    ) -> StartResult:
        """Check the requests and record them durably, in one transaction."""
        ...

    async def cancel(self, id: str) -> Download:
        """Cancel an active download."""
        ...

    async def pause(self, id: str) -> Snapshot:
        """Pause an active download."""
        ...

    async def resume(self, id: str) -> Snapshot:
        """Resume a paused download."""
        ...

    async def retry(self, id: str, url: str | None = None) -> Snapshot:
        """Retry a finished download, or a retrying one without further delay; `url` replaces its URL."""
        ...

    async def amend(self, id: str, changes: DownloadChange) -> Snapshot:
        """Change an active download, or a finished one that gets a URL."""
        ...

    async def get(self, id: str) -> Snapshot:
        """Return a download, active or finished."""
        ...

    async def active(self, criteria: ActiveFilter) -> list[Snapshot]:
        """Return active downloads, oldest first."""
        ...

    def speed(self) -> float:
        """Return the bytes a second of all downloads together."""
        ...

    async def counts(self) -> Mapping[State, int]:
        """Return the number of downloads in each active state; those that are being paused count as paused."""
        ...

    async def history(self, criteria: HistoryFilter) -> list[Download]:
        """Return a page of finished downloads."""
        ...

    async def origins(self, limit: int) -> OriginList:
        """Return up to `limit` origins that are in use or not healthy, the ones in trouble first."""
        ...

    async def ended_since(self, ended_seq: int, limit: int) -> list[Download]:
        """Return downloads that ended after the one with `ended_seq`, oldest end first."""
        ...

    async def wait(self, id: str, seconds: float) -> Download:
        """Return the row when the download has ended, or as it is after `seconds`."""
        ...


class QueueManager(Protocol):
    """The waiting list, without the user's rights: queued and paused downloads in the order of starting.

    A running download that is being paused is in it too.
    """

    async def page(self, offset: int, limit: int) -> list[Snapshot]:
        """Return a part of the list, without reasons.

        It is counted from the end backwards if `offset` is negative, -1 for the last one.
        """
        ...

    async def revision(self) -> int:
        """Return a number that grows when the list or a row of it has changed; runs change their own without it."""
        ...

    async def move(self, id: str, move: QueueMove) -> int:
        """Move a download; return its new index, from 0."""
        ...

    async def pause_all(self, can_use: Callable[[str], bool]) -> int:
        """Pause all active downloads in directories for which `can_use` returns True; return their number."""
        ...

    async def resume_all(self, can_use: Callable[[str], bool]) -> int:
        """Resume all paused downloads in directories for which `can_use` returns True; return their number."""
        ...


class ResultManager(Protocol):
    """The list of results, without the user's rights: the newest ended downloads that no user has cleared."""

    async def page(self, offset: int, limit: int) -> list[Download]:
        """Return a part of the list, oldest end first."""
        ...

    async def revision(self) -> int:
        """Return a number that grows when the list or a row of it has changed."""
        ...

    async def count(self) -> ResultCount:
        """Return the length of the list, and the number of all ended downloads."""
        ...

    async def clear(self, id: str) -> None:
        """Remove an ended download from the list; it stays in the history."""
        ...

    async def clear_all(self) -> None:
        """Remove all downloads that have ended so far from the list."""
        ...
