"""Records of the users, channels and files that import files name, in PostgreSQL."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import asyncpg
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
from downloadd.records.import_contents import avatar_link, pending_statements
from downloadd.records.import_protocol import ContentItem
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.import_fence import fenced
from downloadd.records.postgres.import_keys import import_key
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.postgres.statements import array_of_texts, arrays, transpose
from downloadd.records.rows import Row, corrupt_row_error

T = TypeVar("T")

# All names in the SQL are constants of this module.
# ruff: noqa: S608


class _Table(msgspec.Struct, frozen=True, kw_only=True):
    """Statements of a table of entries that can be selected."""

    list: str
    select_all: str
    select_ids: str
    count_selected: str
    make_pending: tuple[str, ...]


class _Insertion(msgspec.Struct, frozen=True, kw_only=True):
    """Statement that inserts rows of columns of these types."""

    sql: str
    types: tuple[str, ...]

    async def insert(self, connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
        """Insert rows that are not there already."""
        if rows:
            await connection.execute(self.sql, *transpose(rows, self.types))


def _insertion(table: str, **columns: str) -> _Insertion:
    types = tuple(columns.values())
    return _Insertion(
        sql=f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM {arrays(types)} ON CONFLICT DO NOTHING",
        types=types,
    )


def _statements(table: str, id: str, value: str, kind: PendingKind) -> _Table:
    selected = f"FROM {table} WHERE operation = $1 AND do_import"
    of_kind = f"operation = $1 AND wanted = '{kind}'"
    return _Table(
        list=f"SELECT {id}, {value}, do_import FROM {table} WHERE operation = $1 AND {id} > $2 ORDER BY {id} LIMIT $3",
        select_all=f"UPDATE {table} SET do_import = true WHERE operation = $1",
        select_ids=f"UPDATE {table} SET do_import = ({id} = ANY($2::text[])) WHERE operation = $1",
        count_selected=f"SELECT count(*) {selected}",
        make_pending=pending_statements(of_kind, owners=f"SELECT {id} {selected}"),
    )


_USERS: Final = _statements("import_people", "user_id", "person", PendingKind.AVATAR)
_CHANNELS: Final = _statements("import_channels", "channel_id", "channel", PendingKind.FILE)
_INSERT_USERS: Final = _insertion("import_people", operation="text", user_id="text", person="text")
_INSERT_CHANNELS: Final = _insertion(
    "import_channels", operation="text", channel_id="text", channel="text", name="text", directory="text"
)
_INSERT_FILES: Final = _insertion(
    "import_files",
    operation="text",
    wanted="text",
    owner="text",
    link="text",
    request_fields="text",
    file_id="text",
    rank="bigint",
    archived="boolean",
)
_INSERT_SKIPPED: Final = _insertion("import_skipped", operation="text", owner="text", file_id="text", entry="text")
_CLEAR: Final = tuple(
    f"DELETE FROM {table} WHERE operation = $1"
    for table in ("import_people", "import_channels", "import_files", "import_skipped")
)
_IS_SKIPPED: Final = """
FROM import_skipped AS s
WHERE s.operation = $1
    AND (s.owner = '' OR EXISTS (SELECT 1 FROM import_channels AS c
        WHERE c.operation = $1 AND c.channel_id = s.owner AND c.do_import))
    AND (s.file_id = '' OR NOT EXISTS (SELECT 1 FROM import_files AS f
        JOIN import_channels AS c ON c.operation = f.operation AND c.channel_id = f.owner AND c.do_import
        WHERE f.operation = $1 AND f.wanted = 'file' AND f.file_id = s.file_id))
"""
_COUNT_SKIPPED: Final = f"SELECT count(*) {_IS_SKIPPED}"
_CHANNEL_NAME: Final = """coalesce((SELECT n.name FROM import_channels AS n
    WHERE n.operation = s.operation AND n.channel_id = s.owner), '')"""
_LIST_SKIPPED: Final = (
    f"SELECT s.number, s.entry, {_CHANNEL_NAME} {_IS_SKIPPED} AND s.number > $2 ORDER BY s.number LIMIT $3"
)


class PostgresImportContents:
    """`ImportContentRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def clear(self, driver: Driver) -> None:
        """Delete the content of an operation; see `ImportContentRecords.clear`."""

        async def write(connection: asyncpg.Connection) -> None:
            for sql in _CLEAR:
                await connection.execute(sql, driver.operation)

        await self._access.write(fenced(driver, write))

    async def add(self, driver: Driver, items: Sequence[ContentItem], *, operation: str | None = None) -> None:
        """Insert items; see `ImportContentRecords.add`."""
        operation = operation or driver.operation
        rows: dict[_Insertion, list[Row]] = {
            insertion: [] for insertion in (_INSERT_USERS, _INSERT_CHANNELS, _INSERT_FILES, _INSERT_SKIPPED)
        }
        for item in items:
            for insertion, row in _rows_of(operation, item):
                rows[insertion].append(row)

        async def write(connection: asyncpg.Connection) -> None:
            for insertion, values in rows.items():
                await insertion.insert(connection, values)

        await self._access.write(fenced(driver, write), rows=len(items))

    async def users(self, operation: str, after: str, limit: int) -> list[tuple[WorkspaceUser, bool]]:
        """Return a page of the users of an import; see `ImportContentRecords.users`."""
        return await self._page(
            _USERS.list, (operation, import_key(after), limit), _decoder(WorkspaceUser, "imported user")
        )

    async def channels(self, operation: str, after: str, limit: int) -> list[tuple[Channel, bool]]:
        """Return a page of the channels of an import; see `ImportContentRecords.users`."""
        return await self._page(
            _CHANNELS.list, (operation, import_key(after), limit), _decoder(Channel, "imported channel")
        )

    async def skipped(self, operation: str, after: int, limit: int) -> list[tuple[int, SkippedEntry]]:
        """Return a page of what is not imported; see `ImportContentRecords.skipped`."""
        return await self._page(_LIST_SKIPPED, (operation, after, limit), _decode_skipped)

    async def count_skipped(self, operation: str) -> int:
        """Return the number of entries that `skipped` lists."""
        count: int = await self._access.read(lambda connection: connection.fetchval(_COUNT_SKIPPED, operation))
        return count

    async def select(self, driver: Driver, selection: Selection) -> int:
        """Select users and channels; see `ImportContentRecords.select`."""

        async def write(connection: asyncpg.Connection) -> int:
            users = await _select(connection, _USERS, driver.operation, selection.users)
            return users + await _select(connection, _CHANNELS, driver.operation, selection.channels)

        return await self._access.write(fenced(driver, write))

    async def _page(self, sql: str, parameters: Row, decode: Callable[[Row], T]) -> list[T]:
        return await self._access.read(lambda connection: self._row_reader.page(connection, sql, parameters, decode))


async def _select(connection: asyncpg.Connection, table: _Table, operation: str, ids: frozenset[str] | None) -> int:
    """Select entries of a table, make their files pending, and return the number of entries."""
    if ids is None:
        await connection.execute(table.select_all, operation)
    else:
        await connection.execute(table.select_ids, operation, array_of_texts(import_key(each) for each in sorted(ids)))
    for sql in table.make_pending:
        await connection.execute(sql, operation)
    count: int = await connection.fetchval(table.count_selected, operation)
    return count


def _rows_of(operation: str, item: ContentItem) -> list[tuple[_Insertion, Row]]:
    """Return the rows that describe an item, with their insertions."""
    match item:
        case WorkspaceUser():
            rows = [(_INSERT_USERS, (operation, import_key(item.user_id), _to_json(item)))]
            if item.avatar_url or item.avatar_member:
                rows.append((_INSERT_FILES, _file_row(operation, PendingKind.AVATAR, item.user_id, avatar_link(item))))
            return rows
        case Channel():
            values = (operation, import_key(item.channel_id), _to_json(item), item.name, item.directory or None)
            return [(_INSERT_CHANNELS, values)]
        case FileLink():
            return [(_INSERT_FILES, _file_row(operation, PendingKind.FILE, item.channel_id, item))]
        case SkippedEntry():
            ids = import_key(item.channel_id), import_key(item.file_id)
            return [(_INSERT_SKIPPED, (operation, *ids, _to_json(item)))]


def _file_row(operation: str, kind: PendingKind, owner: str, link: FileLink) -> Row:
    has_id = kind is PendingKind.AVATAR or link.channel_id != FILES_CHANNEL_ID
    return (
        operation,
        kind.value,
        import_key(owner),
        *encode_link(link),
        import_key(link.file_id) if has_id else None,
        0 if link.is_checksum_list else 1,
        bool(link.member),
    )


def encode_link(link: FileLink) -> tuple[str, str | None]:
    """Return the JSON of a link without its request fields, which are secret, and that of the request fields."""
    fields = link.request_fields
    return _to_json(replace(link, request_fields=None)), None if fields is None else _to_json(fields)


def _decoder(kind: type[T], label: str) -> Callable[[Row], tuple[T, bool]]:
    def decode(row: Row) -> tuple[T, bool]:
        id, text, selected = row
        try:
            return msgspec.json.decode(text, type=kind), selected
        except msgspec.MsgspecError as error:
            raise corrupt_row_error(label, id, "it is malformed") from error

    return decode


def _decode_skipped(row: Row) -> tuple[int, SkippedEntry]:
    number, text, channel = row
    try:
        return number, replace(msgspec.json.decode(text, type=SkippedEntry), channel=channel)
    except msgspec.MsgspecError as error:
        raise corrupt_row_error("skipped entry no.", number, "it is malformed") from error


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
