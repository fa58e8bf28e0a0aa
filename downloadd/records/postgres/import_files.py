"""Records of the files of imports in PostgreSQL.

The row of a file names its download, in the same database. One statement joins both tables and returns the outcome of
the file, so that no notification can be lost or applied twice.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg
import msgspec
from msgspec.structs import replace

from downloadd.import_operation import (
    PENDING_KINDS,
    Driver,
    FileCounts,
    FileStatus,
    ImportOperation,
    PendingFile,
    PendingKind,
    PendingRequest,
)
from downloadd.records.import_files import decode_file
from downloadd.records.import_protocol import GivenUp, Reservation
from downloadd.records.postgres.access import PostgresAccess, execute_counted
from downloadd.records.postgres.import_contents import encode_link
from downloadd.records.postgres.import_fence import fenced
from downloadd.records.postgres.import_operations import create_operation, source_ids
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.postgres.statements import array_of_texts
from downloadd.records.rows import Row, corrupt_row_error
from downloadd.request_fields import RequestFields

# The SQL is composed of the constants in this module only.
# ruff: noqa: S608
# What the row keeps when the download is removed from the history. The request fields are secrets, which a file that is
# never downloaded again does not need.
_SAVE_OUTCOME: Final = """
UPDATE import_files AS f
SET saved_path = CASE WHEN d.state = 'completed' THEN d.directory || '/' || d.filename END,
    saved_size = CASE WHEN d.state = 'completed' THEN d.total END,
    saved_checksum = CASE WHEN d.state = 'completed' THEN d.checksum END,
    error = d.error,
    error_detail = CASE WHEN d.error IS NOT NULL THEN d.detail END,
    status = CASE
        WHEN d.state IN ('completed', 'skipped') THEN 'completed'
        WHEN d.state = 'cancelled' THEN 'cancelled'
        ELSE 'failed' END,
    request_fields = CASE WHEN d.state NOT IN ('completed', 'skipped') THEN f.request_fields END
FROM downloads AS d
WHERE d.id = f.download_id AND d.ended_seq IS NOT NULL
"""
_APPLY_OUTCOMES: Final = f"{_SAVE_OUTCOME} AND f.status = 'downloading'"
# Users may retry a failed download by themselves.
_APPLY_RETRIED: Final = f"{_SAVE_OUTCOME} AND f.status IN ('failed', 'cancelled')"
_THESE: Final = "AND d.seq = ANY($1::bigint[])"
_SETTLE: Final = f"{_APPLY_OUTCOMES} {_THESE}"
_SETTLE_RETRIED: Final = f"{_APPLY_RETRIED} {_THESE} RETURNING f.run, f.status"
# A run under way counts its files again when it is done.
_COUNT_RETRIED: Final = (
    "UPDATE operations SET completed = completed + $1, failed = failed - $1 WHERE id = $2 AND failed >= $1"
)
# $1 is the run, $2 the user, $3 the kind, $4 the imports or null for all.
_OF_USER: Final = (
    "wanted = $3 AND operation IN "
    '(SELECT id FROM operations WHERE "user" = $2 AND ($4::text[] IS NULL OR id = ANY($4::text[])))'
)
_RESERVE: Final = f"UPDATE import_files SET run = $1, status = 'reserved' WHERE status = 'pending' AND {_OF_USER}"
_RESERVE_ENDED: Final = f"""
UPDATE import_files
SET run = $1, status = CASE
    WHEN EXISTS (SELECT 1 FROM downloads AS d WHERE d.id = import_files.download_id AND d.ended_seq IS NULL)
    THEN 'downloading' ELSE 'reserved' END
WHERE status IN ('failed', 'cancelled') AND {_OF_USER}
"""
_ENDED_RUNS: Final = f"""
SELECT DISTINCT run FROM import_files
WHERE status IN ('failed', 'cancelled') AND run IS NOT NULL AND run <> $1 AND {_OF_USER}
"""
_SOURCES: Final = "SELECT DISTINCT operation FROM import_files WHERE run = $1"
_RELEASE: Final = "UPDATE import_files SET status = 'cancelled' WHERE status = 'reserved' AND run = $1"
# The rows are damaged; they must not keep the run from finishing.
_FAIL_UNREADABLE: Final = (
    "UPDATE import_files SET status = 'failed' WHERE status = 'reserved' AND run = $1 AND rank <= $2"
)
_GIVE_UP: Final = """
UPDATE import_files SET status = 'given_up', request_fields = NULL
WHERE status IN ('pending', 'failed', 'cancelled') AND operation = ANY($1::text[])
    AND ($2::text IS NULL OR wanted = $2)
RETURNING run
"""
_OPEN_MEMBERS: Final = """
SELECT EXISTS (SELECT 1 FROM import_files
    WHERE operation = $1 AND archived AND status NOT IN ('completed', 'given_up') AND (status <> 'found' OR $2))
"""
_PLACE: Final = "UPDATE import_files SET saved_path = $1 WHERE number = $2"
# A file that fails before its download must not have the outcome of an earlier one.
_COMPLETE: Final = """
UPDATE import_files
SET status = $1, saved_size = $2, saved_checksum = $3, error = $4, error_detail = $5,
    download_id = CASE WHEN archived THEN download_id END
WHERE number = $6
"""
_SET_LINK: Final = "UPDATE import_files SET link = $1, request_fields = $2 WHERE number = $3 AND status = 'reserved'"
_CLAIM: Final = "UPDATE import_files SET status = 'downloading', download_id = $1 WHERE number = $2"
_HAS_LISTS: Final = "SELECT EXISTS (SELECT 1 FROM import_files WHERE operation = ANY($1::text[]) AND rank = 0)"
_COUNT_LISTS: Final = (
    "SELECT count(*) FROM import_files WHERE run = $1 AND rank = 0 AND status IN ('reserved', 'downloading')"
)
_COUNT_DOWNLOADING: Final = "SELECT count(*) FROM import_files WHERE run = $1 AND status = 'downloading'"
_COUNT: Final = """
SELECT count(*) AS total,
    count(*) FILTER (WHERE f.status = 'completed'
        OR (f.status = 'downloading' AND d.state IN ('completed', 'skipped'))) AS completed,
    count(*) FILTER (WHERE f.status IN ('failed', 'cancelled')
        OR (f.status = 'downloading' AND d.state IN ('failed', 'cancelled'))) AS failed,
    count(*) FILTER (WHERE f.status = 'given_up') AS given_up
FROM import_files AS f LEFT JOIN downloads AS d ON d.id = f.download_id
WHERE f.run = $1
"""
_FILES: Final = """
SELECT f.number, f.operation, f.link, coalesce(c.name, ''), o.ts, o.name, f.download_id,
    f.status, d.state, d.directory, d.filename, d.checksum, d.total, d.error, d.detail,
    EXISTS (SELECT 1 FROM import_channels AS n
        WHERE n.operation = c.operation AND n.directory = c.directory AND n.channel_id <> c.channel_id),
    f.saved_path, f.saved_size, f.saved_checksum, f.error, f.error_detail, f.request_fields
FROM import_files AS f
JOIN operations AS o ON o.id = f.operation
LEFT JOIN import_channels AS c ON c.operation = f.operation AND c.channel_id = f.owner
LEFT JOIN downloads AS d ON d.id = f.download_id
"""
_RESERVED: Final = f"{_FILES} WHERE f.run = $1 AND f.status = 'reserved' AND f.rank <= $2 ORDER BY f.number LIMIT $3"
_WITHOUT_DOWNLOAD: Final = (
    f"{_FILES} WHERE f.run = $1 AND f.status = 'downloading' AND d.id IS NULL ORDER BY f.number LIMIT $2"
)
_OF_RUN: Final = f"{_FILES} WHERE f.run = $1 AND f.number > $2 ORDER BY f.number LIMIT $3"
_LISTS: Final = (
    f"{_FILES} WHERE f.operation = $1 AND f.rank = 0 AND f.run IS NOT NULL AND f.number > $2 ORDER BY f.number LIMIT $3"
)
_OF_IMPORT: Final = (
    f"{_FILES} WHERE f.operation = $1 AND f.run IS NOT NULL AND f.number > $2 ORDER BY f.number LIMIT $3"
)


async def settle_files(connection: asyncpg.Connection, seqs: Sequence[int]) -> None:
    """Record the outcomes of finished downloads whose rows are about to be removed.

    The rows of their files keep path, size, checksum and error.
    The file of an import that has no download is downloaded again.
    """
    await connection.execute(_SETTLE, seqs)
    await settle_retried_files(connection, seqs)


async def settle_retried_files(connection: asyncpg.Connection, seqs: Sequence[int]) -> None:
    """Record the outcomes of finished downloads that users retried after their imports had finished."""
    rows = await connection.fetch(_SETTLE_RETRIED, seqs)
    completed = Counter(run for run, status in rows if status == FileStatus.COMPLETED)
    if completed:
        await connection.executemany(_COUNT_RETRIED, sorted((count, run) for run, count in completed.items()))


class PostgresImportFiles:
    """`ImportFileRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess, session: Callable[[], str | None]) -> None:
        """Take the database; `session` returns the id of this start of the daemon, None before it has registered."""
        self._access = access
        self._session = session
        self._row_reader = RowReader()

    async def reserve(self, run: ImportOperation, request: PendingRequest) -> Reservation:
        """Record a run and assign pending files to it; see `ImportFileRecords.reserve`."""
        kind = PENDING_KINDS[request.kind].value

        async def write(connection: asyncpg.Connection) -> Reservation:
            imports = None if request.operation is None else await _find_imports(connection, request.operation)
            named = (run.id, run.user, kind, None if imports is None else array_of_texts(imports))
            count = await execute_counted(connection, _RESERVE, *named)
            earlier: list[str] = []
            if request.retry:
                earlier = [row[0] for row in await connection.fetch(_ENDED_RUNS, *named)]
                count += await execute_counted(connection, _RESERVE_ENDED, *named)
            sources = [row[0] for row in await connection.fetch(_SOURCES, run.id)]
            recorded = replace(
                run,
                file_counts=FileCounts(total=count),
                sources=tuple(sorted({*run.sources, *sources, *(imports or ())})),
            )
            await create_operation(connection, recorded, self._session())
            return Reservation(run=recorded, earlier_runs=tuple(sorted(earlier)))

        return await self._access.write(write)

    async def release(self, driver: Driver) -> None:
        """Cancel the files that a run has not claimed; see `ImportFileRecords.release`."""
        await self._write(driver, _RELEASE, driver.operation)

    async def give_up(self, imports: Sequence[str], kind: PendingKind | None) -> GivenUp:
        """End files of imports for good; see `ImportFileRecords.give_up`."""
        parameters = (array_of_texts(imports), None if kind is None else kind.value)

        async def write(connection: asyncpg.Connection) -> GivenUp:
            runs = [row[0] for row in await connection.fetch(_GIVE_UP, *parameters)]
            return GivenUp(count=len(runs), runs=tuple(sorted({run for run in runs if run is not None})))

        return await self._access.write(write)

    async def needs_archive(self, operation: str, *, found: bool) -> bool:
        """Return True if files must still be taken from the archive; see `ImportFileRecords.needs_archive`."""
        return bool(await self._read_value(_OPEN_MEMBERS, operation, found))

    async def claim(
        self, driver: Driver, limit: int, new_id: Callable[[], str], *, lists_only: bool = False
    ) -> list[PendingFile]:
        """Return reserved files with ids for their downloads; see `ImportFileRecords.claim`."""
        run, rank = driver.operation, 0 if lists_only else 1

        async def write(connection: asyncpg.Connection) -> list[PendingFile]:
            reserved = await self._row_reader.page(connection, _RESERVED, (run, rank, limit), _decode_file)
            claimed = [replace(file, download_id=new_id(), status=FileStatus.DOWNLOADING) for file in reserved]
            if claimed:
                await connection.executemany(_CLAIM, [(file.download_id, file.number) for file in claimed])
            if len(claimed) < limit:
                await connection.execute(_FAIL_UNREADABLE, run, rank)
            return claimed

        return await self._access.write(fenced(driver, write), rows=limit)

    async def place(self, driver: Driver, file: PendingFile, path: str) -> None:
        """Record the path that a file of an archive is about to get; durable on return."""
        await self._write(driver, _PLACE, path, file.number)

    async def settle(self, driver: Driver, file: PendingFile) -> None:
        """Record the outcome of a file without a download; see `ImportFileRecords.settle`."""
        values = (str(file.status), file.saved_size, file.saved_checksum, file.error, file.error_detail, file.number)
        await self._write(driver, _COMPLETE, *values)

    async def set_links(self, driver: Driver, files: Sequence[PendingFile]) -> None:
        """Replace the links of files that are not claimed; durable on return."""
        rows = [(*encode_link(file.link), file.number) for file in files]

        async def write(connection: asyncpg.Connection) -> None:
            await connection.executemany(_SET_LINK, rows)

        await self._access.write(fenced(driver, write), rows=len(rows))

    async def has_lists(self, imports: Sequence[str]) -> bool:
        """Return True if one of these imports has lists of checksums."""
        return bool(await self._read_value(_HAS_LISTS, array_of_texts(imports)))

    async def lists(self, operation: str, after: int, limit: int) -> list[PendingFile]:
        """Return a page of the lists of checksums of an import; see `ImportFileRecords.lists`."""
        return await self._read_page(_LISTS, operation, after, limit)

    async def count_lists(self, run: str) -> int:
        """Return the number of lists of checksums of a run that are not finished."""
        return await self._read_value(_COUNT_LISTS, run)

    async def count_downloading(self, run: str) -> int:
        """Return the number of claimed files of a run whose downloads have not finished."""
        return await self._read_value(_COUNT_DOWNLOADING, run)

    async def without_download(self, run: str, limit: int) -> list[PendingFile]:
        """Return claimed files of a run whose downloads were never started."""
        return await self._read_page(_WITHOUT_DOWNLOAD, run, limit)

    async def apply_outcomes(self) -> None:
        """Record which downloads have finished; see `ImportFileRecords.apply_outcomes`."""
        await self._access.execute(_APPLY_OUTCOMES)

    async def count(self, run: str) -> FileCounts:
        """Return the numbers of files of a run."""
        return FileCounts(**await self._access.read(lambda connection: connection.fetchrow(_COUNT, run)))

    async def of_run(self, run: str, after: int, limit: int) -> list[PendingFile]:
        """Return a page of the files of a run; see `ImportFileRecords.of_run`."""
        return await self._read_page(_OF_RUN, run, after, limit)

    async def of_import(self, operation: str, after: int, limit: int) -> list[PendingFile]:
        """Return a page of the files of an import; see `ImportFileRecords.of_import`."""
        return await self._read_page(_OF_IMPORT, operation, after, limit)

    async def _write(self, driver: Driver, sql: str, *parameters: Any) -> None:
        async def write(connection: asyncpg.Connection) -> None:
            await connection.execute(sql, *parameters)

        await self._access.write(fenced(driver, write))

    async def _read_value(self, sql: str, *parameters: Any) -> int:
        value: int = await self._access.read(lambda connection: connection.fetchval(sql, *parameters))
        return value

    async def _read_page(self, sql: str, *parameters: Any) -> list[PendingFile]:
        return await self._access.read(
            lambda connection: self._row_reader.page(connection, sql, parameters, _decode_file)
        )


async def _find_imports(connection: asyncpg.Connection, operation: str) -> list[str]:
    """Return the ids of the imports that an operation stands for: itself, or the sources of a run."""
    return await source_ids(connection, operation) or [operation]


def _decode_file(row: Row) -> PendingFile:
    *values, request_fields = row
    file = decode_file(tuple(values))
    if request_fields is None:
        return file
    try:
        fields = msgspec.json.decode(request_fields, type=RequestFields)
    except msgspec.MsgspecError as error:
        raise corrupt_row_error("import file no.", file.number, "its request fields are malformed") from error
    return replace(file, link=replace(file.link, request_fields=fields))
