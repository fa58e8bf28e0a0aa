"""Archives of any format, as files are taken from them."""

from collections.abc import Iterator
from typing import BinaryIO, Final, Protocol

from downloadd.imports.archive import Archive
from downloadd.imports.tar_archive import TarArchive

_ZIP_SIGNATURE: Final = b"PK"
_NO_LIMIT: Final = 1 << 62
"""Bytes of the files that are taken; the storage limits them."""


class AnyArchive(Protocol):
    """Archive of any format."""

    def size(self, name: str) -> int:
        """Return the declared length of a file in bytes."""
        ...

    def position(self, name: str) -> int:
        """Return the place of a file in the archive, in which order files are read fastest."""
        ...

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file."""
        ...

    def close(self) -> None:
        """Close the archive, but not its file."""
        ...


def open_archive(file: BinaryIO) -> AnyArchive:
    """Open a zip or tar archive; blocks.

    Raises:
        ImportRefusedError: the file is neither, or exceeds a limit.
    """
    signature = file.read(len(_ZIP_SIGNATURE))
    file.seek(0)
    if signature == _ZIP_SIGNATURE:
        return Archive(file, max_unpacked=_NO_LIMIT)
    return TarArchive(file, max_unpacked=_NO_LIMIT)
