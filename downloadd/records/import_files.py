"""Records of the files of imports in SQLite.

The row of a file names its download, in the same database. One statement joins both tables and returns the outcome of
the file, so that no notification can be lost or applied twice.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

import msgspec

from downloadd.import_operation import FileCounts, FileLink, PendingFile, PendingKind
from downloadd.records.access import DatabaseAccess
from downloadd.records.corrupt_rows import RowReader
from downloadd.records.rows import Row, corrupt_row_error, decode_texts

# The SQL is composed of the constants in this module only.
_APPLY_OUTCOMES: Final = """
UPDATE import_files
SET status = CASE WHEN d.state IN ('completed', 'skipped') THEN 'completed' ELSE 'pending' END
FROM downloads AS d
WHERE import_files.status = 'downloading' AND d.id = import_files.download_id AND d.ended_seq IS NOT NULL
"""
# A user may have retried a failed download meanwhile.
_COMPLETE_RETRIED: Final = """
UPDATE import_files SET status = 'completed'
FROM downloads AS d
WHERE import_files.status = 'pending' AND import_files.wanted = ?
    AND import_files.operation IN (SELECT id FROM operations WHERE user = ?)
    AND d.id = import_files.download_id AND d.state IN ('completed', 'skipped')
"""
_RESERVE: Final = """
UPDATE import_files
SET run = ?, status = CASE
    WHEN EXISTS (SELECT 1 FROM downloads AS d WHERE d.id = import_files.download_id AND d.ended_seq IS NULL)
    THEN 'downloading' ELSE 'reserved' END
WHERE status = 'pending' AND wanted = ? AND operation IN (SELECT id FROM operations WHERE user = ?)
"""
_RELEASE: Final = "UPDATE import_files SET status = 'pending' WHERE status = 'reserved' AND run = ?"
_CLAIM: Final = "UPDATE import_files SET status = 'downloading', download_id = ? WHERE number = ?"
_COUNT_DOWNLOADING: Final = "SELECT count(*) FROM import_files WHERE run = ? AND status = 'downloading'"
_COUNT: Final = """
SELECT count(*),
    count(*) FILTER (WHERE f.status = 'completed'
        OR (f.status = 'downloading' AND d.state IN ('completed', 'skipped'))),
    count(*) FILTER (WHERE f.status = 'pending'
        OR (f.status = 'downloading' AND d.state IN ('failed', 'cancelled')))
FROM import_files AS f LEFT JOIN downloads AS d ON d.id = f.download_id
WHERE f.run = ?
"""
_FILES: Final = """
SELECT f.number, f.link, coalesce(json_extract(c.channel, '$.name'), ''), o.ts, o.name, f.download_id, f.status,
    d.state, d.directory, d.filename, d.checksum, d.total, d.error
FROM import_files AS f
JOIN operations AS o ON o.id = f.operation
LEFT JOIN import_channels AS c ON c.operation = f.operation AND c.channel_id = f.owner
LEFT JOIN downloads AS d ON d.id = f.download_id
"""
_RESERVED: Final = f"{_FILES} WHERE f.run = ? AND f.status = 'reserved' ORDER BY f.number LIMIT ?"
_WITHOUT_DOWNLOAD: Final = (
    f"{_FILES} WHERE f.run = ? AND f.status = 'downloading' AND d.id IS NULL ORDER BY f.number LIMIT ?"
)
_OF_RUN: Final = f"{_FILES} WHERE f.run = ? AND f.number > ? ORDER BY f.number LIMIT ?"
_OF_IMPORT: Final = f"{_FILES} WHERE f.operation = ? AND f.run IS NOT NULL AND f.number > ? ORDER BY f.number LIMIT ?"


_SETTLE: Final = f"{_APPLY_OUTCOMES} AND d.seq IN (SELECT value FROM json_each(?))"  # noqa: S608 - constants only


def settle_files(cursor: sqlite3.Cursor, seqs: str) -> None:
    """Record the outcomes of finished downloads whose rows are about to be removed; `seqs` is a JSON array.

    The file of an import that has no download is downloaded again.
    """
    cursor.execute(_SETTLE, (seqs,))


class SqliteImportFiles:
    """`ImportFileRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def reserve(self, run: str, user: str, kind: PendingKind) -> int:
        """Assign pending files to a run; see `ImportFileRecords.reserve`."""

        def write(cursor: sqlite3.Cursor) -> int:
            cursor.execute(_COMPLETE_RETRIED, (kind.value, user))
            return cursor.execute(_RESERVE, (run, kind.value, user)).rowcount

        return await self._access.write(write)

    async def release(self, run: str) -> None:
        """Make the files pending again that a run has not claimed; see `ImportFileRecords.release`."""
        await self._execute(_RELEASE, (run,))

    async def claim(self, run: str, limit: int, new_id: Callable[[], str]) -> list[PendingFile]:
        """Return reserved files with ids for their downloads; see `ImportFileRecords.claim`."""

        def write(cursor: sqlite3.Cursor) -> list[PendingFile]:
            reserved = self._row_reader.page(cursor.connection, _RESERVED, (run, limit), _decode_file)
            claimed = [msgspec.structs.replace(file, download_id=new_id(), status="downloading") for file in reserved]
            cursor.executemany(_CLAIM, [(file.download_id, file.number) for file in claimed])
            if len(claimed) < limit:
                # The rows that are left are damaged; they must not keep the run from finishing.
                cursor.execute(_RELEASE, (run,))
            return claimed

        return await self._access.write(write, rows=limit)

    async def count_downloading(self, run: str) -> int:
        """Return the number of claimed files of a run whose downloads have not finished."""

        def read(connection: sqlite3.Connection) -> int:
            count: int = connection.execute(_COUNT_DOWNLOADING, (run,)).fetchone()[0]
            return count

        return await self._access.read(read)

    async def without_download(self, run: str, limit: int) -> list[PendingFile]:
        """Return claimed files of a run whose downloads were never started."""
        return await self._read_page(_WITHOUT_DOWNLOAD, (run, limit))

    async def apply_outcomes(self) -> None:
        """Record which downloads have finished; see `ImportFileRecords.apply_outcomes`."""
        await self._execute(_APPLY_OUTCOMES, ())

    async def count(self, run: str) -> FileCounts:
        """Return the numbers of files of a run."""

        def read(connection: sqlite3.Connection) -> FileCounts:
            total, completed, failed = connection.execute(_COUNT, (run,)).fetchone()
            return FileCounts(total=total, completed=completed, failed=failed)

        return await self._access.read(read)

    async def of_run(self, run: str, after: int, limit: int) -> list[PendingFile]:
        """Return a page of the files of a run; see `ImportFileRecords.of_run`."""
        return await self._read_page(_OF_RUN, (run, after, limit))

    async def of_import(self, operation: str, after: int, limit: int) -> list[PendingFile]:
        """Return a page of the files of an import; see `ImportFileRecords.of_import`."""
        return await self._read_page(_OF_IMPORT, (operation, after, limit))

    async def _execute(self, sql: str, parameters: Row) -> None:
        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(sql, parameters)

        await self._access.write(write)

    async def _read_page(self, sql: str, parameters: Row) -> list[PendingFile]:
        return await self._access.read(lambda c: self._row_reader.page(c, sql, parameters, _decode_file))


def _decode_file(row: Row) -> PendingFile:
    number, link, channel, started_at, name, download_id, status, state, directory, filename, checksum, total, error = (
        decode_texts(row, 0, "import file no.")
    )
    try:
        decoded = msgspec.json.decode(link, type=FileLink)
    except (msgspec.MsgspecError, ValueError, TypeError) as problem:
        raise corrupt_row_error("import file no.", number, "its link is malformed") from problem
    completed = state == "completed"
    return PendingFile(
        number=number,
        link=decoded,
        channel=channel,
        import_started_at=started_at,
        import_name=name,
        download_id=download_id,
        status=status if state is None else state,
        path=f"{directory}/{filename}" if completed else None,
        saved_size=total if completed else None,
        saved_checksum=checksum if completed else None,
        error=error,
    )
