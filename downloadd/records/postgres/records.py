"""Records in a PostgreSQL database: one writing connection with group commit, and reading connections."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import asyncpg

from downloadd.clock import Clock
from downloadd.delivery import Delivery
from downloadd.download import Download
from downloadd.import_operation import Driver
from downloadd.records.cached_count import CachedCount
from downloadd.records.ends import EndListener, RecordedEnd
from downloadd.records.hints import NoHints, Topic
from downloadd.records.import_protocol import ImportRecords
from downloadd.records.origins import OriginRecords
from downloadd.records.postgres.access import execute_counted
from downloadd.records.postgres.address import DEFAULT_LEASE, DatabaseAddress
from downloadd.records.postgres.admission import PostgresAdmission
from downloadd.records.postgres.deliveries import PostgresDeliveries, add_deliveries
from downloadd.records.postgres.download_changes import AcceptItem, DownloadChanges, SaveItem
from downloadd.records.postgres.download_queries import (
    DownloadQueries,
    count_by_state,
    count_ended,
    created_at,
    ended_seq_of_newest,
    last_ended_seq,
    last_removal,
)
from downloadd.records.postgres.gids import PostgresGids
from downloadd.records.postgres.hints import PostgresHints
from downloadd.records.postgres.history import active_query, history_query
from downloadd.records.postgres.import_contents import PostgresImportContents
from downloadd.records.postgres.import_files import PostgresImportFiles, settle_files, settle_retried_files
from downloadd.records.postgres.import_operations import PostgresImportOperations, manifest_owners, raise_epochs
from downloadd.records.postgres.kept_parts import PostgresKeptParts
from downloadd.records.postgres.known_files import PostgresKnownFiles
from downloadd.records.postgres.limits import PostgresLimits
from downloadd.records.postgres.list_revision import ListRevision
from downloadd.records.postgres.nodes import PostgresNodes
from downloadd.records.postgres.object_uploads import PostgresUploads
from downloadd.records.postgres.origins import PostgresOrigins
from downloadd.records.postgres.postgres_errors import DRIVER_ERRORS
from downloadd.records.postgres.readers import ReaderPool
from downloadd.records.postgres.results import PostgresResults
from downloadd.records.postgres.runs import Claims, PostgresRuns
from downloadd.records.postgres.schedules import PostgresSchedules
from downloadd.records.postgres.schema import Migration, migrate, shipped_migrations
from downloadd.records.postgres.session import WriterSession
from downloadd.records.postgres.storage_roots import PostgresStorageRoot
from downloadd.records.postgres.user_days import PostgresUserDays
from downloadd.records.postgres.user_files import PostgresUserFiles
from downloadd.records.postgres.users import PostgresUsers
from downloadd.records.postgres.waiting_list import PostgresQueue
from downloadd.records.postgres.writer import PATIENCE_SECONDS, Writer
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
from downloadd.records.writer import Rejection
from downloadd.states import RUNNING, State

T = TypeVar("T")

_LOOKUP_CONNECTIONS: Final = 3
_LOOKUP_SECONDS: Final = 30.0
"""Seconds that a lookup may take."""
_SEARCH_SECONDS: Final = 600.0
"""Seconds that a search may take."""
_WAITING_CHUNK_ROWS: Final = 5_000
_RUNNING_CHUNK_ROWS: Final = 500
_PART_OWNERS_CHUNK_ROWS: Final = 5_000
_CREATE_BIRTH: Final = "INSERT INTO birth SELECT $1 WHERE NOT EXISTS (SELECT FROM birth)"
_CREATE_COUNTER: Final = "INSERT INTO counter SELECT 0, 0 WHERE NOT EXISTS (SELECT FROM counter)"


class PostgresRecords:
    """`Records` in a PostgreSQL database of version 15 or newer.

    Opens and closes with `async with`, once. A read sees all that was durable before it began.

    Raises:
        StartupError: on entering, the database cannot be used.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        migrations: Sequence[Migration] | None = None,
        on_commit: Callable[[int, float], None] | None = None,
        make_deliveries: Callable[[Download], Sequence[Delivery]] = lambda download: (),
        is_owner: bool = True,
        patience: float = PATIENCE_SECONDS,
        lease: float = DEFAULT_LEASE,
    ) -> None:
        """Create records that are not open yet.

        Args:
            url: the URL of the database.
            clock: the clock.
            migrations: in place of those of the package.
            on_commit: called after each commit; see `Writer`.
            make_deliveries: returns the hook deliveries of a finished download, which become durable together with its
                end; may be called again.
            is_owner: False if other nodes may write at the same time.
            patience: seconds for which a change is tried again before it is refused, and for which the start waits for
                another owner to end.
            lease: seconds of the lease of the nodes.
        """
        self.is_shared = not is_owner
        self._address = DatabaseAddress(url, lease=lease)
        self._clock = clock
        self._migrations = migrations
        self._make_deliveries = make_deliveries
        self._queries = DownloadQueries()
        self._changes = DownloadChanges(
            self._queries,
            record_new_end=self._record_new_end,
            record_end=self._record_end,
            settle_removed=settle_files,
        )
        claims = Claims(self._queries)
        self._claim = claims.claim
        self._writer = Writer(
            WriterSession(self._address, clock, is_owner=is_owner), clock, on_commit, patience=patience
        )
        self.hints: PostgresHints | NoHints = NoHints() if is_owner else PostgresHints(self._address)
        self._list_revision = ListRevision(self._writer, self.hints, clock if self.is_shared else None).read
        self._lookups = ReaderPool(self._address, _LOOKUP_CONNECTIONS, timeout=_LOOKUP_SECONDS)
        # A search reads the whole history: it has a connection of its own, so that it does not delay lookups.
        self._searches = ReaderPool(self._address, 1, timeout=_SEARCH_SECONDS)
        self.imports = ImportRecords(
            operations=PostgresImportOperations(self, lambda: claims.holder.session),
            contents=PostgresImportContents(self),
            files=PostgresImportFiles(self, lambda: claims.holder.session),
        )
        self.deliveries = PostgresDeliveries(self)
        origins = PostgresOrigins(self, lambda: claims.holder.session)
        self.origins: OriginRecords = origins
        self.admission = PostgresAdmission(self, claims, origins)
        self.kept_parts = PostgresKeptParts(self)
        self.schedules = PostgresSchedules(self)
        self.users = PostgresUsers(self)
        self.limits = PostgresLimits(self)
        self.storage_root = PostgresStorageRoot(self)
        self.known_files = PostgresKnownFiles(self)
        self.uploads = PostgresUploads(self)
        self.user_days = PostgresUserDays(self)
        self.user_files = PostgresUserFiles(self)
        self.nodes = PostgresNodes(self, claims.register)
        self.runs = PostgresRuns(self, claims)
        self.queue = PostgresQueue(self, self._queries, self._list_revision)
        self.results = PostgresResults(self, self._queries, self._list_revision)
        self.gids = PostgresGids(self, self._queries)
        self._state_counts = CachedCount(
            clock, lambda: self.read(count_by_state), lambda counts: sum(counts.values()), self._list_revision
        )
        self._ended_count = CachedCount(clock, lambda: self.read(count_ended), int, self._list_revision)

    async def write(self, run: Callable[[asyncpg.Connection], Awaitable[T | Rejection]], *, rows: int = 1) -> T:
        """Run an operation in a transaction of its own; see `PostgresAccess.write`."""
        return await self._writer.run(run, rows=rows)

    async def execute(self, sql: str, *parameters: Any, rows: int = 1) -> int:
        """Execute a statement that changes no download; see `PostgresAccess.execute`."""

        async def run(connection: asyncpg.Connection, items: Sequence[None]) -> Sequence[int]:
            return [await execute_counted(connection, sql, *parameters)]

        changed: int = await self._writer.submit(run, None, rows=rows, changes_lists=False)
        return changed

    async def read(self, run: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run a lookup; see `PostgresAccess.read`."""
        return await self._lookups.run(run)

    async def __aenter__(self) -> Self:
        connection = await self._address.connect_first()
        try:
            await self._prepare(connection)
            await self._lookups.open()
            await self._searches.open()
            await self.hints.__aenter__()
        except DRIVER_ERRORS as error:
            connection.terminate()
            await self._close()
            raise self._address.startup_error(error) from None
        except BaseException:
            connection.terminate()
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    def set_end_listener(self, listener: EndListener) -> None:
        """Call `listener` with the ends of each operation; see `Records.set_end_listener`."""

        def publish(ends: Sequence[RecordedEnd]) -> None:
            listener(ends)
            self.hints.send(Topic.ENDS)

        self._writer.on_ended = publish

    async def accept(
        self,
        downloads: Sequence[Download],
        response: StoredResponse | None = None,
        *,
        positions: Mapping[int, int] = NO_POSITIONS,
        driver: Driver | None = None,
    ) -> AcceptResult:
        """Insert new downloads, all or none; see `Records.accept`."""
        result: AcceptResult
        if response is None and not positions and driver is None:
            result = await self._writer.submit(self._changes.accept_all, downloads, rows=len(downloads))
        else:
            item = AcceptItem(
                downloads=downloads, response=response, positions=positions, driver=driver, now=self._clock.wall()
            )
            # Positions change the places of others, and a driver locks its operation.
            is_alone = bool(positions) or driver is not None
            result = await self._writer.submit(self._changes.accept, item, rows=len(downloads), is_alone=is_alone)
        return result

    async def claim(self, seqs: Sequence[int]) -> list[Download]:
        """Assign waiting downloads to runs; see `Records.claim`."""
        if not seqs:
            return []
        claimed: list[Download] = await self._writer.submit(self._claim, seqs, rows=len(seqs), seqs=seqs)
        return claimed

    async def save(self, download: Download) -> Download | None:
        """Write the fields of a run, if it still holds the download; see `Records.save`."""
        (saved,) = await self._save([download])
        return saved

    async def save_all(self, downloads: Sequence[Download]) -> list[Download | None]:
        """Write the fields of several runs in one transaction; see `Records.save_all`."""
        return await self._save(downloads)

    async def _save(self, downloads: Sequence[Download]) -> list[Download | None]:
        ids = frozenset(download.id for download in downloads)
        notes = self.user_days.notes.pending()
        saved: list[Download | None] = await self._writer.submit(
            self._changes.save,
            SaveItem(downloads=downloads, process=self.user_days.notes.process, notes=notes),
            rows=len(downloads),
            ids=ids,
            changes_lists=any(download.state not in RUNNING for download in downloads),
        )
        self.user_days.notes.confirm(notes)
        return saved

    async def amend(self, id: str, change: Callable[[Download], Download]) -> tuple[Download, Download] | None:
        """Apply a pure `change` to a row; see `Records.amend`. `change` may be called twice."""
        amended: tuple[Download, Download] | None = await self._writer.submit(
            self._changes.amend, (id, change), ids=frozenset({id})
        )
        return amended

    async def get(self, id: str) -> Download | None:
        """Return a download, active or finished."""
        return await self.read(lambda connection: self._queries.by_id(connection, id))

    async def active(self, criteria: ActiveFilter, known: Mapping[int, Download] = NO_DOWNLOADS) -> list[Download]:
        """Return a listing of active downloads; see `Records.active`."""
        query = active_query(criteria)
        return await self.read(lambda connection: self._queries.page(connection, query, known))

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
        if not rows:
            return []

        async def remove(connection: asyncpg.Connection) -> Any:
            await self.user_files.remember(connection, rows)
            return await self._changes.remove_ended(connection, rows)

        removed: list[EndedRow] = await self.write(remove, rows=len(rows))
        return removed

    async def last_removal(self) -> int:
        """Return the newest `ended_seq` before the last removal; see `Records.last_removal`."""
        return await self.read(last_removal)

    async def counts(self) -> dict[State, int]:
        """Return the number of downloads in each active state."""
        return await self._state_counts.get()

    async def ended_count(self) -> int:
        """Return the number of downloads in the history; see `Records.ended_count`."""
        return await self._ended_count.get()

    async def last_ended_seq(self) -> int:
        """Return the newest `ended_seq`; 0 if the history is empty."""
        return await self.read(last_ended_seq)

    async def created_at(self) -> float | None:
        """Return the Unix time at which these records were created; see `Records.created_at`."""
        return await self.read(created_at)

    async def running_rows(self) -> AsyncIterator[Download]:
        """Return the rows in a running state that no living node holds, oldest first."""
        after = 0
        while True:

            async def read(connection: asyncpg.Connection, after: int = after) -> list[Download]:
                return await self._queries.abandoned(connection, after_seq=after, limit=_RUNNING_CHUNK_ROWS)

            chunk = await self.read(read)
            for download in chunk:
                yield download
            if len(chunk) < _RUNNING_CHUNK_ROWS:
                return
            after = chunk[-1].seq

    async def waiting(self) -> AsyncIterator[Sequence[WaitingDownload]]:
        """Return all waiting downloads in chunks, oldest first, whatever their desired state."""
        after = 0
        while True:

            async def read(connection: asyncpg.Connection, after: int = after) -> list[WaitingDownload]:
                return await self._queries.waiting(connection, after_seq=after, limit=_WAITING_CHUNK_ROWS)

            chunk = await self.read(read)
            if chunk:
                yield chunk
            if len(chunk) < _WAITING_CHUNK_ROWS:
                return
            after = chunk[-1].seq

    async def part_owners(self, ids: Sequence[str]) -> dict[str, PartOwner]:
        """Return the part files that the active downloads among `ids` may own; see `Records.part_owners`."""
        part_owners: dict[str, PartOwner] = {}
        for start in range(0, len(ids), _PART_OWNERS_CHUNK_ROWS):
            chunk = ids[start : start + _PART_OWNERS_CHUNK_ROWS]

            async def read(connection: asyncpg.Connection, chunk: Sequence[str] = chunk) -> dict[str, PartOwner]:
                owners = await self._queries.part_owners(connection, chunk)
                return owners | await manifest_owners(connection, chunk)

            part_owners.update(await self.read(read))
        return part_owners

    async def _read_history(self, criteria: HistoryFilter, read: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        # Both conditions can make a query read the whole history.
        is_search = criteria.contains or criteria.ended_before is not None
        return await (self._searches if is_search else self._lookups).run(read)

    async def _prepare(self, connection: asyncpg.Connection) -> None:
        """Bring the schema up to date, and let the writer begin with the connection."""
        migrations = await asyncio.to_thread(shipped_migrations) if self._migrations is None else self._migrations
        await migrate(connection, migrations, self._address.label)
        await self._writer.open(connection)
        await connection.execute(_CREATE_BIRTH, self._clock.wall())
        await connection.execute(_CREATE_COUNTER)
        if not self.is_shared:
            # In shared records, an operation is claimed when its node is gone.
            await raise_epochs(connection)

    async def _record_new_end(self, connection: asyncpg.Connection, download: Download) -> None:
        """Record what the end of a download that was refused at once means for others."""
        await add_deliveries(connection, self._make_deliveries(download))

    async def _record_end(self, connection: asyncpg.Connection, download: Download) -> None:
        """Record what the end of a download that was accepted earlier means for others."""
        await add_deliveries(connection, self._make_deliveries(download))
        if download.request.operation is not None:
            await settle_retried_files(connection, [download.seq])

    async def _close(self) -> None:
        await self.hints.__aexit__(None, None, None)
        await self._searches.close()
        await self._lookups.close()
        await self._writer.close()
