"""Records in a SQLite database: one writing thread with group commit, and reading threads."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from downloadd.clock import Clock
from downloadd.delivery import Delivery
from downloadd.download import Download
from downloadd.import_operation import Driver
from downloadd.records.boot import boot_id, record_boot
from downloadd.records.cached_count import CachedCount
from downloadd.records.database import StateDirectory
from downloadd.records.deliveries import DeliveryRecords, SqliteDeliveries
from downloadd.records.download_changes import DownloadChanges
from downloadd.records.download_queries import (
    DownloadQueries,
    count_by_state,
    count_ended,
    created_at,
    ended_seq_of_newest,
    last_ended_seq,
    last_removal,
)
from downloadd.records.ends import EndListener, RecordedEnd
from downloadd.records.gids import GidRecords, SqliteGids
from downloadd.records.hints import Hints, NoHints
from downloadd.records.history import active_query, history_query
from downloadd.records.import_contents import SqliteImportContents
from downloadd.records.import_fence import fenced
from downloadd.records.import_files import SqliteImportFiles
from downloadd.records.import_operations import SqliteImportOperations, manifest_owners, raise_epochs
from downloadd.records.import_protocol import ImportRecords
from downloadd.records.kept_parts import KeptPartRecords, SqliteKeptParts
from downloadd.records.known_files import KnownFileRecords, SqliteKnownFiles
from downloadd.records.known_rows import KnownRows
from downloadd.records.nodes import NodeRecords, SoleNode
from downloadd.records.object_uploads import SqliteUploads
from downloadd.records.origins import OriginRecords, SqliteOrigins
from downloadd.records.protocol import (
    NO_DOWNLOADS,
    NO_POSITIONS,
    AcceptResult,
    ActiveFilter,
    EndedRow,
    HistoryFilter,
    PartOwner,
    StoredResponse,
    WaitingDownload,
)
from downloadd.records.readers import ReaderPool
from downloadd.records.results import ResultRecords, SqliteResults
from downloadd.records.revisions import Revisions
from downloadd.records.runs import RunRecords, SoleRuns
from downloadd.records.schedules import ScheduleRecords, SqliteSchedules
from downloadd.records.schema import Migration, shipped_migrations
from downloadd.records.storage_roots import SqliteStorageRoot, StorageRootRecords
from downloadd.records.user_days import SqliteUserDays
from downloadd.records.user_files import SqliteUserFiles
from downloadd.records.waiting_list import QueueRecords, SqliteQueue
from downloadd.records.writer import LOCK_TIMEOUT_SECONDS, Ending, Rejection, WriteOperation, Writer
from downloadd.remote_upload import UploadRecords
from downloadd.states import RUNNING, State

T = TypeVar("T")

_LOOKUP_THREADS: Final = 2
_WAITING_CHUNK_ROWS: Final = 5_000
_RUNNING_CHUNK_ROWS: Final = 500
_PART_OWNERS_CHUNK_ROWS: Final = 5_000


class SqliteRecords:
    """`Records` of one node: a SQLite database in the state directory, which one daemon at a time uses.

    Opens and closes with `async with`, once. A read sees all that was durable before it began.

    Raises:
        RecordsLockedError: on entering, another daemon uses the state directory.
        RecordsUnreadableError: on entering, the directory or the database cannot be used.
        RecordsTooNewError: on entering, a newer daemon wrote the database.
    """

    is_shared = False

    def __init__(
        self,
        state_dir: str | Path,
        clock: Clock,
        *,
        migrations: Sequence[Migration] | None = None,
        on_commit: Callable[[int, float], None] | None = None,
        make_deliveries: Callable[[Download], Sequence[Delivery]] = lambda download: (),
        lock_timeout: float = LOCK_TIMEOUT_SECONDS,
    ) -> None:
        """Create records that are not open yet.

        Args:
            state_dir: directory of the database.
            clock: the clock.
            migrations: in place of those of the package.
            on_commit: called on the event loop after each commit; see `Writer`.
            make_deliveries: returns the hook deliveries of a finished download, which become durable together with its
                end; called in another thread, perhaps twice.
            lock_timeout: seconds that a change waits for the lock of another program before it is refused.
        """
        self._directory = StateDirectory(Path(state_dir))
        self._clock = clock
        self._migrations = migrations
        self._queries = DownloadQueries()
        self._changes = DownloadChanges(self._queries, make_deliveries)
        known_rows = KnownRows(self._queries)
        self.revisions = Revisions(known_rows.forget)
        self._writer = Writer(
            self._open_for_writing,
            clock,
            on_commit,
            check=self._directory.open_files.require_in_place,
            lock_timeout=lock_timeout,
            take_changes=self.revisions.take_changes,
        )
        self._lookups = ReaderPool("records-lookup", _LOOKUP_THREADS)
        # A search reads the whole history: it has a thread of its own, so that it does not delay lookups.
        self._searches = ReaderPool("records-search", 1)
        self.imports = ImportRecords(
            operations=SqliteImportOperations(self), contents=SqliteImportContents(self), files=SqliteImportFiles(self)
        )
        self.deliveries: DeliveryRecords = SqliteDeliveries(self, clock)
        self.origins: OriginRecords = SqliteOrigins(self)
        self.kept_parts: KeptPartRecords = SqliteKeptParts(self)
        self.known_files: KnownFileRecords = SqliteKnownFiles(self)
        self.storage_root: StorageRootRecords = SqliteStorageRoot(self)
        self.uploads: UploadRecords = SqliteUploads(self)
        self.user_days = SqliteUserDays(self)
        self.user_files = SqliteUserFiles(self)
        self.schedules: ScheduleRecords = SqliteSchedules(self)
        self.nodes: NodeRecords = SoleNode(clock)
        self.runs: RunRecords = SoleRuns()
        self.admission = None
        self.users = None
        self.limits = None
        self.hints: Hints = NoHints()
        self.queue: QueueRecords = SqliteQueue(self, self._queries, self.revisions, known_rows)
        self.results: ResultRecords = SqliteResults(self, self._queries, self.revisions, known_rows, clock)
        self.gids: GidRecords = SqliteGids(self, self._queries)
        self._state_counts = CachedCount(
            clock,
            lambda: self.read(count_by_state),
            lambda counts: sum(counts.values()),
            lambda: self.revisions.states,
        )
        self._ended_count = CachedCount(clock, lambda: self.read(count_ended), int, lambda: self.revisions.results)

    async def write(self, run: Callable[[sqlite3.Cursor], T | Rejection], *, rows: int = 1) -> T:
        """Run an operation in a transaction; see `DatabaseAccess.write`."""
        return await self._writer.run(run, rows=rows)

    async def read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Run a lookup; see `DatabaseAccess.read`."""
        return await self._lookups.run(run)

    def set_end_listener(self, listener: EndListener) -> None:
        """Hand the ends of each operation over; see `Records.set_end_listener`."""
        self._writer.on_ended = listener

    async def __aenter__(self) -> Self:
        try:
            await self._writer.open()
            await self._lookups.open(self._directory.open_for_reading)
            await self._searches.open(self._directory.open_for_reading)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    async def accept(
        self,
        downloads: Sequence[Download],
        response: StoredResponse | None = None,
        *,
        positions: Mapping[int, int] = NO_POSITIONS,
        driver: Driver | None = None,
    ) -> AcceptResult:
        """Insert new downloads, all or none; see `Records.accept`."""

        def accept(cursor: sqlite3.Cursor, ends: list[RecordedEnd]) -> AcceptResult | Rejection:
            return self._changes.accept(cursor, downloads, response, positions, now=self._clock.wall(), ends=ends)

        write = _with_ends(accept)
        return await self._writer.run(write if driver is None else fenced(driver, write), rows=len(downloads))

    async def claim(self, seqs: Sequence[int]) -> list[Download]:
        """Assign waiting downloads to runs; see `Records.claim`."""
        if not seqs:
            return []
        return await self._writer.run(lambda cursor: self._changes.claim(cursor, seqs), rows=len(seqs))

    async def save(self, download: Download) -> Download | None:
        """Write the fields of a run, if it still holds the download; see `Records.save`."""
        [saved] = await self._save([download])
        return saved

    async def save_all(self, downloads: Sequence[Download]) -> list[Download | None]:
        """Write the fields of several runs in one transaction; see `Records.save_all`."""
        return await self._save(downloads)

    async def _save(self, downloads: Sequence[Download]) -> list[Download | None]:
        notes = self.user_days.notes.pending()

        def save(cursor: sqlite3.Cursor, ends: list[RecordedEnd]) -> list[Download | None]:
            self.user_days.write(cursor, notes)
            return [self._changes.save(cursor, download, ends) for download in downloads]

        saved = await self._writer.run(_with_ends(save), rows=len(downloads))
        self.user_days.notes.confirm(notes)
        return saved

    async def amend(self, id: str, change: Callable[[Download], Download]) -> tuple[Download, Download] | None:
        """Apply a pure `change` to a row; see `Records.amend`. `change` may be called twice."""

        def amend(cursor: sqlite3.Cursor, ends: list[RecordedEnd]) -> tuple[Download, Download] | Rejection | None:
            return self._changes.amend(cursor, id, change, ends)

        return await self._writer.run(_with_ends(amend))

    async def get(self, id: str) -> Download | None:
        """Return a download, active or finished."""
        return await self._lookups.run(lambda connection: self._queries.by_id(connection, id))

    async def active(self, criteria: ActiveFilter, known: Mapping[int, Download] = NO_DOWNLOADS) -> list[Download]:
        """Return a listing of active downloads; see `Records.active`."""
        query = active_query(criteria)
        return await self._lookups.run(lambda connection: self._queries.page(connection, query, known))

    async def history(self, criteria: HistoryFilter) -> list[Download]:
        """Return a page of finished downloads; see `Records.history`.

        Cancelling the caller ends a search.
        """
        query = history_query(criteria)
        return await self._read_history(
            criteria, lambda connection: self._queries.page(connection, query, NO_DOWNLOADS)
        )

    async def ended_rows(self, criteria: HistoryFilter) -> list[EndedRow]:
        """Return what a removal needs of a page of finished downloads; see `Records.ended_rows`."""
        query = history_query(criteria)
        return await self._read_history(criteria, lambda connection: self._queries.ended_rows(connection, query))

    async def ended_seq_of_newest(self, number: int) -> int | None:
        """Return where the newest `number` finished downloads end; see `Records.ended_seq_of_newest`."""
        return await self._searches.run(lambda connection: ended_seq_of_newest(connection, number))

    async def remove_ended(self, rows: Sequence[EndedRow]) -> list[EndedRow]:
        """Remove finished downloads; see `Records.remove_ended`."""

        def remove(cursor: sqlite3.Cursor) -> list[EndedRow]:
            self.user_files.remember(cursor, rows)
            return self._changes.remove_ended(cursor, rows)

        return await self._writer.run(remove, rows=len(rows))

    async def last_removal(self) -> int:
        """Return the newest `ended_seq` before the last removal; see `Records.last_removal`."""
        return await self._lookups.run(last_removal)

    async def counts(self) -> dict[State, int]:
        """Return the number of downloads in each active state."""
        return await self._state_counts.get()

    async def ended_count(self) -> int:
        """Return the number of downloads in the history; see `Records.ended_count`."""
        return await self._ended_count.get()

    async def last_ended_seq(self) -> int:
        """Return the newest `ended_seq`; 0 if the history is empty."""
        return await self._lookups.run(last_ended_seq)

    async def created_at(self) -> float | None:
        """Return the Unix time at which these records were created; see `Records.created_at`."""
        return await self._lookups.run(created_at)

    async def running_rows(self) -> AsyncIterator[Download]:
        """Return the rows in a running state, oldest first."""
        after = 0
        while True:
            chunk = await self.active(ActiveFilter(states=RUNNING, after_seq=after, limit=_RUNNING_CHUNK_ROWS))
            for download in chunk:
                yield download
            if len(chunk) < _RUNNING_CHUNK_ROWS:
                return
            after = chunk[-1].seq

    async def waiting(self) -> AsyncIterator[Sequence[WaitingDownload]]:
        """Return all waiting downloads in chunks, oldest first, whatever their desired state."""
        after = 0
        while True:

            def read(connection: sqlite3.Connection, after: int = after) -> list[WaitingDownload]:
                return self._queries.waiting(connection, after_seq=after, limit=_WAITING_CHUNK_ROWS)

            chunk = await self._lookups.run(read)
            if chunk:
                yield chunk
            if len(chunk) < _WAITING_CHUNK_ROWS:
                return
            after = chunk[-1].seq

    async def part_owners(self, ids: Sequence[str]) -> dict[str, PartOwner]:
        """Return the part files that the active downloads among `ids` may own; see `Records.part_owners`."""
        # The ids come from names on the disk; the daemon's own ids are ASCII.
        possible = [id for id in ids if id.isascii()]
        part_owners: dict[str, PartOwner] = {}
        for start in range(0, len(possible), _PART_OWNERS_CHUNK_ROWS):

            def read(connection: sqlite3.Connection, start: int = start) -> dict[str, PartOwner]:
                chunk = possible[start : start + _PART_OWNERS_CHUNK_ROWS]
                return self._queries.part_owners(connection, chunk) | manifest_owners(connection, chunk)

            part_owners.update(await self._lookups.run(read))
        return part_owners

    async def _read_history(self, criteria: HistoryFilter, read: Callable[[sqlite3.Connection], T]) -> T:
        # Both conditions can make a query read the whole history.
        is_search = criteria.contains or criteria.ended_before is not None
        return await (self._searches.run_cancellable(read) if is_search else self._lookups.run(read))

    def _open_for_writing(self) -> sqlite3.Connection:
        self._directory.lock()
        migrations = shipped_migrations() if self._migrations is None else self._migrations
        connection = self._directory.open_for_writing(migrations, now=self._clock.wall())
        try:
            record_boot(connection, boot_id())
            raise_epochs(connection)
            self._changes.open(connection)
            self.revisions.open(connection)
            self._directory.open_files.remember()
        except (OSError, sqlite3.Error) as error:
            connection.close()
            raise self._directory.unusable_error(error) from error
        return connection

    async def _close(self) -> None:
        # The writer closes last: the last connection to close writes the log back, which a reader could not.
        await self._searches.close()
        await self._lookups.close()
        await self._writer.close()
        self._directory.unlock()


def _with_ends(change: Callable[[sqlite3.Cursor, list[RecordedEnd]], T | Rejection]) -> WriteOperation[T]:
    """Return the operation of a change that may end downloads; it returns their ends beside its result."""

    def run(cursor: sqlite3.Cursor) -> T | Rejection | Ending[T]:
        ends: list[RecordedEnd] = []
        result = change(cursor, ends)
        return Ending(result, ends) if ends and not isinstance(result, Rejection) else result

    return run
