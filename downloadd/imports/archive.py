"""Untrusted zip archives: nothing is unpacked to the disk, and sizes are limited.

The format: PKWARE's APPNOTE, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
"""

import io
import lzma
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

from downloadd.import_operation import ImportErrorCode
from downloadd.imports.refusal import ImportRefusedError

MAX_ENTRIES: Final = 300_000
"""Files in an archive; each takes about 600 bytes of memory."""
MAX_DIRECTORY_BYTES: Final = 32 << 20
"""Bytes of the central directory of an archive."""
MAX_NAME_CHARACTERS: Final = 4096
"""Characters of a name; no operating system allows more."""
MAX_ENTRY_BYTES: Final = 64 << 20
"""Bytes of one unpacked entry, which is held in memory."""
MAX_TOTAL_BYTES: Final = 64 << 30
"""Bytes of all unpacked entries."""
MAX_COMPRESSION_RATIO: Final = 200
"""Ratio of unpacked to packed bytes of an entry of more than one MiB; that of real text is below 30."""

_ARCHIVE_ERRORS: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(ArithmeticError, LookupError, RuntimeError, ValueError),
)
"""Exceptions that the standard library raises for damaged or malicious archives."""
_MIN_RATIO_CHECK_BYTES: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 20
_DIRECTORY_ENTRY_SIGNATURE: Final = b"PK\x01\x02"
"""First bytes of each entry of the central directory (APPNOTE, 4.3.12)."""
_ENCRYPTED_FLAG: Final = 0x1
_UTF_8_FLAG: Final = 0x800
"""Bit 11 of the flags: the name is UTF-8 (APPNOTE, 4.4.4)."""


class Archive:
    """Zip archive with a validated central directory. Opens with `with`; blocks."""

    def __init__(self, file: BinaryIO) -> None:
        """Read and validate the central directory.

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
        self._entries = {_decode_name(info): info for info in self._zip.infolist() if not _is_directory(info)}

    def __enter__(self) -> Self:
        """Return the archive, which is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the archive, but not its file."""
        self._zip.close()

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the files in the order of the archive."""
        return tuple(self._entries)

    def read(self, name: str) -> bytes:
        """Return the content of a file; empty if no file has this name.

        Raises:
            ImportRefusedError: the file is damaged, too long, or packed by an unknown method.
        """
        info = self._entries.get(name)
        if info is None:
            return b""
        if info.file_size > MAX_ENTRY_BYTES:
            raise _too_large_error(f"{_format_name(name)} in the archive is too large")
        try:
            with self._zip.open(info) as entry, io.BytesIO() as data:
                # In pieces, so that the packed and the unpacked content are not in memory together.
                while data.tell() <= MAX_ENTRY_BYTES and (piece := entry.read(_CHUNK_BYTES)):
                    data.write(piece)
                unpacked = data.getvalue()
        except _ARCHIVE_ERRORS as error:
            raise ImportRefusedError(
                f"{_format_name(name)} in the archive is damaged or packed by an unknown method"
            ) from error
        if len(unpacked) > MAX_ENTRY_BYTES:
            raise _too_large_error(f"{_format_name(name)} in the archive is too large")
        return unpacked

    def _validate(self, file: BinaryIO) -> None:
        entries = self._zip.infolist()
        total = packed = 0
        for info in entries:
            if info.flag_bits & _ENCRYPTED_FLAG:
                raise ImportRefusedError("the archive is encrypted; export it without a password")
            if len(info.filename) > MAX_NAME_CHARACTERS:
                raise ImportRefusedError(f"the archive has a name that is too long: {_format_name(info.filename)}")
            if _is_unsafe_path(info.filename):
                raise ImportRefusedError(
                    f"the archive has a name that leads outside of it: {_format_name(info.filename)}"
                )
            total += info.file_size
            packed += info.compress_size
            if info.file_size > _MIN_RATIO_CHECK_BYTES and info.file_size > MAX_COMPRESSION_RATIO * max(
                1, info.compress_size
            ):
                raise _too_large_error(f"{_format_name(info.filename)} in the archive is packed like a zip bomb")
        if total > MAX_TOTAL_BYTES:
            raise _too_large_error(f"the archive unpacks to more than {MAX_TOTAL_BYTES >> 30} GiB")
        # Entries that overlap unpack to more bytes than their ratios show.
        if packed > file.seek(0, 2):
            raise _too_large_error("entries of the archive overlap, like those of a zip bomb")


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
    """Return the name in Unicode's composed form (NFC).

    macOS packs decomposed UTF-8 without its flag, which `zipfile` decodes as code page 437.
    """
    name = info.filename
    if not info.flag_bits & _UTF_8_FLAG and not name.isascii():
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return unicodedata.normalize("NFC", name)


def _is_directory(info: zipfile.ZipInfo) -> bool:
    # `ZipInfo.is_dir` fails for an empty name.
    return info.filename.endswith("/")


def _is_unsafe_path(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or "\0" in name or (len(name) > 1 and name[1] == ":")


def _format_name(name: str) -> str:
    return repr(name[:100])


def _too_large_error(message: str) -> ImportRefusedError:
    return ImportRefusedError(message, ImportErrorCode.FILE_TOO_LARGE)
