"""Untrusted zip archives: nothing is unpacked to the disk, and sizes are limited.

The format: PKWARE's APPNOTE, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
"""

import lzma
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, Final, cast

from downloadd.imports.archive_entries import MAX_ENTRIES, ArchiveEntries, check_name, format_name, too_large_error
from downloadd.imports.refusal import DamagedEntryError, ImportRefusedError

MAX_DIRECTORY_BYTES: Final = 32 << 20
"""Bytes of the central directory of an archive."""
MAX_UNPACKED_BYTES: Final = 16 << 30
"""Bytes that are unpacked while an import file is read."""

_ARCHIVE_ERRORS: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(ArithmeticError, LookupError, RuntimeError, ValueError),
)
"""Exceptions that the standard library raises for damaged or malicious archives."""
_CHUNK_BYTES: Final = 256 * 1024
_DIRECTORY_ENTRY_SIGNATURE: Final = b"PK\x01\x02"
"""First bytes of each entry of the central directory (APPNOTE, 4.3.12)."""
_MODE_SHIFT: Final = 16
"""Bits of the external attributes below the mode of the file, which programs on Unix write."""
_ENCRYPTED_FLAG: Final = 0x1
_UTF_8_FLAG: Final = 0x800
"""Bit 11 of the flags: the name is UTF-8 (APPNOTE, 4.4.4)."""


class Archive(ArchiveEntries[zipfile.ZipInfo]):
    """Zip archive with a validated central directory."""

    def __init__(self, file: BinaryIO, *, max_unpacked: int = MAX_UNPACKED_BYTES) -> None:
        """Read and validate the central directory; `max_unpacked` limits the bytes of all that is read.

        Raises:
            ImportRefusedError: the file is not a zip archive, is encrypted, exceeds a limit, or has unsafe names.
        """
        super().__init__()
        try:
            self._zip = zipfile.ZipFile(cast("BinaryIO", _LimitedDirectoryFile(file)))
        except _ARCHIVE_ERRORS as error:
            raise ImportRefusedError("the file is not a zip archive, or it is truncated") from error
        try:
            self._validate(file)
        except BaseException:
            self._zip.close()
            raise
        self._max_unpacked = max_unpacked
        self._unpacked = 0
        for info in self._zip.infolist():
            name = _decode_name(info)
            kind = stat.S_IFMT(info.external_attr >> _MODE_SHIFT)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                self._add_special(name)
            elif not name.endswith("/"):
                self._add(name, info)

    def close(self) -> None:
        """Close the archive, but not its file."""
        self._zip.close()

    def size(self, name: str) -> int:
        """Return the declared length of a file in bytes."""
        return self._entries[name].file_size

    def position(self, name: str) -> int:
        """Return the offset of a file in the archive, in which order files are read fastest; 0 if it is missing."""
        info = self._entries.get(name)
        return 0 if info is None else info.header_offset

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in pieces; nothing if no file has this name.

        Raises:
            DamagedEntryError: the file is damaged, or packed by an unknown method.
            ImportRefusedError: more than `max_unpacked` bytes were unpacked.
        """
        info = self._entries.get(name)
        if info is None:
            return
        try:
            with self._zip.open(info) as entry:
                while piece := entry.read(_CHUNK_BYTES):
                    self._unpacked += len(piece)
                    if self._unpacked > self._max_unpacked:
                        raise too_large_error(
                            f"more than {self._max_unpacked >> 30} GiB were unpacked up to {format_name(name)}"
                        )
                    yield piece
        except _ARCHIVE_ERRORS as error:
            raise DamagedEntryError(
                f"{format_name(name)} in the archive is damaged or packed by an unknown method"
            ) from error

    def _validate(self, file: BinaryIO) -> None:
        packed = 0
        for info in self._zip.infolist():
            if info.flag_bits & _ENCRYPTED_FLAG:
                raise ImportRefusedError("the archive is encrypted; export it without a password")
            check_name(info.filename)
            packed += info.compress_size
        if packed > file.seek(0, 2):
            raise too_large_error("entries of the archive overlap, like those of a zip bomb")


class _LimitedDirectoryFile:
    """File of an archive that limits the central directory, which `zipfile` reads into memory at once.

    `zipfile` uses the declared length of the directory and no declared number of entries. The entries are therefore
    counted in the bytes that it reads, so that no second parser can disagree with it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise too_large_error(f"the directory of the archive is longer than {MAX_DIRECTORY_BYTES >> 20} MiB")
        data = self._file.read(size)
        # Contents of entries are read in pieces that are too small for so many signatures.
        if data.count(_DIRECTORY_ENTRY_SIGNATURE) > MAX_ENTRIES:
            raise too_large_error(f"the archive has more than {MAX_ENTRIES} entries")
        return data


def _decode_name(info: zipfile.ZipInfo) -> str:
    """Return the name with slashes, in Unicode's composed form (NFC).

    macOS packs decomposed UTF-8 without its flag, which `zipfile` decodes as code page 437. Some programs on Windows
    write backslashes, which are no part of names in an archive (APPNOTE, 4.4.17.1).
    """
    name = info.filename
    if not info.flag_bits & _UTF_8_FLAG and not name.isascii():
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return unicodedata.normalize("NFC", name.replace("\\", "/"))
