"""Admission of download requests to the queue, within its limit."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import getrandbits
from typing import Final

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig
from downloadd.download import Download, new_id
from downloadd.download_request import DownloadRequest
from downloadd.errors import DownloadError, QueueFullError, ShuttingDownError
from downloadd.import_operation import Driver
from downloadd.manager.admission import admit, check_change, check_new_url, refuse
from downloadd.manager.admission_checks import AdmissionChecks
from downloadd.manager.amendment import CheckedChange, NewUrl
from downloadd.manager.dispatcher import Queue
from downloadd.manager.notifier import Notifier
from downloadd.manager.protocol import DownloadChange, MakeStoredResponse, StartResult
from downloadd.manager.run_table import RunTable
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.origin_proxies import OriginProxies
from downloadd.policy.policy import Policy
from downloadd.records.protocol import AcceptResult, Records, WaitingDownload
from downloadd.records.queue_moves import MAX_POSITION
from downloadd.states import ACTIVE, FINISHED, WAITING

ADMISSION_BATCH_SIZE: Final = 250
"""Download requests that are processed before the event loop continues with other work."""


class AdmissionControl:
    """Checks download requests, records them and adds the accepted ones to the queue."""

    def __init__(
        self,
        *,
        records: Records,
        checks: AdmissionChecks,
        queue: Queue,
        notifier: Notifier,
        runs: RunTable,
        clock: Clock,
        policy: Policy,
        directories: DirectoryRules,
        config: DownloadsConfig,
        proxies: OriginProxies | None = None,
    ) -> None:
        self._records = records
        self._checks = checks
        self._queue = queue
        self._notifier = notifier
        self._runs = runs
        self._clock = clock
        self._policy = policy
        self._directories = directories
        self._config = config
        self._proxies = proxies or OriginProxies()
        self._reserved_slots = 0
        self._closed = False

    def configure(
        self,
        *,
        policy: Policy,
        directories: DirectoryRules,
        config: DownloadsConfig,
        proxies: OriginProxies | None = None,
    ) -> None:
        """Set policy and limits for downloads that are admitted from now on."""
        self._proxies = proxies or OriginProxies()
        self._policy = policy
        self._directories = directories
        self._config = config

    def close(self) -> None:
        """Refuse all requests from now on."""
        self._closed = True

    def check_new_url(self, url: str) -> NewUrl:
        """Return a URL that is to replace that of a download; see `admission.check_new_url`."""
        return check_new_url(url, self._policy)

    def check_change(self, changes: DownloadChange) -> CheckedChange:
        """Return a change with its values checked; see `admission.check_change`."""
        return check_change(changes, policy=self._policy, directories=self._directories, proxies=self._proxies.names)

    @asynccontextmanager
    async def reserving_slot(self) -> AsyncIterator[QueueFullError | None]:
        """Reserve a slot of the queue inside of the block; yield the error to raise when no slot is free.

        The reservation keeps concurrent requests from using the same free slot.
        """
        self._reserved_slots += 1
        try:
            # The slot of this request is reserved already.
            yield None if await self._count_free_slots() + 1 > 0 else self._queue_full_error()
        finally:
            self._reserved_slots -= 1

    async def start(
        self,
        requests: Sequence[DownloadRequest],
        *,
        user: str,
        request_id: str | None = None,
        make_stored_response: MakeStoredResponse | None = None,
        driver: Driver | None = None,
    ) -> StartResult:
        """Check the requests and record them durably, in one transaction; enqueue the accepted ones.

        Args:
            requests: the download requests.
            user: the id of the user who asks.
            request_id: the id of the request in the log.
            make_stored_response: called before the downloads are recorded, if the request has an `Idempotency-Key`.
            driver: that of the import operation that the downloads belong to.

        Raises:
            ShuttingDownError: the daemon stops and accepts nothing.
            ImportFencedError: the driver does not hold its operation; nothing was recorded.
            IdempotencyKeyReusedError: the key belongs to another request.
        """
        if self._closed:
            raise ShuttingDownError
        self._reserved_slots += len(requests)
        try:
            with self._checks.reserving_gids() as gids:
                downloads = await self._admit(requests, user, request_id, gids)
                accepted = await self._records.accept(
                    downloads,
                    make_stored_response(downloads) if make_stored_response is not None else None,
                    positions=_positions(requests, downloads),
                    driver=driver,
                )
        finally:
            self._reserved_slots -= len(requests)
        if accepted.replayed is not None:
            return StartResult(replayed=accepted.replayed)
        # Those that had to change for the new ones; unknown ones are ignored.
        self._queue.reorder(accepted.placed.values())
        return StartResult(downloads=await self._publish(downloads, accepted))

    async def preview(self, request: DownloadRequest, *, user: str) -> Download:
        """Return the download that a request of a user would become now; record nothing."""
        self._reserved_slots += 1
        try:
            with self._checks.reserving_gids() as gids:
                [download] = await self._admit([request], user, None, gids)
                return download
        finally:
            self._reserved_slots -= 1

    async def _publish(self, downloads: Sequence[Download], accepted: AcceptResult) -> list[Download]:
        """Enqueue accepted downloads and publish them; return the rows of all."""
        rows: list[Download] = []
        waiting: list[WaitingDownload] = []
        paused = 0
        for number, (download, seq) in enumerate(zip(downloads, accepted.seqs, strict=True)):
            await _yield_to_loop(number)
            row = _stored(download, seq, accepted)
            rows.append(row)
            if row.state in WAITING:
                waiting.append(WaitingDownload.of(row, not_before=None))
            elif row.state not in FINISHED:
                paused += 1
        await self._publish_accepted(rows)
        self._notifier.count_accepted(len(waiting) + paused)
        self._queue.enqueue(waiting)
        return rows

    async def _publish_accepted(self, rows: Sequence[Download]) -> None:
        """Publish accepted downloads; `EndedFollower` publishes the refused ones."""
        self._notifier.hint_changed([row.id for row in rows if row.state not in FINISHED])
        for start in range(0, len(rows), ADMISSION_BATCH_SIZE):
            if not self._notifier.is_watched:
                return
            batch = [row for row in rows[start : start + ADMISSION_BATCH_SIZE] if row.state not in FINISHED]
            for snapshot in await self._runs.snapshots(batch):
                self._notifier.publish_changed(snapshot, before=None)
            if start + ADMISSION_BATCH_SIZE < len(rows):
                await asyncio.sleep(0)

    async def _admit(
        self, requests: Sequence[DownloadRequest], user: str, request_id: str | None, gids: set[str]
    ) -> list[Download]:
        """Return the download of each request; the gids that they chose are reserved, and added to `gids`."""
        now = self._clock.wall()
        # The slots of these requests are reserved already.
        free_slots = await self._count_free_slots() + len(requests)
        downloads: list[Download] = []
        for number, request in enumerate(requests):
            await _yield_to_loop(number)
            download = admit(
                request,
                policy=self._policy,
                proxies=self._proxies.names,
                directories=self._directories,
                defaults=self._config,
                user=user,
                now=now,
                id=request.id or new_id(now, getrandbits(74)),
                request_id=request_id,
            )
            if download.state in ACTIVE:
                try:
                    await self._checks.check_name(download)
                    await self._checks.check_quota(download)
                    if free_slots <= 0:
                        raise self._queue_full_error()
                    download = await self._checks.reserve_gid(download, gids, is_required=request.requires_gid)
                    free_slots -= 1
                except DownloadError as error:
                    download = refuse(download, error, now=now)
            downloads.append(download)
        return downloads

    async def _count_free_slots(self) -> int:
        return self._config.max_queued - await self._queue.count_waiting() - self._reserved_slots

    def _queue_full_error(self) -> QueueFullError:
        return QueueFullError(self._config.max_queued)


def _positions(requests: Sequence[DownloadRequest], downloads: Sequence[Download]) -> Mapping[int, int]:
    """Return the index in the waiting list of the accepted downloads that ask for one, by their number."""
    return {
        number: request.position
        for number, (request, download) in enumerate(zip(requests, downloads, strict=True))
        if request.position is not None and request.position < MAX_POSITION and download.state not in FINISHED
    }


def _stored(download: Download, seq: int, accepted: AcceptResult) -> Download:
    """Return an accepted download as it is recorded."""
    entry = accepted.placed.get(seq)
    if entry is not None:
        download = download.with_control(priority=entry.priority, place=entry.place)
    return replace(download, seq=seq)


async def _yield_to_loop(number: int) -> None:
    """Let other tasks run once in each batch of requests."""
    if number % ADMISSION_BATCH_SIZE == ADMISSION_BATCH_SIZE - 1:
        await asyncio.sleep(0)
