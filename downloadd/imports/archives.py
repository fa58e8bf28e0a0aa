"""Archives of any format, as files are taken from them."""

from typing import Any, BinaryIO, Final

from downloadd.imports.archive import Archive
from downloadd.imports.archive_entries import ArchiveEntries
from downloadd.imports.tar_archive import TarArchive

_ZIP_SIGNATURE: Final = b"PK"
_NO_LIMIT: Final = 1 << 62
"""Bytes of the files that are taken; the storage limits them."""


def open_archive(file: BinaryIO) -> ArchiveEntries[Any]:
    """Open a zip or tar archive; blocks.

    Raises:
        ImportRefusedError: the file is neither, or exceeds a limit.
    """
    signature = file.read(len(_ZIP_SIGNATURE))
    file.seek(0)
    if signature == _ZIP_SIGNATURE:
        return Archive(file, max_unpacked=_NO_LIMIT)
    return TarArchive(file, max_unpacked=_NO_LIMIT)
