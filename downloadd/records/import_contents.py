"""Records of the users, channels and files that import files name, in SQLite."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from downloadd.import_operation import Channel, FileLink, PendingKind, Selection, WorkspaceUser
from downloadd.records.access import DatabaseAccess
from downloadd.records.corrupt_rows import RowReader
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
    make_pending: str


def _statements(table: str, id: str, value: str, kind: PendingKind) -> _Table:
    # All of these names are constants below.
    # ruff: noqa: S608
    selected = f"FROM {table} WHERE operation = ? AND do_import = 1"
    return _Table(
        insert=f"INSERT OR IGNORE INTO {table} (operation, {id}, {value}) VALUES (?, ?, ?)",
        list=f"SELECT {id}, {value}, do_import FROM {table} WHERE operation = ?",
        delete=f"DELETE FROM {table} WHERE operation = ?",
        select_all=f"UPDATE {table} SET do_import = 1 WHERE operation = ?",
        select_ids=f"UPDATE {table} SET do_import = ({id} IN (SELECT value FROM json_each(?))) WHERE operation = ?",
        count_selected=f"SELECT count(*) {selected}",
        make_pending=f"UPDATE import_files SET status = 'pending' WHERE operation = ? AND wanted = '{kind}' "
        f"AND status = 'found' AND owner IN (SELECT {id} {selected})",
    )


_USERS: Final = _statements("import_people", "user_id", "person", PendingKind.AVATAR)
_CHANNELS: Final = _statements("import_channels", "channel_id", "channel", PendingKind.FILE)
_INSERT_FILE: Final = "INSERT INTO import_files (operation, wanted, owner, link) VALUES (?, ?, ?, ?)"
_DELETE_FILES: Final = "DELETE FROM import_files WHERE operation = ?"


class SqliteImportContents:
    """`ImportContentRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def clear(self, operation: str) -> None:
        """Delete the content of an operation; see `ImportContentRecords.clear`."""

        def write(cursor: sqlite3.Cursor) -> None:
            for sql in (_USERS.delete, _CHANNELS.delete, _DELETE_FILES):
                cursor.execute(sql, (operation,))

        await self._access.write(write)

    async def add(self, operation: str, items: Sequence[WorkspaceUser | Channel | FileLink]) -> None:
        """Insert items; see `ImportContentRecords.add`."""
        users, channels, files = [], [], []
        for item in items:
            match item:
                case WorkspaceUser():
                    users.append((operation, item.user_id, _to_json(item)))
                    if item.avatar_url:
                        files.append((operation, PendingKind.AVATAR.value, item.user_id, _to_json(_avatar_link(item))))
                case Channel():
                    channels.append((operation, item.channel_id, _to_json(item)))
                case FileLink():
                    files.append((operation, PendingKind.FILE.value, item.channel_id, _to_json(item)))

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.executemany(_USERS.insert, _bindable_rows(users))
            cursor.executemany(_CHANNELS.insert, _bindable_rows(channels))
            cursor.executemany(_INSERT_FILE, _bindable_rows(files))

        await self._access.write(write, rows=len(items))

    async def users(self, operation: str) -> list[tuple[WorkspaceUser, bool]]:
        """Return the users of an import, each with True if it is selected."""
        return await self._read(_USERS, operation, WorkspaceUser, "imported user")

    async def channels(self, operation: str) -> list[tuple[Channel, bool]]:
        """Return the channels of an import, each with True if it is selected."""
        return await self._read(_CHANNELS, operation, Channel, "imported channel")

    async def select(self, operation: str, selection: Selection) -> int:
        """Select users and channels; see `ImportContentRecords.select`."""

        def write(cursor: sqlite3.Cursor) -> int:
            return _select(cursor, _USERS, operation, selection.users) + _select(
                cursor, _CHANNELS, operation, selection.channels
            )

        return await self._access.write(write)

    async def _read(self, table: _Table, operation: str, kind: type[T], label: str) -> list[tuple[T, bool]]:
        def decode(row: Row) -> tuple[T, bool]:
            id, text, selected = decode_texts(row, 0, label)
            try:
                return msgspec.json.decode(text, type=kind), selected == 1
            except (msgspec.MsgspecError, ValueError, TypeError) as error:
                raise corrupt_row_error(label, id, "it is malformed") from error

        return await self._access.read(lambda c: self._row_reader.rows(c, table.list, (operation,), decode))


def _select(cursor: sqlite3.Cursor, table: _Table, operation: str, ids: frozenset[str] | None) -> int:
    """Select entries of a table, make their files pending, and return the number of entries."""
    if ids is None:
        cursor.execute(table.select_all, (operation,))
    else:
        cursor.execute(table.select_ids, (*to_bindable((_to_json(sorted(ids)),)), operation))
    cursor.execute(table.make_pending, (operation, operation))
    count: int = cursor.execute(table.count_selected, (operation,)).fetchone()[0]
    return count


def _avatar_link(user: WorkspaceUser) -> FileLink:
    return FileLink(file_id=user.user_id, url=user.avatar_url or "", name=user.username, user=user.user_id)


def _to_json(value: msgspec.Struct | list[str]) -> str:
    return msgspec.json.encode(value).decode()


def _bindable_rows(rows: Iterable[Row]) -> list[Row]:
    return [to_bindable(row) for row in rows]
