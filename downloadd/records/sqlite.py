"""Records on the standard `sqlite3`: one writer thread with group commit, readers beside it."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import NoneType, TracebackType
from typing import Final, Self, TypeVar

import msgspec

from downloadd.clock import Clock
from downloadd.delivery import Delivery
from downloadd.download import Desired, Download
from downloadd.errors import IdempotencyKeyReusedError, ShuttingDownError
from downloadd.records.columns import (
    COLUMNS,
    INITIAL_COLUMNS,
    RUN_COLUMNS,
    STATES,
    WRITTEN_COLUMNS,
    assignments,
    names,
    placeholders,
)
from downloadd.records.corrupt_rows import RowReader, read_one
from downloadd.records.database import Migration, StateDirectory, boot_id, shipped_migrations, storage_error
from downloadd.records.deliveries import DeliveryRecords, SqliteDeliveries, add_deliveries
from downloadd.records.history import active_query, history_query
from downloadd.records.imports import ImportRecords, SqliteImports
from downloadd.records.protocol import (
    NO_DOWNLOADS,
    AcceptResult,
    ActiveFilter,
    HistoryFilter,
    PartOwner,
    StoredResponse,
    WaitingDownload,
)
from downloadd.records.rows import (
    Row,
    corrupt_row_error,
    decode,
    decode_texts,
    encode,
    encode_initial,
    encode_run,
    to_bindable,
)
from downloadd.records.writer import LOCK_PATIENCE, Rejection, Writer
from downloadd.states import ACTIVE, FINISHED, RUNNING, WAITING, State, Trigger, advance

T = TypeVar("T")

RESPONSE_LIFETIME_SECONDS: Final = 24 * 60 * 60
"""Seconds that the answer under an `Idempotency-Key` is kept."""

_LOOKUP_THREADS: Final = 2
_WAITING_CHUNK: Final = 5_000
_RUNNING_CHUNK: Final = 500
_PART_OWNERS_CHUNK: Final = 5_000
_MAX_PURGED_RESPONSES: Final = 16
# How often a search looks whether anybody still waits for it, in instructions of SQLite's machine: some milliseconds.
_CANCEL_CHECK_STEPS: Final = 100_000

# The SQL is put together from the one list of columns, never from anything foreign.
# ruff: noqa: S608
_COLUMN_LIST: Final = names(COLUMNS)
# Binding twenty more values, most of them null, costs as much as the insertion itself.
_INSERT_INITIAL: Final = f"INSERT INTO downloads ({names(INITIAL_COLUMNS)}) VALUES ({placeholders(INITIAL_COLUMNS)})"
_INSERT: Final = f"INSERT INTO downloads ({names(WRITTEN_COLUMNS)}) VALUES ({placeholders(WRITTEN_COLUMNS)})"
_SAVE: Final = (
    f"UPDATE downloads SET {assignments(RUN_COLUMNS)}, ended_seq = ? "
    f"WHERE id = ? AND epoch = ? AND ended_seq IS NULL RETURNING {_COLUMN_LIST}"
)
_UPDATE_ALL: Final = f"UPDATE downloads SET {assignments(WRITTEN_COLUMNS)} WHERE seq = ?"
_BY_ID: Final = f"SELECT {_COLUMN_LIST} FROM downloads WHERE id = ?"
_BY_SEQS: Final = f"SELECT {_COLUMN_LIST} FROM downloads WHERE seq IN (SELECT value FROM json_each(?))"
_CLAIM: Final = "UPDATE downloads SET state = ?, epoch = ?, attempt = ?, not_before = NULL WHERE seq = ?"
_PART_OWNERS: Final = (
    "SELECT id, state, epoch, part_name FROM downloads "
    "WHERE id IN (SELECT value FROM json_each(?)) AND ended_seq IS NULL"
)
_WAITING: Final = (
    "SELECT seq, host, priority, not_before FROM downloads INDEXED BY downloads_active "
    f"WHERE ended_seq IS NULL AND seq > ? AND state IN ({', '.join('?' * len(WAITING))}) ORDER BY seq LIMIT ?"
)
_COUNTS: Final = (
    "SELECT state, count(*) FROM downloads "
    f"WHERE ended_seq IS NULL AND state IN ({', '.join('?' * len(ACTIVE))}) GROUP BY state"
)
# Whatever is no number is greater than any, and comes by damage.
_LAST_ENDED_SEQ: Final = (
    "SELECT coalesce(max(ended_seq), 0) FROM downloads WHERE ended_seq IS NOT NULL AND ended_seq <= 9223372036854775807"
)
_LAST_RETIRED_SEQ: Final = "SELECT coalesce(max(ended_seq), 0) FROM withdrawn WHERE ended_seq <= 9223372036854775807"
_CREATED_AT: Final = "SELECT min(begun) FROM birth WHERE typeof(begun) = 'real'"
_RETIRE_SEQ: Final = "UPDATE withdrawn SET ended_seq = max(ended_seq, ?)"
_TRUST_STORED_RANGES_ONLY: Final = (
    "UPDATE downloads SET received_ranges = '0-' || received "
    "WHERE ended_seq IS NULL AND part_name IS NOT NULL AND received_ranges IS NULL"
)
_FIND_RESPONSE: Final = "SELECT fingerprint, status, body, created FROM answers WHERE user = ? AND key = ?"
_STORE_RESPONSE: Final = (
    "INSERT OR REPLACE INTO answers (user, key, fingerprint, status, body, created) VALUES (?, ?, ?, ?, ?, ?)"
)
_PURGE_RESPONSES: Final = (
    "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers WHERE created < ? ORDER BY created LIMIT ?)"
)


class SqliteRecords:
    """The `Records` of one node: a SQLite database in the state directory, which no second daemon may use.

    `async with` opens and closes it, once. Reads run in threads of their own and see what was
    written before they began.

    Raises:
        RecordsLockedError: on entering, when another daemon uses the state directory.
        RecordsUnreadableError: on entering, when directory or database cannot be used.
        RecordsTooNewError: on entering, when a newer daemon wrote the database.
    """

    def __init__(
        self,
        state_dir: str | Path,
        clock: Clock,
        *,
        migrations: Sequence[Migration] | None = None,
        on_commit: Callable[[int, float], None] | None = None,
        make_deliveries: Callable[[Download], Sequence[Delivery]] = lambda download: (),
        patience: float = LOCK_PATIENCE,
    ) -> None:
        """Makes records that are not open yet.

        Args:
            state_dir: where the database lies.
            clock: the time.
            migrations: replace those of the package.
            on_commit: is told the rows of each durable transaction, and how many seconds it took; on the event loop.
            make_deliveries: what hooks are to be told of a download that has ended, written down together with its end;
                called in another thread, perhaps twice.
            patience: seconds that a change waits for a lock that another program holds, before it is refused.
        """
        self._directory = StateDirectory(Path(state_dir))
        self._clock = clock
        self._migrations = migrations
        self._make_deliveries = make_deliveries
        self._writer = Writer(
            self._open_for_writing, clock, on_commit, check=self._directory.require_in_place, patience=patience
        )
        self._lookups = _ReaderPool("records-lookup", _LOOKUP_THREADS)
        # A search walks the whole history: the one thread that does it leaves the others to everybody else.
        self._searches = _ReaderPool("records-search", 1)
        self._row_reader = RowReader()
        self._last_ended_seq = 0
        self.imports: ImportRecords = SqliteImports(self)
        self.deliveries: DeliveryRecords = SqliteDeliveries(self)

    async def write(self, run: Callable[[sqlite3.Cursor], T], *, rows: int = 1) -> T:
        """Runs an operation in a durable transaction; it may be called twice."""
        return await self._writer.run(run, rows=rows)

    async def read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Runs a lookup beside others."""
        return await self._lookups.run(run)

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

    async def accept(self, downloads: Sequence[Download], response: StoredResponse | None = None) -> AcceptResult:
        """Writes new downloads down, all or none; see `Records.accept`."""

        def write(cursor: sqlite3.Cursor) -> AcceptResult | Rejection:
            if response is not None:
                known = self._find_response(cursor, response)
                if known is not None:
                    if known.fingerprint != response.fingerprint:
                        return Rejection(IdempotencyKeyReusedError())
                    return AcceptResult(replayed=known)
                self._store_response(cursor, response)
            return AcceptResult(seqs=[self._insert(cursor, download) for download in downloads])

        return await self._writer.run(write, rows=len(downloads))

    async def claim(self, seqs: Sequence[int]) -> list[Download]:
        """Gives waiting downloads to runs; see `Records.claim`."""

        def write(cursor: sqlite3.Cursor) -> list[Download]:
            criteria = (msgspec.json.encode(list(seqs)).decode(),)
            found = {row.seq: row for row in self._row_reader.rows(cursor.connection, _BY_SEQS, criteria, decode)}
            claimed = []
            for seq in seqs:
                download = found.pop(seq, None)
                if download is None or download.state not in WAITING or download.control.desired is not Desired.RUN:
                    continue
                claimed.append(
                    msgspec.structs.replace(
                        download.with_progress(attempt=download.progress.attempt + 1, not_before=None),
                        state=advance(download.state, Trigger.CLAIM),
                        epoch=download.epoch + 1,
                    )
                )
            cursor.executemany(
                _CLAIM,
                [
                    (download.state.value, download.epoch, download.progress.attempt, download.seq)
                    for download in claimed
                ],
            )
            return claimed

        return await self._writer.run(write, rows=len(seqs)) if seqs else []

    async def save(self, download: Download) -> Download | None:
        """Writes what the run knows, if it still holds the download; see `Records.save`."""

        def write(cursor: sqlite3.Cursor) -> Download | None:
            ended_seq = self._last_ended_seq + 1 if download.state in FINISHED else None
            rows = _execute(cursor, _SAVE, (*encode_run(download), ended_seq, download.id, download.epoch)).fetchall()
            if not rows:
                return None
            saved = decode(rows[0])
            if ended_seq is not None:
                self._last_ended_seq = ended_seq
                add_deliveries(cursor, self._make_deliveries(saved))
            return saved

        return await self._writer.run(write)

    async def amend(self, id: str, change: Callable[[Download], Download]) -> tuple[Download, Download] | None:
        """Applies a pure `change` to a row in one transaction; see `Records.amend`. It may be called twice."""

        def write(cursor: sqlite3.Cursor) -> tuple[Download, Download] | Rejection | None:
            try:
                before = read_one(cursor.connection, _BY_ID, to_bindable([id]), decode)
                if before is None:
                    return None
                after = change(before)
            except Exception as error:
                # It belongs to the caller, who gets it.
                return Rejection(error)
            if after.seq != before.seq or after.id != before.id:
                return Rejection(ValueError("a change must keep the id and the seq of a download"))
            if after.state not in FINISHED:
                ended_seq = None
                if before.result.ended_seq is not None:
                    # Its number is free now, and must not be handed out again after a restart.
                    cursor.execute(_RETIRE_SEQ, (before.result.ended_seq,))
            elif before.result.ended_seq is not None:
                ended_seq = before.result.ended_seq
            else:
                ended_seq = self._last_ended_seq = self._last_ended_seq + 1
            _execute(cursor, _UPDATE_ALL, (*encode(after, ended_seq), before.seq))
            after = after.with_result(ended_seq=ended_seq)
            if ended_seq != before.result.ended_seq and ended_seq is not None:
                add_deliveries(cursor, self._make_deliveries(after))
            return before, after

        return await self._writer.run(write)

    async def get(self, id: str) -> Download | None:
        """One download, active or ended."""

        def read(connection: sqlite3.Connection) -> Download | None:
            return read_one(connection, _BY_ID, to_bindable([id]), decode)

        return await self._lookups.run(read)

    async def active(self, criteria: ActiveFilter, known: Mapping[int, Download] = NO_DOWNLOADS) -> list[Download]:
        """A listing of downloads that have not ended, oldest first; those in `known` need not be read."""
        query = active_query(criteria)

        def read(connection: sqlite3.Connection) -> list[Download]:
            if known:
                seqs = [seq for (seq,) in connection.execute(query.seqs, query.parameters)]
                found = [known[seq] for seq in seqs if seq in known]
                if len(found) == len(seqs):
                    return found
            return self._row_reader.page(
                connection, query.sql, query.parameters, lambda row: known.get(row[0]) or decode(row)
            )

        return await self._lookups.run(read)

    async def history(self, criteria: HistoryFilter) -> list[Download]:
        """A page of ended downloads, newest first, or oldest first with `after_ended_seq`.

        A search ends early, without a result, when its caller is cancelled.
        """
        query = history_query(criteria)

        def read(connection: sqlite3.Connection) -> list[Download]:
            return self._row_reader.page(connection, query.sql, query.parameters, decode)

        if not criteria.contains:
            return await self._lookups.run(read)
        cancelled = threading.Event()

        def search(connection: sqlite3.Connection) -> list[Download]:
            connection.set_progress_handler(cancelled.is_set, _CANCEL_CHECK_STEPS)
            try:
                return read(connection)
            finally:
                connection.set_progress_handler(None, 0)

        try:
            return await self._searches.run(search)
        finally:
            cancelled.set()

    async def counts(self) -> dict[State, int]:
        """How many downloads are in each active state."""

        def read(connection: sqlite3.Connection) -> dict[State, int]:
            return {State(state): count for state, count in connection.execute(_COUNTS, [one.value for one in ACTIVE])}

        return await self._lookups.run(read)

    async def last_ended_seq(self) -> int:
        """The newest `ended_seq`; 0 for an empty history."""

        def read(connection: sqlite3.Connection) -> int:
            last: int = connection.execute(_LAST_ENDED_SEQ).fetchone()[0]
            return last

        return await self._lookups.run(read)

    async def created_at(self) -> float | None:
        """When these records were begun; see `Records.created_at`."""

        def read(connection: sqlite3.Connection) -> float | None:
            created_at: float | None = connection.execute(_CREATED_AT).fetchone()[0]
            return created_at

        return await self._lookups.run(read)

    async def running_rows(self) -> AsyncIterator[Download]:
        """Rows in a running state, oldest first."""
        after = 0
        while True:
            chunk = await self.active(ActiveFilter(states=RUNNING, after_seq=after, limit=_RUNNING_CHUNK))
            for download in chunk:
                yield download
            if len(chunk) < _RUNNING_CHUNK:
                return
            after = chunk[-1].seq

    async def waiting(self) -> AsyncIterator[Sequence[WaitingDownload]]:
        """All waiting downloads in chunks, oldest first, whatever users want of them."""
        states = [state.value for state in WAITING]
        after = 0
        while True:
            parameters = (after, *states, _WAITING_CHUNK)

            def read(connection: sqlite3.Connection, parameters: Row = parameters) -> list[WaitingDownload]:
                return self._row_reader.page(connection, _WAITING, parameters, _waiting)

            chunk = await self._lookups.run(read)
            if chunk:
                yield chunk
            if len(chunk) < _WAITING_CHUNK:
                return
            after = chunk[-1].seq

    async def part_owners(self, ids: Sequence[str]) -> dict[str, PartOwner]:
        """For those of `ids` that are active: what they may own on disk."""
        part_owners: dict[str, PartOwner] = {}
        # Ids come from names on disk here; no id of ours has anything but ASCII in it.
        for chunk in _chunks([id for id in ids if id.isascii()], _PART_OWNERS_CHUNK):
            parameters = (msgspec.json.encode(chunk).decode(),)

            def read(connection: sqlite3.Connection, parameters: Row = parameters) -> list[tuple[str, PartOwner]]:
                return self._row_reader.rows(
                    connection, _PART_OWNERS, parameters, _part_owner, fallback=_unreadable_part_owner
                )

            part_owners.update(await self._lookups.run(read))
        return part_owners

    def _open_for_writing(self) -> sqlite3.Connection:
        self._directory.lock()
        migrations = shipped_migrations() if self._migrations is None else self._migrations
        connection = self._directory.open_for_writing(migrations, now=self._clock.wall())
        try:
            _record_boot(connection, boot_id())
            last_ended, last_retired = (
                connection.execute(sql).fetchone()[0] for sql in (_LAST_ENDED_SEQ, _LAST_RETIRED_SEQ)
            )
            self._directory.remember_files()
        except (OSError, sqlite3.Error) as error:
            connection.close()
            raise self._directory.unusable_error(error) from error
        self._last_ended_seq = max(last_ended, last_retired)
        return connection

    async def _close(self) -> None:
        # The writer goes last: the last connection that closes writes the log back, and a reader could not.
        await self._searches.close()
        await self._lookups.close()
        await self._writer.close()
        self._directory.unlock()

    def _insert(self, cursor: sqlite3.Cursor, download: Download) -> int:
        initial = None
        ended_seq = None
        if download.state in FINISHED:
            ended_seq = self._last_ended_seq = self._last_ended_seq + 1
        else:
            initial = encode_initial(download)
        if initial is None:
            _execute(cursor, _INSERT, encode(download, ended_seq))
        else:
            _execute(cursor, _INSERT_INITIAL, initial)
        seq = cursor.lastrowid
        assert seq is not None  # noqa: S101 - an INSERT has set it
        if ended_seq is not None:
            add_deliveries(
                cursor,
                self._make_deliveries(msgspec.structs.replace(download.with_result(ended_seq=ended_seq), seq=seq)),
            )
        return seq

    def _find_response(self, cursor: sqlite3.Cursor, response: StoredResponse) -> StoredResponse | None:
        row = _execute(cursor, _FIND_RESPONSE, (response.user, response.key)).fetchone()
        if row is None:
            return None
        fingerprint, status, body, created = row
        if (type(fingerprint), type(status), type(body), type(created)) != (bytes, int, bytes, float):
            raise corrupt_row_error(
                "the answer kept under the Idempotency-Key", response.key, "a value is of another type"
            )
        if created < self._clock.wall() - RESPONSE_LIFETIME_SECONDS:
            return None
        return msgspec.structs.replace(response, fingerprint=fingerprint, status=status, body=body, created=created)

    def _store_response(self, cursor: sqlite3.Cursor, response: StoredResponse) -> None:
        # Every new answer takes some expired ones with it: no timer, and no long pause.
        cursor.execute(_PURGE_RESPONSES, (self._clock.wall() - RESPONSE_LIFETIME_SECONDS, _MAX_PURGED_RESPONSES))
        _execute(
            cursor,
            _STORE_RESPONSE,
            (response.user, response.key, response.fingerprint, response.status, response.body, response.created),
        )


class _ReaderPool:
    """Threads that read, and as many connections."""

    def __init__(self, name: str, threads: int) -> None:
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._connections: SimpleQueue[sqlite3.Connection | None] = SimpleQueue()
        self._opened = 0
        self._closed = True

    async def open(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Opens the connections; raises what `connect` raises."""
        loop = asyncio.get_running_loop()
        while self._opened < self._threads:
            self._connections.put(await loop.run_in_executor(self._executor, connect))
            self._opened += 1
        self._closed = False

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `read` in one of the threads.

        Raises:
            StoreUnavailableError: the database cannot be read at the moment.
            StorageError: the database failed.
            ShuttingDownError: the records are closed.
        """
        if self._closed:
            raise ShuttingDownError
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._read, read)

    async def close(self) -> None:
        """Waits for what runs, and closes the connections."""
        self._closed = True
        opened, self._opened = self._opened, 0
        if opened:
            # In a thread of our own: those of the loop may all hang on something foreign.
            await asyncio.get_running_loop().run_in_executor(self._executor, self._close_connections, opened)
        self._executor.shutdown(wait=False)

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connections.get()
        try:
            if connection is None:
                raise ShuttingDownError
            return read(connection)
        except (sqlite3.Error, OverflowError) as error:
            raise storage_error(error) from error
        finally:
            self._connections.put(connection)

    def _close_connections(self, opened: int) -> None:
        for _ in range(opened):
            # Waits for whoever reads with it.
            connection = self._connections.get()
            if connection is not None:
                connection.close()
        # For those who come too late, one after the other.
        self._connections.put(None)


def _waiting(row: Row) -> WaitingDownload:
    seq, host, priority, not_before = row
    if type(host) is not str:
        host = decode_texts(row, 0, "waiting download no.")[1]
    if type(host) is not str or type(priority) is not int or type(not_before) not in (float, NoneType):
        raise corrupt_row_error("waiting download no.", seq, "a value is of another type")
    return WaitingDownload(seq=seq, host=host, priority=priority, not_before=not_before)


def _part_owner(row: Row) -> tuple[str, PartOwner]:
    id, state, epoch, part_name = decode_texts(row, 0, "download")
    if type(epoch) is not int or state not in STATES:
        raise corrupt_row_error("download", id, "its state or epoch is none")
    return id, PartOwner(state=STATES[state], epoch=epoch, part_name=part_name)


def _unreadable_part_owner(row: Row) -> tuple[str, PartOwner]:
    id = row[0]
    return id.decode() if isinstance(id, bytes) else id, PartOwner(state=None, epoch=0, part_name=None)


def _record_boot(connection: sqlite3.Connection, boot: str | None) -> None:
    """After a start of the machine, parts vouch for no more than what was on stable storage before.

    What the kernel had not written yet may be missing, or be zeros in a file that is as long as ever.
    """
    noted = connection.execute("SELECT id FROM boot").fetchone()
    if noted is not None and noted[0] == boot:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_TRUST_STORED_RANGES_ONLY)
        connection.execute("DELETE FROM boot")
        if boot is not None:
            connection.execute("INSERT INTO boot VALUES (?)", (boot,))
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _execute(cursor: sqlite3.Cursor, sql: str, parameters: Row) -> sqlite3.Cursor:
    try:
        return cursor.execute(sql, parameters)
    except UnicodeEncodeError:
        return cursor.execute(sql, to_bindable(parameters))


def _chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
