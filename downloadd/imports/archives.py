"""Archives of any format, as files are taken from them."""

from typing import Any, BinaryIO, Final

from downloadd.imports.archive import Archive
from downloadd.imports.archive_entries import ArchiveEntries
from downloadd.imports.tar_archive import TarArchive

_ZIP_SIGNATURE: Final = b"PK"
_NO_LIMIT: Final = 1 << 62
"""Bytes of the files that are taken; the storage limits them."""


def open_archive(file: BinaryIO, *, max_unpacked: int | None = None) -> ArchiveEntries[Any]:
    """Open a zip or tar archive; blocks. `max_unpacked` limits the bytes that are unpacked.

    Raises:
        ImportRefusedError: the file is neither, or exceeds a limit.
    """
    signature = file.read(len(_ZIP_SIGNATURE))
    file.seek(0)
    limit = _NO_LIMIT if max_unpacked is None else max_unpacked
    if signature == _ZIP_SIGNATURE:
        return Archive(file, max_unpacked=limit)
    return TarArchive(file, max_unpacked=limit)
