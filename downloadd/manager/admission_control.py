"""Admission of download requests to the queue, within its limit."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import getrandbits
from typing import Final

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig
from downloadd.download import Conflict, Download, new_id
from downloadd.download_request import DownloadRequest
from downloadd.errors import (
    DownloadError,
    FileExistsAlreadyError,
    QueueFullError,
    ShuttingDownError,
    StorageAwayError,
)
from downloadd.manager.admission import admit, refuse
from downloadd.manager.dispatcher import Dispatcher
from downloadd.manager.notifier import Notifier
from downloadd.manager.protocol import MakeStoredResponse, StartResult
from downloadd.manager.run_table import RunTable
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.origin_proxies import OriginProxies
from downloadd.policy.policy import Policy
from downloadd.policy.url import AllowedUrl
from downloadd.records.protocol import Records, WaitingDownload
from downloadd.states import ACTIVE, FINISHED, WAITING
from downloadd.storage.destination import Destination
from downloadd.storage.names import MIN_NAME_BYTES, check_length_of_name, parse_filename

ADMISSION_BATCH_SIZE: Final = 250
"""Download requests that are processed before the event loop continues with other work."""


class AdmissionControl:
    """Checks download requests, records them and adds the accepted ones to the queue."""

    def __init__(
        self,
        *,
        records: Records,
        destination: Destination,
        dispatcher: Dispatcher,
        notifier: Notifier,
        runs: RunTable,
        clock: Clock,
        policy: Policy,
        directories: DirectoryRules,
        config: DownloadsConfig,
        proxies: OriginProxies | None = None,
    ) -> None:
        self._records = records
        self._destination = destination
        self._dispatcher = dispatcher
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

    def check_url(self, url: str) -> AllowedUrl:
        """Return the parsed URL if the policy allows it.

        Raises:
            InvalidUrlError: it is not a URL.
            DomainBlockedError: its domain is not allowed.
        """
        return self._policy.check_url(url)

    @contextmanager
    def reserving_slot(self) -> Iterator[QueueFullError | None]:
        """Reserve a slot of the queue inside of the block; yield the error to raise when no slot is free.

        The reservation keeps concurrent requests from using the same free slot.
        """
        full = None if self._free_slots > 0 else self._queue_full_error()
        self._reserved_slots += 1
        try:
            yield full
        finally:
            self._reserved_slots -= 1

    async def start(
        self,
        requests: Sequence[DownloadRequest],
        *,
        user: str,
        request_id: str | None = None,
        make_stored_response: MakeStoredResponse | None = None,
    ) -> StartResult:
        """Check the requests and record them durably, in one transaction; enqueue the accepted ones.

        Args:
            requests: the download requests.
            user: the id of the user who asks.
            request_id: the id of the request in the log.
            make_stored_response: called before the downloads are recorded, if the request has an `Idempotency-Key`.

        Raises:
            ShuttingDownError: the daemon stops and accepts nothing.
            IdempotencyKeyReusedError: the key belongs to another request.
        """
        if self._closed:
            raise ShuttingDownError
        self._reserved_slots += len(requests)
        try:
            downloads = await self._admit(requests, user, request_id)
            accepted = await self._records.accept(
                downloads, make_stored_response(downloads) if make_stored_response is not None else None
            )
        finally:
            self._reserved_slots -= len(requests)
        if accepted.replayed is not None:
            return StartResult(replayed=accepted.replayed)
        await self._publish(downloads, accepted.seqs)
        return StartResult(downloads=downloads)

    async def _publish(self, downloads: Sequence[Download], seqs: Sequence[int]) -> None:
        """Enqueue accepted downloads and publish all of them."""
        waiting: list[WaitingDownload] = []
        paused = 0
        with self._notifier.deferring_publication():
            for number, (download, seq) in enumerate(zip(downloads, seqs, strict=True)):
                await _yield_to_loop(number)
                row = replace(download, seq=seq)
                if row.state in FINISHED:
                    self._notifier.publish_finished(row)
                    continue
                if row.state in WAITING:
                    waiting.append(WaitingDownload(seq=seq, origin=row.progress.origin, priority=row.control.priority))
                else:
                    paused += 1
                if self._notifier.is_watched:
                    self._notifier.publish_changed(self._runs.snapshot(row))
        self._notifier.count_accepted(len(waiting) + paused)
        self._dispatcher.enqueue(waiting)

    async def _admit(self, requests: Sequence[DownloadRequest], user: str, request_id: str | None) -> list[Download]:
        now = self._clock.wall()
        # The slots of these requests are reserved already.
        free_slots = self._free_slots + len(requests)
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
                    await self._check_name(download)
                    if free_slots <= 0:
                        raise self._queue_full_error()
                    free_slots -= 1
                except DownloadError as error:
                    download = refuse(download, error, now=now)
            downloads.append(download)
        return downloads

    @property
    def _free_slots(self) -> int:
        return self._config.max_queued - self._dispatcher.waiting - self._reserved_slots

    def _queue_full_error(self) -> QueueFullError:
        return QueueFullError(self._config.max_queued)

    async def _check_name(self, download: Download) -> None:
        """Check that the disk takes the requested name, and that it is free if it must be."""
        if download.request.requested_name is None:
            return
        name, directory = parse_filename(download.request.requested_name), download.request.directory
        try:
            if len(name.encode()) > MIN_NAME_BYTES:
                check_length_of_name(name, await self._destination.max_name_bytes(directory=directory))
            if download.request.conflict is not Conflict.ERROR:
                return
            exists = await self._destination.exists(directory=directory, filename=name)
        except StorageAwayError:
            # The name is checked again before anything is fetched.
            return
        if exists:
            raise FileExistsAlreadyError(download.file_path)


async def _yield_to_loop(number: int) -> None:
    """Let other tasks run once in each batch of requests."""
    if number % ADMISSION_BATCH_SIZE == ADMISSION_BATCH_SIZE - 1:
        await asyncio.sleep(0)
