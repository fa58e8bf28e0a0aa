"""Records of the files of imports in SQLite.

The row of a file names its download, in the same database. One statement joins both tables and returns the outcome of
the file, so that no notification can be lost or applied twice.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from downloadd.import_operation import (
    PENDING_KINDS,
    Driver,
    FileCounts,
    FileLink,
    FileStatus,
    ImportOperation,
    PendingFile,
    PendingKind,
    PendingRequest,
)
from downloadd.records.access import DatabaseAccess
from downloadd.records.corrupt_rows import RowReader
from downloadd.records.import_fence import fenced
from downloadd.records.import_operations import create_operation
from downloadd.records.import_protocol import GivenUp, Reservation
from downloadd.records.rows import Row, corrupt_row_error, decode_texts, to_bindable

# The SQL is composed of the constants in this module only.
# ruff: noqa: S608
# The request fields are secrets, which a file that is never downloaded again does not need.
_WITHOUT_FIELDS: Final = """
CASE WHEN instr(link, '"request_fields"') AND json_valid(link) THEN json_remove(link, '$.request_fields') ELSE link END
"""
# What the row keeps when the download is removed from the history.
_SAVE_OUTCOME: Final = f"""
UPDATE import_files
SET saved_path = CASE WHEN d.state = 'completed' THEN d.directory || '/' || d.filename END,
    saved_size = CASE WHEN d.state = 'completed' THEN d.total END,
    saved_checksum = CASE WHEN d.state = 'completed' THEN d.checksum END,
    error = d.error,
    error_detail = CASE WHEN d.error IS NOT NULL THEN d.detail END,
    status = CASE
        WHEN d.state IN ('completed', 'skipped') THEN 'completed'
        WHEN d.state = 'cancelled' THEN 'cancelled'
        ELSE 'failed' END,
    link = CASE WHEN d.state IN ('completed', 'skipped') THEN {_WITHOUT_FIELDS} ELSE link END
FROM downloads AS d
WHERE d.id = import_files.download_id AND d.ended_seq IS NOT NULL
"""
_APPLY_OUTCOMES: Final = f"{_SAVE_OUTCOME} AND import_files.status = 'downloading'"
# Users may retry a failed download by themselves.
_APPLY_RETRIED: Final = f"{_SAVE_OUTCOME} AND import_files.status IN ('failed', 'cancelled')"
_THESE: Final = "AND d.seq IN (SELECT value FROM json_each(?))"
_SETTLE: Final = f"{_APPLY_OUTCOMES} {_THESE}"
_SETTLE_RETRIED: Final = f"{_APPLY_RETRIED} {_THESE} RETURNING run, status"
# A run under way counts its files again when it is done.
_COUNT_RETRIED: Final = (
    "UPDATE operations SET completed = completed + ?1, failed = failed - ?1 WHERE id = ?2 AND failed >= ?1"
)
_OF_USER: Final = (
    "SELECT id FROM operations WHERE user = :user AND (:import IS NULL OR id IN (SELECT value FROM json_each(:import)))"
)
_RESERVE: Final = f"""
UPDATE import_files SET run = :run, status = 'reserved'
WHERE status = 'pending' AND wanted = :kind AND operation IN ({_OF_USER})
"""
_RESERVE_ENDED: Final = f"""
UPDATE import_files
SET run = :run, status = CASE
    WHEN EXISTS (SELECT 1 FROM downloads AS d WHERE d.id = import_files.download_id AND d.ended_seq IS NULL)
    THEN 'downloading' ELSE 'reserved' END
WHERE status IN ('failed', 'cancelled') AND wanted = :kind AND operation IN ({_OF_USER})
"""
_ENDED_RUNS: Final = f"""
SELECT DISTINCT run FROM import_files
WHERE status IN ('failed', 'cancelled') AND wanted = :kind AND operation IN ({_OF_USER}) AND run IS NOT NULL
"""
_SOURCES: Final = "SELECT DISTINCT operation FROM import_files WHERE run = ?"
_RELEASE: Final = "UPDATE import_files SET status = 'cancelled' WHERE status = 'reserved' AND run = ?"
# The rows are damaged; they must not keep the run from finishing.
_FAIL_UNREADABLE: Final = (
    "UPDATE import_files SET status = 'failed' WHERE status = 'reserved' AND run = ? AND rank <= ?"
)
_GIVE_UP: Final = f"""
UPDATE import_files SET status = 'given_up', link = {_WITHOUT_FIELDS}
WHERE status IN ('pending', 'failed', 'cancelled') AND operation IN (SELECT value FROM json_each(?1))
    AND (?2 IS NULL OR wanted = ?2)
RETURNING run
"""
_OPEN_MEMBERS: Final = """
SELECT EXISTS (SELECT 1 FROM import_files
    WHERE operation = ? AND archived = 1 AND status NOT IN ('completed', 'given_up') AND (status != 'found' OR ?))
"""
_PLACE: Final = "UPDATE import_files SET saved_path = ? WHERE number = ?"
# A file that fails before its download must not have the outcome of an earlier one.
_COMPLETE: Final = """
UPDATE import_files
SET status = ?, saved_size = ?, saved_checksum = ?, error = ?, error_detail = ?,
    download_id = CASE WHEN archived = 1 THEN download_id END
WHERE number = ?
"""
_SET_CHECKSUM: Final = "UPDATE import_files SET link = ? WHERE number = ? AND status = 'reserved'"
_CLAIM: Final = "UPDATE import_files SET status = 'downloading', download_id = ? WHERE number = ?"
_HAS_LISTS: Final = (
    "SELECT EXISTS (SELECT 1 FROM import_files WHERE operation IN (SELECT value FROM json_each(?)) AND rank = 0)"
)
_COUNT_LISTS: Final = (
    "SELECT count(*) FROM import_files WHERE run = ? AND rank = 0 AND status IN ('reserved', 'downloading')"
)
_COUNT_DOWNLOADING: Final = "SELECT count(*) FROM import_files WHERE run = ? AND status = 'downloading'"
_COUNT: Final = """
SELECT count(*),
    count(*) FILTER (WHERE f.status = 'completed'
        OR (f.status = 'downloading' AND d.state IN ('completed', 'skipped'))),
    count(*) FILTER (WHERE f.status IN ('failed', 'cancelled')
        OR (f.status = 'downloading' AND d.state IN ('failed', 'cancelled'))),
    count(*) FILTER (WHERE f.status = 'given_up')
FROM import_files AS f LEFT JOIN downloads AS d ON d.id = f.download_id
WHERE f.run = ?
"""
# An index on an expression is not found without its name.
_FILES: Final = """
SELECT f.number, f.operation, f.link, coalesce(json_extract(c.channel, '$.name'), ''), o.ts, o.name, f.download_id,
    f.status, d.state, d.directory, d.filename, d.checksum, d.total, d.error, d.detail,
    EXISTS (SELECT 1 FROM import_channels AS n INDEXED BY import_channels_directory
        WHERE n.operation = c.operation AND n.directory = c.directory AND n.channel_id != c.channel_id),
    f.saved_path, f.saved_size, f.saved_checksum, f.error, f.error_detail
FROM import_files AS f
JOIN operations AS o ON o.id = f.operation
LEFT JOIN import_channels AS c ON c.operation = f.operation AND c.channel_id = f.owner
LEFT JOIN downloads AS d ON d.id = f.download_id
"""
_RESERVED: Final = f"{_FILES} WHERE f.run = ? AND f.status = 'reserved' AND f.rank <= ? ORDER BY f.number LIMIT ?"
_WITHOUT_DOWNLOAD: Final = (
    f"{_FILES} WHERE f.run = ? AND f.status = 'downloading' AND d.id IS NULL ORDER BY f.number LIMIT ?"
)
_OF_RUN: Final = f"{_FILES} WHERE f.run = ? AND f.number > ? ORDER BY f.number LIMIT ?"
_LISTS: Final = (
    f"{_FILES} WHERE f.operation = ? AND f.rank = 0 AND f.run IS NOT NULL AND f.number > ? ORDER BY f.number LIMIT ?"
)
_OF_IMPORT: Final = f"{_FILES} WHERE f.operation = ? AND f.run IS NOT NULL AND f.number > ? ORDER BY f.number LIMIT ?"


def settle_files(cursor: sqlite3.Cursor, seqs: Sequence[int]) -> None:
    """Record the outcomes of finished downloads whose rows are about to be removed.

    The rows of their files keep path, size, checksum and error.
    The file of an import that has no download is downloaded again.
    """
    cursor.execute(_SETTLE, (msgspec.json.encode(seqs).decode(),))
    settle_retried_files(cursor, seqs)


def settle_retried_files(cursor: sqlite3.Cursor, seqs: Sequence[int]) -> None:
    """Record the outcomes of finished downloads that users retried after their imports had finished."""
    rows = cursor.execute(_SETTLE_RETRIED, (msgspec.json.encode(seqs).decode(),)).fetchall()
    completed = Counter(run for run, status in rows if status == FileStatus.COMPLETED)
    cursor.executemany(_COUNT_RETRIED, [(count, run) for run, count in completed.items()])


class SqliteImportFiles:
    """`ImportFileRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def reserve(self, run: ImportOperation, request: PendingRequest) -> Reservation:
        """Record a run and assign pending files to it; see `ImportFileRecords.reserve`."""
        parameters = {"run": run.id, "user": run.user, "kind": PENDING_KINDS[request.kind].value}

        def write(cursor: sqlite3.Cursor) -> Reservation:
            imports = None if request.operation is None else _find_imports(cursor, request.operation)
            named = parameters | {"import": None if imports is None else msgspec.json.encode(imports).decode()}
            count = cursor.execute(_RESERVE, named).rowcount
            earlier: list[str] = []
            if request.retry:
                earlier = [row[0] for row in cursor.execute(_ENDED_RUNS, named)]
                count += cursor.execute(_RESERVE_ENDED, named).rowcount
            sources = [row[0] for row in cursor.execute(_SOURCES, (run.id,))]
            recorded = replace(
                run,
                file_counts=FileCounts(total=count),
                sources=tuple(sorted({*run.sources, *sources, *(imports or ())})),
            )
            create_operation(cursor, recorded)
            return Reservation(run=recorded, earlier_runs=tuple(sorted(earlier)))

        return await self._access.write(write)

    async def release(self, driver: Driver) -> None:
        """Cancel the files that a run has not claimed; see `ImportFileRecords.release`."""
        await self._write(driver, _RELEASE, (driver.operation,))

    async def give_up(self, imports: Sequence[str], kind: PendingKind | None) -> GivenUp:
        """End files of imports for good; see `ImportFileRecords.give_up`."""
        parameters = (msgspec.json.encode(imports).decode(), kind)

        def write(cursor: sqlite3.Cursor) -> GivenUp:
            runs = [row[0] for row in cursor.execute(_GIVE_UP, parameters)]
            return GivenUp(count=len(runs), runs=tuple(sorted({run for run in runs if run is not None})))

        return await self._access.write(write)

    async def needs_archive(self, operation: str, *, found: bool) -> bool:
        """Return True if files must still be taken from the archive; see `ImportFileRecords.needs_archive`."""
        return bool(await self._read_value(_OPEN_MEMBERS, (operation, found)))

    async def claim(
        self, driver: Driver, limit: int, new_id: Callable[[], str], *, lists_only: bool = False
    ) -> list[PendingFile]:
        """Return reserved files with ids for their downloads; see `ImportFileRecords.claim`."""
        run, rank = driver.operation, 0 if lists_only else 1

        def write(cursor: sqlite3.Cursor) -> list[PendingFile]:
            reserved = self._row_reader.page(cursor.connection, _RESERVED, (run, rank, limit), _decode_file)
            claimed = [replace(file, download_id=new_id(), status=FileStatus.DOWNLOADING) for file in reserved]
            cursor.executemany(_CLAIM, [(file.download_id, file.number) for file in claimed])
            if len(claimed) < limit:
                cursor.execute(_FAIL_UNREADABLE, (run, rank))
            return claimed

        return await self._access.write(fenced(driver, write), rows=limit)

    async def place(self, driver: Driver, file: PendingFile, path: str) -> None:
        """Record the path that a file of an archive is about to get; durable on return."""
        await self._write(driver, _PLACE, to_bindable((path, file.number)))

    async def settle(self, driver: Driver, file: PendingFile) -> None:
        """Record the outcome of a file without a download; see `ImportFileRecords.settle`."""
        values = (str(file.status), file.saved_size, file.saved_checksum, file.error, file.error_detail, file.number)
        await self._write(driver, _COMPLETE, to_bindable(values))

    async def set_links(self, driver: Driver, files: Sequence[PendingFile]) -> None:
        """Replace the links of files that are not claimed; durable on return."""
        rows = [to_bindable((msgspec.json.encode(file.link).decode(), file.number)) for file in files]

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.executemany(_SET_CHECKSUM, rows)

        await self._access.write(fenced(driver, write), rows=len(rows))

    async def has_lists(self, imports: Sequence[str]) -> bool:
        """Return True if one of these imports has lists of checksums."""
        return bool(await self._read_value(_HAS_LISTS, (msgspec.json.encode(imports).decode(),)))

    async def lists(self, operation: str, after: int, limit: int) -> list[PendingFile]:
        """Return a page of the lists of checksums of an import; see `ImportFileRecords.lists`."""
        return await self._read_page(_LISTS, (operation, after, limit))

    async def count_lists(self, run: str) -> int:
        """Return the number of lists of checksums of a run that are not finished."""
        return await self._read_value(_COUNT_LISTS, (run,))

    async def count_downloading(self, run: str) -> int:
        """Return the number of claimed files of a run whose downloads have not finished."""
        return await self._read_value(_COUNT_DOWNLOADING, (run,))

    async def without_download(self, run: str, limit: int) -> list[PendingFile]:
        """Return claimed files of a run whose downloads were never started."""
        return await self._read_page(_WITHOUT_DOWNLOAD, (run, limit))

    async def apply_outcomes(self) -> None:
        """Record which downloads have finished; see `ImportFileRecords.apply_outcomes`."""
        await self._access.write(lambda cursor: cursor.execute(_APPLY_OUTCOMES).rowcount)

    async def count(self, run: str) -> FileCounts:
        """Return the numbers of files of a run."""

        def read(connection: sqlite3.Connection) -> FileCounts:
            total, completed, failed, given_up = connection.execute(_COUNT, (run,)).fetchone()
            return FileCounts(total=total, completed=completed, failed=failed, given_up=given_up)

        return await self._access.read(read)

    async def of_run(self, run: str, after: int, limit: int) -> list[PendingFile]:
        """Return a page of the files of a run; see `ImportFileRecords.of_run`."""
        return await self._read_page(_OF_RUN, (run, after, limit))

    async def of_import(self, operation: str, after: int, limit: int) -> list[PendingFile]:
        """Return a page of the files of an import; see `ImportFileRecords.of_import`."""
        return await self._read_page(_OF_IMPORT, (operation, after, limit))

    async def _write(self, driver: Driver, sql: str, parameters: Row) -> None:
        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(sql, parameters)

        await self._access.write(fenced(driver, write))

    async def _read_value(self, sql: str, parameters: Row) -> int:
        def read(connection: sqlite3.Connection) -> int:
            value: int = connection.execute(sql, parameters).fetchone()[0]
            return value

        return await self._access.read(read)

    async def _read_page(self, sql: str, parameters: Row) -> list[PendingFile]:
        return await self._access.read(lambda c: self._row_reader.page(c, sql, parameters, _decode_file))


def _find_imports(cursor: sqlite3.Cursor, operation: str) -> list[str]:
    """Return the ids of the imports that an operation stands for: itself, or the sources of a run."""
    rows = cursor.execute("SELECT sources FROM operations WHERE id = ? AND sources IS NOT NULL", (operation,))
    row = rows.fetchone()
    return [operation] if row is None else msgspec.json.decode(row[0], type=list[str])


def _decode_file(row: Row) -> PendingFile:
    row = decode_texts(row, 0, "import file no.")
    number, operation, link, channel, started_at, name, download_id, status, state = row[:9]
    directory, filename, checksum, total, error, detail, shares_directory = row[9:16]
    try:
        decoded = msgspec.json.decode(link, type=FileLink)
    except (msgspec.MsgspecError, ValueError, TypeError) as problem:
        raise corrupt_row_error("import file no.", number, "its link is malformed") from problem
    completed = state == "completed"
    # The download is that of the attempt before.
    is_retried = status == FileStatus.RESERVED
    file = PendingFile(
        number=number,
        import_id=operation,
        link=decoded,
        channel=channel,
        import_started_at=started_at,
        import_name=name,
        download_id=download_id,
        status=status if state is None or is_retried or status == FileStatus.GIVEN_UP else state,
        path=f"{directory}/{filename}" if completed else None,
        saved_size=total if completed else None,
        saved_checksum=checksum if completed else None,
        error=error,
        error_detail=None if error is None else detail,
        shares_directory=shares_directory == 1,
    )
    if state is not None and not is_retried:
        return file
    # The file is of an archive, failed before its download, or its download was removed from the history.
    path, size, own_checksum, own_error, own_detail = row[16:]
    return replace(
        file, path=path, saved_size=size, saved_checksum=own_checksum, error=own_error, error_detail=own_detail
    )
