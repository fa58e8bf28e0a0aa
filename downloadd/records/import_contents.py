"""Records of the users, channels and files that import files name, in SQLite."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from downloadd.import_operation import (
    FILES_CHANNEL_ID,
    Channel,
    Driver,
    FileLink,
    PendingKind,
    Selection,
    SkippedEntry,
    WorkspaceUser,
)
from downloadd.records.access import DatabaseAccess
from downloadd.records.corrupt_rows import RowReader
from downloadd.records.import_fence import fenced
from downloadd.records.import_protocol import ContentItem
from downloadd.records.rows import Row, corrupt_row_error, decode_texts, to_bindable

T = TypeVar("T")


class _Table(msgspec.Struct, frozen=True, kw_only=True):
    """Statements of a table of entries that can be selected."""

    insert: str
    list: str
    delete: str
    select_all: str
    select_ids: str
    count_selected: str
    make_pending: tuple[str, ...]


def pending_statements(of_kind: str, *, owners: str) -> tuple[str, ...]:
    """Return the statements that make the files of a selection pending.

    Args:
        of_kind: condition for the files of the import and the kind.
        owners: query for the selected users or channels.
    """
    # Both are composed of constants of the packages of the stores.
    # ruff: noqa: S608
    is_selected = f"{of_kind} AND status = 'found' AND owner IN ({owners})"
    first = f"SELECT min(number) FROM import_files WHERE {is_selected} AND file_id IS NOT NULL GROUP BY file_id"
    return (
        # The end of the daemon may have interrupted an earlier selection.
        f"UPDATE import_files SET status = 'found' WHERE {of_kind} AND status = 'pending' AND run IS NULL",
        f"UPDATE import_files SET status = 'pending' WHERE {is_selected} AND file_id IS NULL",
        # Of a file that several selected channels name, the first one.
        f"UPDATE import_files SET status = 'pending' WHERE number IN ({first})",
    )


def _statements(table: str, id: str, value: str, kind: PendingKind) -> _Table:
    # All of these names are constants below.
    selected = f"FROM {table} WHERE operation = ?1 AND do_import = 1"
    of_kind = f"operation = ?1 AND wanted = '{kind}'"
    return _Table(
        insert=f"INSERT OR IGNORE INTO {table} (operation, {id}, {value}) VALUES (?, ?, ?)",
        list=f"SELECT {id}, {value}, do_import FROM {table} WHERE operation = ? AND {id} > ? ORDER BY {id} LIMIT ?",
        delete=f"DELETE FROM {table} WHERE operation = ?",
        select_all=f"UPDATE {table} SET do_import = 1 WHERE operation = ?",
        select_ids=f"UPDATE {table} SET do_import = ({id} IN (SELECT value FROM json_each(?))) WHERE operation = ?",
        count_selected=f"SELECT count(*) {selected}",
        make_pending=pending_statements(of_kind, owners=f"SELECT {id} {selected}"),
    )


_USERS: Final = _statements("import_people", "user_id", "person", PendingKind.AVATAR)
_CHANNELS: Final = _statements("import_channels", "channel_id", "channel", PendingKind.FILE)
_INSERT_FILE: Final = (
    "INSERT OR IGNORE INTO import_files (operation, wanted, owner, link, file_id, rank, archived) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_DELETE_FILES: Final = "DELETE FROM import_files WHERE operation = ?"
_INSERT_SKIPPED: Final = "INSERT INTO import_skipped (operation, owner, file_id, entry) VALUES (?, ?, ?, ?)"
_DELETE_SKIPPED: Final = "DELETE FROM import_skipped WHERE operation = ?"
_IS_SKIPPED: Final = """
FROM import_skipped AS s
WHERE s.operation = ?1
    AND (s.owner = '' OR EXISTS (SELECT 1 FROM import_channels AS c
        WHERE c.operation = ?1 AND c.channel_id = s.owner AND c.do_import = 1))
    AND (s.file_id = '' OR NOT EXISTS (SELECT 1 FROM import_files AS f
        JOIN import_channels AS c ON c.operation = f.operation AND c.channel_id = f.owner AND c.do_import = 1
        WHERE f.operation = ?1 AND f.wanted = 'file' AND f.file_id = s.file_id))
"""
_COUNT_SKIPPED: Final = f"SELECT count(*) {_IS_SKIPPED}"
_CHANNEL_NAME: Final = """coalesce((SELECT json_extract(n.channel, '$.name') FROM import_channels AS n
    WHERE n.operation = s.operation AND n.channel_id = s.owner), '')"""
_LIST_SKIPPED: Final = (
    f"SELECT s.number, s.entry, {_CHANNEL_NAME} {_IS_SKIPPED} AND s.number > ?2 ORDER BY s.number LIMIT ?3"
)


class SqliteImportContents:
    """`ImportContentRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def clear(self, driver: Driver) -> None:
        """Delete the content of an operation; see `ImportContentRecords.clear`."""

        def write(cursor: sqlite3.Cursor) -> None:
            for sql in (_USERS.delete, _CHANNELS.delete, _DELETE_FILES, _DELETE_SKIPPED):
                cursor.execute(sql, (driver.operation,))

        await self._access.write(fenced(driver, write))

    async def add(self, driver: Driver, items: Sequence[ContentItem], *, operation: str | None = None) -> None:
        """Insert items; see `ImportContentRecords.add`."""
        operation = operation or driver.operation
        users, channels, files, skipped = [], [], [], []
        for item in items:
            match item:
                case WorkspaceUser():
                    users.append((operation, item.user_id, _to_json(item)))
                    if item.avatar_url or item.avatar_member:
                        files.append(_file_row(operation, PendingKind.AVATAR, item.user_id, avatar_link(item)))
                case Channel():
                    channels.append((operation, item.channel_id, _to_json(item)))
                case FileLink():
                    files.append(_file_row(operation, PendingKind.FILE, item.channel_id, item))
                case SkippedEntry():
                    skipped.append((operation, item.channel_id, item.file_id, _to_json(item)))

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.executemany(_USERS.insert, _bindable_rows(users))
            cursor.executemany(_CHANNELS.insert, _bindable_rows(channels))
            cursor.executemany(_INSERT_FILE, _bindable_rows(files))
            cursor.executemany(_INSERT_SKIPPED, _bindable_rows(skipped))

        await self._access.write(fenced(driver, write), rows=len(items))

    async def users(self, operation: str, after: str, limit: int) -> list[tuple[WorkspaceUser, bool]]:
        """Return a page of the users of an import; see `ImportContentRecords.users`."""
        return await self._read(_USERS, (operation, after, limit), WorkspaceUser, "imported user")

    async def channels(self, operation: str, after: str, limit: int) -> list[tuple[Channel, bool]]:
        """Return a page of the channels of an import; see `ImportContentRecords.users`."""
        return await self._read(_CHANNELS, (operation, after, limit), Channel, "imported channel")

    async def skipped(self, operation: str, after: int, limit: int) -> list[tuple[int, SkippedEntry]]:
        """Return a page of what is not imported; see `ImportContentRecords.skipped`."""

        def decode(row: Row) -> tuple[int, SkippedEntry]:
            number, text, channel = decode_texts(row, 0, "skipped entry no.")
            try:
                return number, replace(msgspec.json.decode(text, type=SkippedEntry), channel=channel)
            except (msgspec.MsgspecError, ValueError, TypeError) as error:
                raise corrupt_row_error("skipped entry no.", number, "it is malformed") from error

        return await self._access.read(
            lambda c: self._row_reader.page(c, _LIST_SKIPPED, (operation, after, limit), decode)
        )

    async def count_skipped(self, operation: str) -> int:
        """Return the number of entries that `skipped` lists."""

        def read(connection: sqlite3.Connection) -> int:
            count: int = connection.execute(_COUNT_SKIPPED, (operation,)).fetchone()[0]
            return count

        return await self._access.read(read)

    async def select(self, driver: Driver, selection: Selection) -> int:
        """Select users and channels; see `ImportContentRecords.select`."""
        operation = driver.operation

        def write(cursor: sqlite3.Cursor) -> int:
            return _select(cursor, _USERS, operation, selection.users) + _select(
                cursor, _CHANNELS, operation, selection.channels
            )

        return await self._access.write(fenced(driver, write))

    async def _read(self, table: _Table, parameters: Row, kind: type[T], label: str) -> list[tuple[T, bool]]:
        def decode(row: Row) -> tuple[T, bool]:
            id, text, selected = decode_texts(row, 0, label)
            try:
                return msgspec.json.decode(text, type=kind), selected == 1
            except (msgspec.MsgspecError, ValueError, TypeError) as error:
                raise corrupt_row_error(label, id, "it is malformed") from error

        return await self._access.read(lambda c: self._row_reader.page(c, table.list, to_bindable(parameters), decode))


def _select(cursor: sqlite3.Cursor, table: _Table, operation: str, ids: frozenset[str] | None) -> int:
    """Select entries of a table, make their files pending, and return the number of entries."""
    if ids is None:
        cursor.execute(table.select_all, (operation,))
    else:
        cursor.execute(table.select_ids, (*to_bindable((_to_json(sorted(ids)),)), operation))
    for sql in table.make_pending:
        cursor.execute(sql, (operation,))
    count: int = cursor.execute(table.count_selected, (operation,)).fetchone()[0]
    return count


def avatar_link(user: WorkspaceUser) -> FileLink:
    """Return the link to the avatar of a user who has one."""
    return FileLink(
        file_id=user.user_id,
        url="" if user.avatar_member else user.avatar_url or "",
        member=user.avatar_member,
        name=user.username,
        user=user.user_id,
    )


def _file_row(operation: str, kind: PendingKind, owner: str, link: FileLink) -> Row:
    has_id = kind is PendingKind.AVATAR or link.channel_id != FILES_CHANNEL_ID
    return (
        operation,
        kind.value,
        owner,
        _to_json(link),
        link.file_id if has_id else None,
        0 if link.is_checksum_list else 1,
        int(bool(link.member)),
    )


def _to_json(value: msgspec.Struct | list[str]) -> str:
    return msgspec.json.encode(value).decode()


def _bindable_rows(rows: Iterable[Row]) -> list[Row]:
    return [to_bindable(row) for row in rows]
