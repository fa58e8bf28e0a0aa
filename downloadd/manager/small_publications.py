"""Publication of small files in batches: one write of the records and one sync of a directory for many.

The order is that of a single file. The unnamed files are synced; their identities and names are recorded; they are
linked and the directory is synced; their ends are recorded. After a crash the recorded identity says if the file of
that name is the one that was published.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Final, TypeVar

import structlog

from downloadd.clock import Clock
from downloadd.download import Download, log_fields
from downloadd.errors import DownloadError
from downloadd.manager import lifecycle
from downloadd.manager.amendment import RequestChangedError, is_publication_changed
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.row_writer import FencedError
from downloadd.manager.tasks import TaskSet
from downloadd.records.availability import once_available
from downloadd.records.protocol import Records
from downloadd.storage.destination import Destination, LinkResult, SmallFile

log = structlog.get_logger()

T = TypeVar("T")

MAX_BATCH_FILES: Final = 64
"""Files of one batch."""
MAX_BATCH_BYTES: Final = 8 << 20
"""Approximate upper limit of the bytes of one batch: the last file may exceed it."""
STUCK_SECONDS: Final = 2.0
"""Seconds after which a disk that does not answer delays no other file: files are published alone from then on."""


class UnsuitableError(Exception):
    """The file must be published as an ordinary part file. Nothing was published."""


class _Publication:
    """A file on its way, with the future of its run."""

    __slots__ = ("file", "published", "row")

    def __init__(self, file: SmallFile, row: Download) -> None:
        self.file = file
        self.row = row
        self.published: asyncio.Future[Download | None] = asyncio.get_running_loop().create_future()

    def set_result(self, row: Download | None) -> None:
        # The run does not wait any more after its task was cancelled, when the daemon stops.
        if not self.published.done():
            self.published.set_result(row)

    def set_error(self, error: Exception) -> None:
        if not self.published.done():
            self.published.set_exception(error)


class SmallPublications:
    """Collects small files while the batch before them is written. Close it after the runs that use it."""

    def __init__(self, records: Records, destination: Destination, clock: Clock) -> None:
        self._records = records
        self._destination = destination
        self._clock = clock
        self._queue: deque[_Publication] = deque()
        self._is_writing = False
        self._tasks = TaskSet()
        self._waiting_for_records = 0
        # Batches whose disk does not answer.
        self._stuck = 0

    @property
    def waits_for_records(self) -> bool:
        """Return True while a batch waits for records that were unavailable."""
        return self._waiting_for_records > 0

    async def publish(self, file: SmallFile, row: Download) -> Download | None:
        """Publish a file under the name of its row; return the recorded end; None if the name is taken.

        Raises:
            UnsuitableError: the file must be published as an ordinary part file.
            FencedError: another run holds the download, or it has ended.
            RequestChangedError: a user has changed if or where the file is published.
            DownloadError: the row cannot be recorded.
        """
        if self._stuck:
            raise UnsuitableError
        publication = _Publication(file, row)
        self._queue.append(publication)
        if not self._is_writing:
            self._is_writing = True
            self._tasks.spawn(self._write_batches())
        return await publication.published

    async def close(self) -> None:
        """Cancel what is under way; the next start reconciles it."""
        await self._tasks.cancel()

    async def _write_batches(self) -> None:
        try:
            while self._queue:
                batch = self._dequeue_batch()
                if await self._settle(batch, self._write(batch)):
                    self._tasks.spawn(self._publish(batch))
        except asyncio.CancelledError:
            for publication in self._queue:
                publication.published.cancel()
            raise
        finally:
            self._is_writing = False

    async def _publish(self, batch: Sequence[_Publication]) -> None:
        await self._settle(batch, self._record_and_link(batch))

    async def _settle(self, batch: Sequence[_Publication], work: Coroutine[object, object, None]) -> bool:
        """Do work for a batch; end all of it and return False if that fails."""
        try:
            await work
        except asyncio.CancelledError:
            for publication in batch:
                publication.published.cancel()
            raise
        except Exception as error:
            log.exception("small_files_failed", files=len(batch))
            for publication in batch:
                publication.set_error(error)
            return False
        return True

    async def _write(self, batch: Sequence[_Publication]) -> None:
        await self._watch(self._destination.small_files.write([publication.file for publication in batch]))

    async def _record_and_link(self, batch: Sequence[_Publication]) -> None:
        await self._link(await self._record_names(_written(batch)))

    async def _watch(self, work: Coroutine[object, object, T]) -> T:
        """Return the result of work on the disk. While it takes too long, the files in the queue are refused."""
        task = asyncio.get_running_loop().create_task(work)
        try:
            await asyncio.wait((task,), timeout=STUCK_SECONDS)
            if not task.done():
                self._stuck += 1
                while self._queue:
                    self._queue.popleft().set_error(UnsuitableError())
                try:
                    await asyncio.wait((task,))
                finally:
                    self._stuck -= 1
        except asyncio.CancelledError:
            task.cancel()
            raise
        return task.result()

    def _dequeue_batch(self) -> list[_Publication]:
        batch: list[_Publication] = []
        size = 0
        while self._queue and len(batch) < MAX_BATCH_FILES and size < MAX_BATCH_BYTES:
            batch.append(self._queue.popleft())
            size += batch[-1].file.size
        return batch

    async def _record_names(self, batch: Sequence[_Publication]) -> Sequence[_Publication]:
        """Record names and identities before files have their names; return the publications that may go on."""
        for publication in batch:
            publication.row = publication.row.with_progress(publishing=True, part_name=None).with_result(
                file_identity=publication.file.identity
            )
        recorded: list[_Publication] = []
        refused: list[SmallFile] = []
        for publication, saved in zip(batch, await self._save_each(batch), strict=True):
            if isinstance(saved, Download) and is_publication_changed(publication.row.request, saved.request):
                saved = RequestChangedError(saved.request)
            if isinstance(saved, Download):
                publication.row = saved
                recorded.append(publication)
            else:
                publication.set_error(saved)
                refused.append(publication.file)
        if refused:
            await self._destination.small_files.discard(refused)
        return recorded

    async def _link(self, batch: Sequence[_Publication]) -> None:
        if not batch:
            return
        results = await self._watch(self._destination.small_files.link([publication.file for publication in batch]))
        now = self._clock.wall()
        published: list[_Publication] = []
        for publication, result in zip(batch, results, strict=True):
            match result:
                case LinkResult.PUBLISHED:
                    completed = lifecycle.mark_completed(publication.row, now=now)
                    publication.row = completed.with_result(file_identity=publication.file.identity)
                    published.append(publication)
                case LinkResult.TAKEN:
                    publication.set_result(None)
                case LinkResult.UNSUITABLE:
                    publication.set_error(UnsuitableError())
        ended = await self._save_each(published, is_retried=True)
        for publication, saved in zip(published, ended, strict=True):
            if isinstance(saved, Download):
                publication.set_result(saved)
            else:
                publication.set_error(saved)

    async def _save_each(
        self, batch: Sequence[_Publication], *, is_retried: bool = False
    ) -> Sequence[Download | Exception]:
        """Record the rows, together if possible; return each as it is then, or why it was not recorded.

        `is_retried` says to try again until it succeeds.
        """
        rows = [publication.row for publication in batch]
        if not rows:
            return []
        try:
            saved: Sequence[Download | None] = await self._available(lambda: self._records.save_all(rows))
        except DownloadError:
            # One of them may be the cause.
            return [await self._save_one(row, is_retried=is_retried) for row in rows]
        return [FencedError() if row is None else row for row in saved]

    async def _save_one(self, row: Download, *, is_retried: bool) -> Download | Exception:
        async def save() -> Download | None:
            return await self._available(lambda: self._records.save(row))

        try:
            saved = await (retry_forever(save, "outcome_write_failed", **log_fields(row)) if is_retried else save())
        except DownloadError as error:
            return error
        return FencedError() if saved is None else saved

    async def _available(self, write: Callable[[], Awaitable[T]]) -> T:
        """Return the result of a write, once the records are available."""
        has_waited = False

        def wait() -> None:
            nonlocal has_waited
            if not has_waited:
                has_waited = True
                self._waiting_for_records += 1

        try:
            return await once_available(write, refused=wait)
        finally:
            self._waiting_for_records -= has_waited


def _written(batch: Sequence[_Publication]) -> Sequence[_Publication]:
    """Return the publications whose files are written; the others end."""
    written = []
    for publication in batch:
        if publication.file.identity is None:
            publication.set_error(UnsuitableError())
        else:
            written.append(publication)
    return written
