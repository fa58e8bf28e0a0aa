"""Untrusted zip archives: nothing is unpacked to the disk, and sizes are limited.

The format: PKWARE's APPNOTE, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
"""

import lzma
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

from downloadd.import_operation import ImportErrorCode, SkippedEntry, SkipReason
from downloadd.imports.refusal import DamagedEntryError, ImportRefusedError

MAX_ENTRIES: Final = 300_000
"""Files in an archive; each takes about 600 bytes of memory."""
MAX_DIRECTORY_BYTES: Final = 32 << 20
"""Bytes of the central directory of an archive."""
MAX_NAME_CHARACTERS: Final = 4096
"""Characters of a name; no operating system allows more."""
MAX_ENTRY_BYTES: Final = 64 << 20
"""Bytes of one unpacked entry that is held in memory as a whole."""
MAX_UNPACKED_BYTES: Final = 16 << 30
"""Bytes that are unpacked while an import file is read."""

_ARCHIVE_ERRORS: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(ArithmeticError, LookupError, RuntimeError, ValueError),
)
"""Exceptions that the standard library raises for damaged or malicious archives."""
_CHUNK_BYTES: Final = 256 * 1024
_MAX_SHOWN_CHARACTERS: Final = 80
_DIRECTORY_ENTRY_SIGNATURE: Final = b"PK\x01\x02"
"""First bytes of each entry of the central directory (APPNOTE, 4.3.12)."""
_METADATA_NAMES: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_ENCRYPTED_FLAG: Final = 0x1
_UTF_8_FLAG: Final = 0x800
"""Bit 11 of the flags: the name is UTF-8 (APPNOTE, 4.4.4)."""


class Archive:
    """Zip archive with a validated central directory. Opens with `with`; blocks.

    Attributes:
        duplicates: names of files that a later entry of the same name replaces.
    """

    def __init__(self, file: BinaryIO, *, max_unpacked: int = MAX_UNPACKED_BYTES) -> None:
        """Read and validate the central directory; `max_unpacked` limits the bytes of all that is read.

        Raises:
            ImportRefusedError: the file is not a zip archive, is encrypted, exceeds a limit, or has unsafe names.
        """
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
        self._entries: dict[str, zipfile.ZipInfo] = {}
        self.duplicates: list[str] = []
        for info in self._zip.infolist():
            name = _decode_name(info)
            if name.endswith("/") or is_packer_metadata(name):
                continue
            if name in self._entries:
                self.duplicates.append(name)
            self._entries[name] = info

    def __enter__(self) -> Self:
        """Return the archive, which is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the archive, but not its file."""
        self.close()

    def close(self) -> None:
        """Close the archive, but not its file."""
        self._zip.close()

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the files in the order of the archive."""
        return tuple(self._entries)

    def __contains__(self, name: str) -> bool:
        """Return True if a file has this name."""
        return name in self._entries

    def size(self, name: str) -> int:
        """Return the declared length of a file in bytes."""
        return self._entries[name].file_size

    def position(self, name: str) -> int:
        """Return the offset of a file in the archive, in which order files are read fastest; 0 if it is missing."""
        info = self._entries.get(name)
        return 0 if info is None else info.header_offset

    def read(self, name: str) -> bytes:
        """Return the content of a file; empty if no file has this name.

        Raises:
            DamagedEntryError: the file is damaged, or packed by an unknown method.
            ImportRefusedError: the file is too long.
        """
        if name not in self._entries:
            return b""
        if self.size(name) > MAX_ENTRY_BYTES:
            raise _too_large_error(f"{_format_name(name)} in the archive is too large")
        data = bytearray()
        for piece in self.pieces(name):
            data += piece
            if len(data) > MAX_ENTRY_BYTES:
                raise _too_large_error(f"{_format_name(name)} in the archive is too large")
        return bytes(data)

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
                        raise _too_large_error(
                            f"more than {self._max_unpacked >> 30} GiB were unpacked up to {_format_name(name)}"
                        )
                    yield piece
        except _ARCHIVE_ERRORS as error:
            raise DamagedEntryError(
                f"{_format_name(name)} in the archive is damaged or packed by an unknown method"
            ) from error

    def _validate(self, file: BinaryIO) -> None:
        packed = 0
        for info in self._zip.infolist():
            if info.flag_bits & _ENCRYPTED_FLAG:
                raise ImportRefusedError("the archive is encrypted; export it without a password")
            check_name(info.filename)
            packed += info.compress_size
        if packed > file.seek(0, 2):
            raise _too_large_error("entries of the archive overlap, like those of a zip bomb")


def check_name(name: str) -> None:
    """Check the name of an entry of an archive.

    Raises:
        ImportRefusedError: it is too long, or leads outside of the archive.
    """
    if len(name) > MAX_NAME_CHARACTERS:
        raise ImportRefusedError(f"the archive has a name that is too long: {_format_name(name)}")
    if _is_unsafe_path(name):
        raise ImportRefusedError(f"the archive has a name that leads outside of it: {_format_name(name)}")


def report_duplicates(names: Iterable[str]) -> Iterator[SkippedEntry]:
    """Yield a report of each entry that a later one of the same name replaces."""
    for name in names:
        yield SkippedEntry(
            reason=SkipReason.DUPLICATE_ENTRY,
            detail="a later entry has the same name",
            entry=name[:_MAX_SHOWN_CHARACTERS],
        )


def is_packer_metadata(name: str) -> bool:
    """Return True for what operating systems add to each archive: no export has it, and it contains no content."""
    base = name.rpartition("/")[2]
    return not name or name.startswith("__MACOSX/") or base.startswith("._") or base in _METADATA_NAMES


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
            raise _too_large_error(f"the directory of the archive is longer than {MAX_DIRECTORY_BYTES >> 20} MiB")
        data = self._file.read(size)
        # Contents of entries are read in pieces that are too small for so many signatures.
        if data.count(_DIRECTORY_ENTRY_SIGNATURE) > MAX_ENTRIES:
            raise _too_large_error(f"the archive has more than {MAX_ENTRIES} entries")
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


def _is_unsafe_path(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or "\0" in name or (len(name) > 1 and name[1] == ":")


def _format_name(name: str) -> str:
    return repr(name[:100])


def _too_large_error(message: str) -> ImportRefusedError:
    return ImportRefusedError(message, ImportErrorCode.FILE_TOO_LARGE)
