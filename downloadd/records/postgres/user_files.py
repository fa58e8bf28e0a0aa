"""Records of the files of users, in PostgreSQL; see `UserFiles`."""

from collections.abc import Collection, Sequence
from typing import Final

import asyncpg

from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.postgres.statements import array_of_texts
from downloadd.records.protocol import EndedRow
from downloadd.records.user_files import UserFile, decode_user_file

_FILES: Final = """
SELECT directory, filename, coalesce(total, 0), 0 FROM downloads WHERE "user" = ANY($1::text[]) AND state = 'completed'
UNION ALL SELECT directory, filename, size, 1 FROM user_files WHERE "user" = ANY($1::text[])
"""
_PARTS: Final = (
    "SELECT coalesce(sum(received), 0)::bigint FROM downloads "
    'WHERE "user" = ANY($1::text[]) AND part_name IS NOT NULL AND id <> ALL($2::text[])'
)
_REMEMBER: Final = """
INSERT INTO user_files ("user", directory, filename, size)
SELECT "user", directory, filename, coalesce(total, 0) FROM downloads
WHERE seq = ANY($1::bigint[]) AND ended_seq <= $2 AND state = 'completed' AND "user" = ANY($3::text[])
"""
_FORGET: Final = """
DELETE FROM user_files USING unnest($2::text[], $3::text[]) AS gone (directory, filename)
WHERE "user" = ANY($1::text[]) AND user_files.directory = gone.directory AND user_files.filename = gone.filename
"""


class PostgresUserFiles:
    """`UserFiles` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access
        self._row_reader = RowReader()
        self.owners: Collection[str] = ()

    async def files(self, user: str) -> Sequence[UserFile]:
        """See `UserFiles.files`."""
        return await self._access.read(
            lambda connection: self._row_reader.rows(connection, _FILES, (array_of_texts([user]),), decode_user_file)
        )

    async def part_bytes(self, user: str, *, without: Collection[str]) -> int:
        """See `UserFiles.part_bytes`."""
        parameters = array_of_texts([user]), array_of_texts(without)
        return int(await self._access.read(lambda connection: connection.fetchval(_PARTS, *parameters)))

    async def forget(self, user: str, files: Sequence[UserFile]) -> None:
        """See `UserFiles.forget`."""
        directories, names = ([getattr(one, key) for one in files] for key in ("directory", "filename"))
        await self._access.execute(
            _FORGET, array_of_texts([user]), array_of_texts(directories), array_of_texts(names), rows=len(files)
        )

    async def remember(self, connection: asyncpg.Connection, rows: Sequence[EndedRow]) -> None:
        """Remember the files of downloads that are removed next, in the transaction of a connection."""
        if self.owners:
            newest = max(row.ended_seq for row in rows)
            await connection.execute(_REMEMBER, [row.seq for row in rows], newest, array_of_texts(self.owners))
