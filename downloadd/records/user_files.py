"""Records of the files of users: those of the history, and those of downloads that were removed from it."""

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final, Protocol

import msgspec

from downloadd.records.access import DatabaseAccess
from downloadd.records.corrupt_rows import RowReader
from downloadd.records.protocol import EndedRow
from downloadd.records.rows import Row, corrupt_row_error, decode_texts

_FILES: Final = """
SELECT directory, filename, coalesce(total, 0), 0 FROM downloads WHERE user = ?1 AND state = 'completed'
UNION ALL SELECT directory, filename, size, 1 FROM user_files WHERE user = ?1
"""
_PARTS: Final = (
    "SELECT coalesce(sum(received), 0) FROM downloads "
    "WHERE user = ? AND part_name IS NOT NULL AND id NOT IN (SELECT value FROM json_each(?))"
)
_REMEMBER: Final = """
INSERT OR REPLACE INTO user_files (user, directory, filename, size)
SELECT user, directory, filename, coalesce(total, 0) FROM downloads
WHERE seq IN (SELECT value FROM json_each(?)) AND ended_seq <= ? AND state = 'completed'
    AND user IN (SELECT value FROM json_each(?))
"""
_FORGET: Final = "DELETE FROM user_files WHERE user = ? AND directory = ? AND filename = ?"


class UserFile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """File that a download of a user has published."""

    directory: str
    filename: str
    size: int
    """Bytes when it was published."""
    is_removed: bool = False
    """The download was removed from the history."""


class UserFiles(Protocol):
    """Files of users.

    Attributes:
        owners: users whose files are remembered when their downloads are removed from the history.
    """

    owners: Collection[str]

    async def files(self, user: str) -> Sequence[UserFile]:
        """Return the files that downloads of a user have published; some may be gone, or be named twice."""
        ...

    async def part_bytes(self, user: str, *, without: Collection[str]) -> int:
        """Return the bytes in the part files of a user's downloads, `without` those of some downloads (ids)."""
        ...

    async def forget(self, user: str, files: Sequence[UserFile]) -> None:
        """Remember files no longer whose downloads are not in the history."""
        ...


class SqliteUserFiles:
    """`UserFiles` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()
        self.owners: Collection[str] = ()

    async def files(self, user: str) -> Sequence[UserFile]:
        """See `UserFiles.files`."""
        return await self._access.read(
            lambda connection: self._row_reader.rows(connection, _FILES, (user,), decode_user_file)
        )

    async def part_bytes(self, user: str, *, without: Collection[str]) -> int:
        """See `UserFiles.part_bytes`."""
        parameters = user, msgspec.json.encode(sorted(without)).decode()
        return int(await self._access.read(lambda connection: connection.execute(_PARTS, parameters).fetchone()[0]))

    async def forget(self, user: str, files: Sequence[UserFile]) -> None:
        """See `UserFiles.forget`."""

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.executemany(_FORGET, [(user, one.directory, one.filename) for one in files])

        await self._access.write(write, rows=len(files))

    def remember(self, cursor: sqlite3.Cursor, rows: Sequence[EndedRow]) -> None:
        """Remember the files of downloads that are removed next, in the transaction of a cursor."""
        if rows and self.owners:
            seqs, owners = (msgspec.json.encode(one).decode() for one in ([row.seq for row in rows], [*self.owners]))
            cursor.execute(_REMEMBER, (seqs, max(row.ended_seq for row in rows), owners))


def decode_user_file(row: Row) -> UserFile:
    """Return the file in a row.

    Raises:
        StorageError: the row is damaged.
    """
    directory, filename, size, is_removed = decode_texts(row, 1, "file")
    if type(directory) is not str or type(filename) is not str or type(size) is not int:
        raise corrupt_row_error("file", filename, "a value has another type")
    return UserFile(directory=directory, filename=filename, size=size, is_removed=bool(is_removed))
