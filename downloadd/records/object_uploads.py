"""Records of multipart uploads to object storage, in the database of the downloads; see `UploadRecords`."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from downloadd.records.access import DatabaseAccess
from downloadd.records.rows import Row, decode_struct
from downloadd.remote_upload import RemoteUpload, UploadedPart

UPLOAD_FIELDS: Final = RemoteUpload.__struct_fields__
PART_FIELDS: Final = UploadedPart.__struct_fields__
MAX_ABANDONED: Final = 100
"""Rows of one search for abandoned uploads."""

# The SQL is composed of the names in the structs only.
# ruff: noqa: S608
_FIND: Final = f"SELECT {', '.join(UPLOAD_FIELDS)} FROM object_uploads WHERE download_id = ?"
_PARTS: Final = f"SELECT {', '.join(PART_FIELDS)} FROM object_parts WHERE download_id = ? ORDER BY number"
_BEGIN: Final = (
    f"INSERT OR REPLACE INTO object_uploads ({', '.join(UPLOAD_FIELDS)}) "
    f"VALUES ({', '.join('?' for _ in UPLOAD_FIELDS)})"
)
_SET_ID: Final = "UPDATE object_uploads SET upload_id = ? WHERE download_id = ? AND begun = ? AND upload_id IS NULL"
_ADD_PART: Final = (
    "INSERT OR REPLACE INTO object_parts (download_id, number, etag, checksum) "
    "SELECT download_id, ?, ?, ? FROM object_uploads WHERE download_id = ? AND upload_id = ?"
)
_REMOVE: Final = "DELETE FROM object_uploads WHERE download_id = ? AND begun = ? AND upload_id IS ?"
_REMOVE_PARTS: Final = "DELETE FROM object_parts WHERE download_id = ?"
_ABANDONED: Final = (
    f"SELECT {', '.join(f'object_uploads.{name}' for name in UPLOAD_FIELDS)} FROM object_uploads "
    "LEFT JOIN downloads ON downloads.id = object_uploads.download_id "
    "WHERE CASE WHEN downloads.id IS NULL THEN object_uploads.begun < ? "
    "ELSE downloads.ended_seq IS NOT NULL AND downloads.part_name IS NULL END LIMIT ?"
)


class SqliteUploads:
    """`UploadRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access

    async def find(self, download_id: str) -> tuple[RemoteUpload, Sequence[UploadedPart]] | None:
        """See `UploadRecords.find`."""

        def read(connection: sqlite3.Connection) -> tuple[RemoteUpload, Sequence[UploadedPart]] | None:
            row = connection.execute(_FIND, (download_id,)).fetchone()
            if row is None:
                return None
            parts = connection.execute(_PARTS, (download_id,)).fetchall()
            return decode_upload(row), [decode_part(part) for part in parts]

        return await self._access.read(read)

    async def begin(self, upload: RemoteUpload) -> None:
        """See `UploadRecords.begin`."""

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(_REMOVE_PARTS, (upload.download_id,))
            cursor.execute(_BEGIN, msgspec.structs.astuple(upload))

        await self._access.write(write)

    async def set_id(self, upload: RemoteUpload, upload_id: str) -> bool:
        """See `UploadRecords.set_id`."""

        def write(cursor: sqlite3.Cursor) -> bool:
            return cursor.execute(_SET_ID, (upload_id, upload.download_id, upload.begun)).rowcount > 0

        return await self._access.write(write)

    async def add_part(self, upload: RemoteUpload, part: UploadedPart) -> bool:
        """See `UploadRecords.add_part`."""

        def write(cursor: sqlite3.Cursor) -> bool:
            values = (part.number, part.etag, part.checksum, upload.download_id, upload.upload_id)
            return cursor.execute(_ADD_PART, values).rowcount > 0

        return await self._access.write(write)

    async def remove(self, upload: RemoteUpload) -> None:
        """See `UploadRecords.remove`."""

        def write(cursor: sqlite3.Cursor) -> None:
            if cursor.execute(_REMOVE, (upload.download_id, upload.begun, upload.upload_id)).rowcount:
                cursor.execute(_REMOVE_PARTS, (upload.download_id,))

        await self._access.write(write)

    async def abandoned(self, *, begun_before: float) -> Sequence[RemoteUpload]:
        """See `UploadRecords.abandoned`."""

        def read(connection: sqlite3.Connection) -> Sequence[RemoteUpload]:
            rows = connection.execute(_ABANDONED, (begun_before, MAX_ABANDONED)).fetchall()
            return [decode_upload(row) for row in rows]

        return await self._access.read(read)


def decode_upload(row: Row) -> RemoteUpload:
    """Return the upload in a row.

    Raises:
        StorageError: the row is damaged.
    """
    return decode_struct(row, RemoteUpload, name=0, kind="upload of download")


def decode_part(row: Row) -> UploadedPart:
    """Return the part in a row.

    Raises:
        StorageError: the row is damaged.
    """
    return decode_struct(row, UploadedPart, name=0, kind="part of an upload, no.")
