"""Untrusted tar archives, packed by gzip, bzip2, xz or not: nothing is unpacked to the disk, and sizes are limited.

The format: POSIX.1-2017, pax. Entries are read fastest in the order of the archive: to go back, a packed archive is
unpacked from its start again.
"""

import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

import msgspec

from downloadd.imports.archive_entries import MAX_ENTRIES, ArchiveEntries, check_name, format_name, too_large_error
from downloadd.imports.decompression import open_decompressed
from downloadd.imports.refusal import DamagedEntryError, ImportRefusedError

MAX_UNPACKED_BYTES: Final = 64 << 30
"""Bytes that the archive has unpacked."""
MAX_READ_BYTES: Final = 1 << 20
"""Bytes of a long name or of the fields of an entry, which `tarfile` reads into memory at once."""

_CHUNK_BYTES: Final = 256 * 1024
_GZIP_SIGNATURE: Final = b"\x1f\x8b"
_SIGNATURE_BYTES: Final = 6
_ARCHIVE_ERRORS: Final = (
    *(tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(ArithmeticError, LookupError, RuntimeError, ValueError),
)
"""Exceptions that the standard library raises for damaged or malicious archives."""


class TarEntry(msgspec.Struct, frozen=True, gc=False):
    """Place of a file in the unpacked archive."""

    offset: int
    size: int


class TarArchive(ArchiveEntries[TarEntry]):
    """Tar archive whose entries are indexed."""

    def __init__(self, file: BinaryIO, *, max_unpacked: int = MAX_UNPACKED_BYTES) -> None:
        """Read all headers; `max_unpacked` limits the bytes of the whole archive.

        Raises:
            ImportRefusedError: the file is not a tar archive, is truncated, exceeds a limit, or has unsafe names.
        """
        super().__init__()
        self._stream = _unpack(file)
        self._is_packed = self._stream is not file
        try:
            self._index(max_unpacked)
        except _ARCHIVE_ERRORS as error:
            raise ImportRefusedError("the file is not a tar archive, or it is truncated") from error

    def close(self) -> None:
        """Close the archive, but not its file."""
        if self._is_packed:
            self._stream.close()

    def size(self, name: str) -> int:
        """Return the length of a file in bytes."""
        return self._entries[name].size

    def position(self, name: str) -> int:
        """Return the offset of a file in the unpacked archive; 0 if it is missing."""
        entry = self._entries.get(name)
        return 0 if entry is None else entry.offset

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in pieces; nothing if no file has this name.

        Raises:
            DamagedEntryError: the file is damaged.
        """
        entry = self._entries.get(name)
        if entry is None:
            return
        try:
            self._stream.seek(entry.offset)
            left = entry.size
            while left:
                piece = self._stream.read(min(left, _CHUNK_BYTES))
                if not piece:
                    raise EOFError
                left -= len(piece)
                yield piece
        except _ARCHIVE_ERRORS as error:
            raise DamagedEntryError(f"{format_name(name)} in the archive is damaged") from error

    def _index(self, max_unpacked: int) -> None:
        count = 0
        with tarfile.open(fileobj=cast("BinaryIO", _LimitedFile(self._stream)), mode="r:") as tar:
            while (info := tar.next()) is not None:
                # The index needs less memory. The attribute is public; its type stubs lack it.
                tar.members.clear()  # type: ignore[attr-defined]
                count += 1
                if count > MAX_ENTRIES or info.offset_data + info.size > max_unpacked:
                    raise too_large_error(
                        f"the archive has more than {MAX_ENTRIES} entries, or unpacks to more than "
                        f"{max_unpacked >> 30} GiB"
                    )
                name = info.name.removeprefix("./")
                check_name(name)
                # `tar` packs a file with several names once; the others are hard links to it.
                linked = self._entries.get(info.linkname.removeprefix("./")) if info.islnk() else None
                if info.isreg() and not info.issparse():
                    self._add(name, TarEntry(info.offset_data, info.size))
                elif linked is not None:
                    self._add(name, linked)
                elif not info.isdir():
                    self._add_special(name)


def _unpack(file: BinaryIO) -> BinaryIO:
    """Return the content of a packed file; the file itself if it is not packed."""
    file.seek(0)
    signature = file.read(_SIGNATURE_BYTES)
    file.seek(0)
    if signature.startswith(_GZIP_SIGNATURE):
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    decompressed = open_decompressed(file, signature)
    return file if decompressed is None else cast("BinaryIO", decompressed)


class _LimitedFile:
    """File that limits the length of one read; `tarfile` reads a header as long as the archive declares it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tell = file.tell

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_READ_BYTES:
            raise too_large_error(f"a header of the archive is longer than {MAX_READ_BYTES >> 20} MiB")
        return self._file.read(size)
