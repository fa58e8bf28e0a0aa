"""Records of multipart uploads to object storage, in PostgreSQL; see `UploadRecords`."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from downloadd.records.object_uploads import MAX_ABANDONED, PART_FIELDS, UPLOAD_FIELDS, decode_part, decode_upload
from downloadd.records.postgres.access import PostgresAccess, execute_counted
from downloadd.remote_upload import RemoteUpload, UploadedPart

# The SQL is composed of the names in the structs only.
# ruff: noqa: S608
_FIND: Final = f"SELECT {', '.join(UPLOAD_FIELDS)} FROM object_uploads WHERE download_id = $1"
_PARTS: Final = f"SELECT {', '.join(PART_FIELDS)} FROM object_parts WHERE download_id = $1 ORDER BY number"
_BEGIN: Final = (
    f"INSERT INTO object_uploads ({', '.join(UPLOAD_FIELDS)}) "
    f"VALUES ({', '.join(f'${n}' for n in range(1, len(UPLOAD_FIELDS) + 1))}) "
    f"ON CONFLICT (download_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in UPLOAD_FIELDS)}"
)
_SET_ID: Final = "UPDATE object_uploads SET upload_id = $1 WHERE download_id = $2 AND begun = $3 AND upload_id IS NULL"
_ADD_PART: Final = (
    "INSERT INTO object_parts (download_id, number, etag, checksum) "
    "SELECT download_id, $1::integer, $2::text, $3::text FROM object_uploads WHERE download_id = $4 AND upload_id = $5 "
    "ON CONFLICT (download_id, number) DO UPDATE SET etag = excluded.etag, checksum = excluded.checksum"
)
_REMOVE: Final = (
    "DELETE FROM object_uploads WHERE download_id = $1 AND begun = $2 AND upload_id IS NOT DISTINCT FROM $3"
)
_REMOVE_PARTS: Final = "DELETE FROM object_parts WHERE download_id = $1"
_ABANDONED: Final = (
    f"SELECT {', '.join(f'object_uploads.{name}' for name in UPLOAD_FIELDS)} FROM object_uploads "
    "LEFT JOIN downloads ON downloads.id = object_uploads.download_id "
    "WHERE CASE WHEN downloads.id IS NULL THEN object_uploads.begun < $1 "
    "ELSE downloads.ended_seq IS NOT NULL AND downloads.part_name IS NULL END LIMIT $2"
)


class PostgresUploads:
    """`UploadRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access

    async def find(self, download_id: str) -> tuple[RemoteUpload, Sequence[UploadedPart]] | None:
        """See `UploadRecords.find`."""

        async def read(connection: asyncpg.Connection) -> tuple[RemoteUpload, Sequence[UploadedPart]] | None:
            row = await connection.fetchrow(_FIND, download_id)
            if row is None:
                return None
            parts = await connection.fetch(_PARTS, download_id)
            return decode_upload(tuple(row)), [decode_part(tuple(part)) for part in parts]

        return await self._access.read(read)

    async def begin(self, upload: RemoteUpload) -> None:
        """See `UploadRecords.begin`."""

        async def write(connection: asyncpg.Connection) -> None:
            await connection.execute(_REMOVE_PARTS, upload.download_id)
            await connection.execute(_BEGIN, *msgspec.structs.astuple(upload))

        await self._access.write(write)

    async def set_id(self, upload: RemoteUpload, upload_id: str) -> bool:
        """See `UploadRecords.set_id`."""
        return await self._access.execute(_SET_ID, upload_id, upload.download_id, upload.begun) > 0

    async def add_part(self, upload: RemoteUpload, part: UploadedPart) -> bool:
        """See `UploadRecords.add_part`."""
        values = (part.number, part.etag, part.checksum, upload.download_id, upload.upload_id)
        return await self._access.execute(_ADD_PART, *values) > 0

    async def remove(self, upload: RemoteUpload) -> None:
        """See `UploadRecords.remove`."""

        async def write(connection: asyncpg.Connection) -> None:
            if await execute_counted(connection, _REMOVE, upload.download_id, upload.begun, upload.upload_id):
                await connection.execute(_REMOVE_PARTS, upload.download_id)

        await self._access.write(write)

    async def abandoned(self, *, begun_before: float) -> Sequence[RemoteUpload]:
        """See `UploadRecords.abandoned`."""

        async def read(connection: asyncpg.Connection) -> Sequence[RemoteUpload]:
            rows = await connection.fetch(_ABANDONED, begun_before, MAX_ABANDONED)
            return [decode_upload(tuple(row)) for row in rows]

        return await self._access.read(read)
