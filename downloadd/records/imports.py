"""Import operations and what they found, beside the downloads in the same database.

A file that is being fetched names its download, so what has become of it is told by one statement over both tables:
nothing has to be handed over, and nothing can be lost in between.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from downloadd.import_operation import (
    FINISHED_STATUSES,
    Channel,
    FileCounts,
    FileLink,
    ImportOperation,
    PendingFile,
    PendingKind,
    Selection,
    WorkspaceUser,
)
from downloadd.records.access import DatabaseAccess
from downloadd.records.corrupt_rows import RowReader, read_one
from downloadd.records.rows import Row, corrupt_row_error, decode_texts, to_bindable

T = TypeVar("T")

MAX_CHUNK_ROWS: Final = 2_000
"""Rows that are written in one transaction."""

_FIELDS: Final = (
    "id",
    "kind",
    "user",
    "ts",
    "updated_at",
    "status",
    "valid",
    "content_type",
    "file",
    "name",
    "download_id",
    "message_count",
    "skipped",
    "total",
    "completed",
    "failed",
    "reason",
    "error_code",
)
# The SQL is put together from the one list of columns, never from anything foreign.
# ruff: noqa: S608
_COLUMNS: Final = ", ".join(_FIELDS)
_INSERT: Final = f"INSERT INTO operations ({_COLUMNS}) VALUES ({', '.join('?' * len(_FIELDS))})"
# Whoever still works for an operation whose place another one has taken does not know it.
_SET: Final = ", ".join("valid = min(valid, ?)" if name == "valid" else f"{name} = ?" for name in _FIELDS)
_UPDATE: Final = f"UPDATE operations SET {_SET} WHERE id = ?"
_INVALIDATE: Final = "UPDATE operations SET valid = 0 WHERE user = ? AND id != ? AND valid = 1"
_CURRENT: Final = f"SELECT {_COLUMNS} FROM operations WHERE user = ? ORDER BY ts DESC, rowid DESC LIMIT 1"
_LATEST: Final = f"SELECT {_COLUMNS} FROM operations ORDER BY updated_at DESC, rowid DESC LIMIT ?"
_BY_ID: Final = f"SELECT {_COLUMNS} FROM operations WHERE id = ?"
_SOURCES: Final = (
    f"SELECT {_COLUMNS} FROM operations WHERE id IN (SELECT operation FROM import_files WHERE run = ?) ORDER BY rowid"
)
_UNFINISHED: Final = (
    f"SELECT {_COLUMNS} FROM operations "
    f"WHERE status = 'importer_importing_files' OR (valid = 1 AND status NOT IN ({', '.join('?' * len(FINISHED_STATUSES))})) "
    "ORDER BY rowid"
)
_APPLY_OUTCOMES: Final = """
UPDATE import_files
SET status = CASE WHEN d.state IN ('completed', 'skipped') THEN 'completed' ELSE 'pending' END
FROM downloads AS d
WHERE import_files.status = 'downloading' AND d.id = import_files.download_id AND d.ended_seq IS NOT NULL
"""
# A download that failed may have been tried again by a user since.
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
_TALLY: Final = """
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
    d.state, d.directory, d.filename, d.received, d.checksum, d.total, d.error
FROM import_files AS f
JOIN operations AS o ON o.id = f.operation
LEFT JOIN import_channels AS c ON c.operation = f.operation AND c.channel_id = f.owner
LEFT JOIN downloads AS d ON d.id = f.download_id
"""


class ImportRecords(Protocol):
    """The durable truth about imports. Every call that changes something returns after the change is durable."""

    async def create(self, operation: ImportOperation) -> None:
        """Writes a new operation down; the user's earlier ones are no longer valid."""
        ...

    async def save(self, operation: ImportOperation) -> None:
        """Writes all fields of an operation; one that is no longer valid stays so."""
        ...

    async def get(self, id: str) -> ImportOperation | None:
        """One operation."""
        ...

    async def current(self, user: str) -> ImportOperation | None:
        """The user's newest operation."""
        ...

    async def latest(self, count: int) -> list[ImportOperation]:
        """Those that were updated last, of all users, newest first."""
        ...

    async def unfinished(self) -> list[ImportOperation]:
        """Those that are to go on, oldest first: valid ones that are not over, and whatever fetches files."""
        ...

    async def delete_contents(self, operation: str) -> None:
        """Removes what was found: the file is read again."""
        ...

    async def add(self, operation: str, items: Sequence[WorkspaceUser | Channel | FileLink]) -> None:
        """Writes down what was found; a file that was found before is not added again."""
        ...

    async def users(self, operation: str) -> list[tuple[WorkspaceUser, bool]]:
        """Users of an import, and whether they are selected."""
        ...

    async def channels(self, operation: str) -> list[tuple[Channel, bool]]:
        """Channels of an import, and whether they are selected."""
        ...

    async def select(self, operation: str, selection: Selection) -> int:
        """Selects users and channels: their files become pending. Says how many users and channels that are."""
        ...

    async def reserve(self, run: str, user: str, wanted: PendingKind) -> int:
        """Gives all pending files of a user to a run, and says how many.

        One whose download a user has tried again is taken as that left it: done, or on its way.
        """
        ...

    async def release(self, run: str) -> None:
        """What a run has not taken yet is pending again."""
        ...

    async def claim(self, run: str, limit: int, new_id: Callable[[], str]) -> list[PendingFile]:
        """Up to `limit` reserved files of a run, each under the id of a download that is to be made."""
        ...

    async def downloading(self, run: str) -> int:
        """How many files of a run are taken and have not ended."""
        ...

    async def without_download(self, run: str, limit: int) -> list[PendingFile]:
        """Files that a run took, and whose downloads were never made."""
        ...

    async def apply_outcomes(self) -> None:
        """Takes over what has become of downloads: those that failed are pending again."""
        ...

    async def count_files(self, run: str) -> FileCounts:
        """How many files of a run there are."""
        ...

    async def files(self, run: str, after: int, limit: int) -> list[PendingFile]:
        """The files of a run with what has become of them, by number, from `after` on."""
        ...

    async def sources(self, run: str) -> list[ImportOperation]:
        """The imports that the files of a run come from."""
        ...

    async def assigned(self, operation: str, after: int, limit: int) -> list[PendingFile]:
        """The files and avatars of an import that any run was given, like `files`."""
        ...


class SqliteImports:
    """The `ImportRecords` in the database of the downloads."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def create(self, operation: ImportOperation) -> None:
        """See `ImportRecords.create`."""

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(_INSERT, _row(operation))
            cursor.execute(_INVALIDATE, (operation.user, operation.id))

        await self._access.write(write)

    async def save(self, operation: ImportOperation) -> None:
        """See `ImportRecords.save`."""
        await self._access.write(
            lambda cursor: _discard_result(cursor.execute(_UPDATE, (*_row(operation), operation.id)))
        )

    async def get(self, id: str) -> ImportOperation | None:
        """See `ImportRecords.get`."""
        return await self._one(_BY_ID, id)

    async def current(self, user: str) -> ImportOperation | None:
        """See `ImportRecords.current`."""
        return await self._one(_CURRENT, user)

    async def latest(self, count: int) -> list[ImportOperation]:
        """See `ImportRecords.latest`."""
        return await self._access.read(lambda c: self._row_reader.page(c, _LATEST, (count,), _operation))

    async def unfinished(self) -> list[ImportOperation]:
        """See `ImportRecords.unfinished`."""
        return await self._access.read(
            lambda c: self._row_reader.rows(c, _UNFINISHED, [status.value for status in FINISHED_STATUSES], _operation)
        )

    async def delete_contents(self, operation: str) -> None:
        """See `ImportRecords.delete_contents`."""

        def write(cursor: sqlite3.Cursor) -> None:
            for table in ("import_people", "import_channels", "import_files"):
                cursor.execute(f"DELETE FROM {table} WHERE operation = ?", (operation,))

        await self._access.write(write)

    async def add(self, operation: str, items: Sequence[WorkspaceUser | Channel | FileLink]) -> None:
        """See `ImportRecords.add`."""
        users = [(operation, one.user_id, _text(one)) for one in items if isinstance(one, WorkspaceUser)]
        avatars = [
            (operation, PendingKind.AVATAR.value, one.user_id, _text(_avatar(one)))
            for one in items
            if isinstance(one, WorkspaceUser) and one.avatar_url
        ]
        channels = [(operation, one.channel_id, _text(one)) for one in items if isinstance(one, Channel)]
        files = [
            (operation, PendingKind.FILE.value, one.channel_id, _text(one))
            for one in items
            if isinstance(one, FileLink)
        ]

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.executemany(
                "INSERT OR IGNORE INTO import_people (operation, user_id, person) VALUES (?, ?, ?)",
                _bindable_rows(users),
            )
            cursor.executemany(
                "INSERT OR IGNORE INTO import_channels (operation, channel_id, channel) VALUES (?, ?, ?)",
                _bindable_rows(channels),
            )
            cursor.executemany(
                "INSERT INTO import_files (operation, wanted, owner, link) VALUES (?, ?, ?, ?)",
                _bindable_rows([*avatars, *files]),
            )

        await self._access.write(write, rows=len(items))

    async def users(self, operation: str) -> list[tuple[WorkspaceUser, bool]]:
        """See `ImportRecords.users`."""
        sql = "SELECT user_id, person, do_import FROM import_people WHERE operation = ?"
        return await self._access.read(
            lambda c: self._row_reader.rows(
                c, sql, (operation,), lambda row: _decode_selectable(row, WorkspaceUser, "person")
            )
        )

    async def channels(self, operation: str) -> list[tuple[Channel, bool]]:
        """See `ImportRecords.channels`."""
        sql = "SELECT channel_id, channel, do_import FROM import_channels WHERE operation = ?"
        return await self._access.read(
            lambda c: self._row_reader.rows(
                c, sql, (operation,), lambda row: _decode_selectable(row, Channel, "channel")
            )
        )

    async def select(self, operation: str, selection: Selection) -> int:
        """See `ImportRecords.select`."""

        def write(cursor: sqlite3.Cursor) -> int:
            selected = 0
            for table, column, ids, wanted in (
                ("import_people", "user_id", selection.users, PendingKind.AVATAR),
                ("import_channels", "channel_id", selection.channels, PendingKind.FILE),
            ):
                among = "1" if ids is None else f"{column} IN (SELECT value FROM json_each(?))"
                given = () if ids is None else to_bindable((msgspec.json.encode(sorted(ids)).decode(),))
                cursor.execute(f"UPDATE {table} SET do_import = ({among}) WHERE operation = ?", (*given, operation))
                selected += cursor.execute(
                    f"SELECT count(*) FROM {table} WHERE operation = ? AND do_import = 1", (operation,)
                ).fetchone()[0]
                cursor.execute(
                    "UPDATE import_files SET status = 'pending' WHERE operation = ? AND wanted = ? "
                    "AND status = 'found' "
                    f"AND owner IN (SELECT {column} FROM {table} WHERE operation = ? AND do_import = 1)",
                    (operation, wanted.value, operation),
                )
            return selected

        return await self._access.write(write)

    async def reserve(self, run: str, user: str, wanted: PendingKind) -> int:
        """See `ImportRecords.reserve`."""

        def write(cursor: sqlite3.Cursor) -> int:
            cursor.execute(_COMPLETE_RETRIED, (wanted.value, user))
            return cursor.execute(_RESERVE, (run, wanted.value, user)).rowcount

        return await self._access.write(write)

    async def release(self, run: str) -> None:
        """See `ImportRecords.release`."""
        await self._access.write(lambda cursor: _discard_result(cursor.execute(_RELEASE, (run,))))

    async def claim(self, run: str, limit: int, new_id: Callable[[], str]) -> list[PendingFile]:
        """See `ImportRecords.claim`."""

        def write(cursor: sqlite3.Cursor) -> list[PendingFile]:
            sql = f"{_FILES} WHERE f.run = ? AND f.status = 'reserved' ORDER BY f.number LIMIT ?"
            found = self._row_reader.page(cursor.connection, sql, (run, limit), _file)
            taken = [msgspec.structs.replace(one, download_id=new_id(), status="downloading") for one in found]
            cursor.executemany(
                "UPDATE import_files SET status = 'downloading', download_id = ? WHERE number = ?",
                [(one.download_id, one.number) for one in taken],
            )
            if len(taken) < limit:
                # Whatever is left cannot be read: it must not keep the run from coming to its end.
                cursor.execute(_RELEASE, (run,))
            return taken

        return await self._access.write(write, rows=limit)

    async def downloading(self, run: str) -> int:
        """See `ImportRecords.downloading`."""
        sql = "SELECT count(*) FROM import_files WHERE run = ? AND status = 'downloading'"

        def read(connection: sqlite3.Connection) -> int:
            count: int = connection.execute(sql, (run,)).fetchone()[0]
            return count

        return await self._access.read(read)

    async def without_download(self, run: str, limit: int) -> list[PendingFile]:
        """See `ImportRecords.without_download`."""
        sql = f"{_FILES} WHERE f.run = ? AND f.status = 'downloading' AND d.id IS NULL ORDER BY f.number LIMIT ?"
        return await self._access.read(lambda c: self._row_reader.page(c, sql, (run, limit), _file))

    async def apply_outcomes(self) -> None:
        """See `ImportRecords.apply_outcomes`."""
        await self._access.write(lambda cursor: _discard_result(cursor.execute(_APPLY_OUTCOMES)))

    async def count_files(self, run: str) -> FileCounts:
        """See `ImportRecords.count_files`."""

        def read(connection: sqlite3.Connection) -> FileCounts:
            total, completed, failed = connection.execute(_TALLY, (run,)).fetchone()
            return FileCounts(total=total, completed=completed, failed=failed)

        return await self._access.read(read)

    async def files(self, run: str, after: int, limit: int) -> list[PendingFile]:
        """See `ImportRecords.files`."""
        sql = f"{_FILES} WHERE f.run = ? AND f.number > ? ORDER BY f.number LIMIT ?"
        return await self._access.read(lambda c: self._row_reader.page(c, sql, (run, after, limit), _file))

    async def sources(self, run: str) -> list[ImportOperation]:
        """See `ImportRecords.sources`."""
        return await self._access.read(lambda c: self._row_reader.rows(c, _SOURCES, (run,), _operation))

    async def assigned(self, operation: str, after: int, limit: int) -> list[PendingFile]:
        """See `ImportRecords.assigned`."""
        sql = f"{_FILES} WHERE f.operation = ? AND f.run IS NOT NULL AND f.number > ? ORDER BY f.number LIMIT ?"
        return await self._access.read(lambda c: self._row_reader.page(c, sql, (operation, after, limit), _file))

    async def _one(self, sql: str, parameter: str) -> ImportOperation | None:
        def read(connection: sqlite3.Connection) -> ImportOperation | None:
            return read_one(connection, sql, to_bindable((parameter,)), _operation)

        return await self._access.read(read)


def _row(operation: ImportOperation) -> tuple[Any, ...]:
    return to_bindable(
        (
            operation.id,
            operation.kind.value,
            operation.user,
            operation.ts,
            operation.updated_at,
            operation.status.value,
            int(operation.valid),
            operation.content_type,
            operation.file,
            operation.name,
            operation.download_id,
            operation.message_count,
            operation.skipped,
            operation.file_counts.total,
            operation.file_counts.completed,
            operation.file_counts.failed,
            operation.reason,
            operation.error_code,
        )
    )


def _operation(row: Row) -> ImportOperation:
    values = dict(zip(_FIELDS, decode_texts(row, 0, "import operation"), strict=True))
    file_counts = {name: values.pop(name) for name in ("total", "completed", "failed")}
    try:
        return msgspec.convert({**values, "valid": values["valid"] == 1, "file_counts": file_counts}, ImportOperation)
    except msgspec.ValidationError as error:
        raise corrupt_row_error("import operation", values["id"], "a value is malformed") from error


def _file(row: Row) -> PendingFile:
    number, link, channel, ts, name, download_id, status, state, directory, filename, _, checksum, total, error = (
        decode_texts(row, 0, "import file no.")
    )
    try:
        found = msgspec.json.decode(link, type=FileLink)
    except (msgspec.MsgspecError, ValueError, TypeError) as problem:
        raise corrupt_row_error("import file no.", number, "its link is malformed") from problem
    completed = state == "completed"
    return PendingFile(
        number=number,
        link=found,
        channel=channel,
        import_ts=ts,
        import_name=name,
        download_id=download_id,
        status=status if state is None else state,
        path=f"{directory}/{filename}" if completed else None,
        saved_size=total if completed else None,
        saved_checksum=checksum if completed else None,
        error=error,
    )


def _decode_selectable(row: Row, kind: type[T], label: str) -> tuple[T, bool]:
    id, text, selected = decode_texts(row, 0, f"imported {label}")
    try:
        return msgspec.json.decode(text, type=kind), selected == 1
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise corrupt_row_error(f"imported {label}", id, "it is malformed") from error


def _avatar(person: WorkspaceUser) -> FileLink:
    return FileLink(file_id=person.user_id, url=person.avatar_url or "", name=person.username, user=person.user_id)


def _text(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def _bindable_rows(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [to_bindable(row) for row in rows]


def _discard_result(_: object) -> None:
    return None
