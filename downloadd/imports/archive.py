"""Zip archives of strangers: nothing is unpacked to the disk, and no bomb goes off.

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

from downloadd.imports.refusal import ImportRefusedError, RefusalCode

MAX_ENTRIES: Final = 300_000
"""Some 600 bytes of memory each."""
MAX_DIRECTORY_BYTES: Final = 32 << 20
"""Bytes of the archive's own list of its entries."""
MAX_NAME_CHARACTERS: Final = 4096
"""Characters; more than any system packs."""
MAX_ENTRY_BYTES: Final = 64 << 20
"""Bytes of one entry once it is unpacked: it is held in memory."""
MAX_TOTAL_BYTES: Final = 64 << 30
"""Bytes of all entries once they are unpacked."""
MAX_COMPRESSION_RATIO: Final = 200
"""How many times as long an entry of more than a MiB may get; real text stays under 30."""

_ARCHIVE_ERRORS: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(ArithmeticError, LookupError, RuntimeError, ValueError),
)
"""What the standard library says of archives that are damaged, or made to be."""
_MIN_RATIO_CHECK_BYTES: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 20
_DIRECTORY_ENTRY_SIGNATURE: Final = b"PK\x01\x02"
"""What each entry of the directory begins with (APPNOTE, 4.3.12)."""
_ENCRYPTED_FLAG: Final = 0x1
_UTF_8_FLAG: Final = 0x800
"""Bit 11 of the flags: so is the name (APPNOTE, 4.4.4)."""


class Archive:
    """A zip archive whose directory has been judged. Use it in a `with` block; blocks."""

    def __init__(self, file: BinaryIO) -> None:
        """Reads the archive's directory.

        Raises:
            ImportRefusedError: it is no zip, encrypted, a bomb, or holds names that lead elsewhere.
        """
        try:
            self._zip = zipfile.ZipFile(cast("BinaryIO", _LimitedDirectoryFile(file)))
        except _ARCHIVE_ERRORS as error:
            raise ImportRefusedError("the file is no zip archive, or it is cut short") from error
        try:
            self._validate(file)
        except BaseException:
            self._zip.close()
            raise
        self._entries = {_decode_name(info): info for info in self._zip.infolist() if not _is_directory(info)}

    def __enter__(self) -> Self:
        """Nothing is to be done."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the archive, and leaves its file open."""
        self._zip.close()

    @property
    def names(self) -> Sequence[str]:
        """The files in it, in the order of the archive."""
        return tuple(self._entries)

    def read(self, name: str) -> bytes:
        """One file of the archive; empty when there is none of that name.

        Raises:
            ImportRefusedError: it is damaged, packed in a way that is not known, or too long.
        """
        info = self._entries.get(name)
        if info is None:
            return b""
        if info.file_size > MAX_ENTRY_BYTES:
            raise _too_large_error(f"{_format_name(name)} in the archive is too large")
        try:
            with self._zip.open(info) as entry, io.BytesIO() as data:
                # Piece by piece, so that what is packed and what is unpacked never lie whole beside each other.
                while data.tell() <= MAX_ENTRY_BYTES and (piece := entry.read(_CHUNK_BYTES)):
                    data.write(piece)
                unpacked = data.getvalue()
        except _ARCHIVE_ERRORS as error:
            raise ImportRefusedError(
                f"{_format_name(name)} in the archive is damaged or packed in an unknown way"
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
                raise ImportRefusedError(f"the archive holds a name that is too long: {_format_name(info.filename)}")
            if _is_unsafe_path(info.filename):
                raise ImportRefusedError(
                    f"the archive holds a name that leads elsewhere: {_format_name(info.filename)}"
                )
            total += info.file_size
            packed += info.compress_size
            if info.file_size > _MIN_RATIO_CHECK_BYTES and info.file_size > MAX_COMPRESSION_RATIO * max(
                1, info.compress_size
            ):
                raise _too_large_error(f"{_format_name(info.filename)} in the archive is packed like a zip bomb")
        if total > MAX_TOTAL_BYTES:
            raise _too_large_error(f"the archive unpacks to more than {MAX_TOTAL_BYTES >> 30} GiB")
        # Entries that lie over each other unpack to more than any ratio of theirs tells.
        if packed > file.seek(0, 2):
            raise _too_large_error("entries of the archive lie over each other, like in a zip bomb")


class _LimitedDirectoryFile:
    """The file of an archive, for a reader that takes the whole directory into memory at once.

    It goes by how long the directory is said to be, and by no count of entries; so they are counted here, where it
    asks for the bytes, and no other reading of the end of the archive can be at odds with its own.
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
        # The entries themselves are read in pieces, of which none can hold so many.
        if data.count(_DIRECTORY_ENTRY_SIGNATURE) > MAX_ENTRIES:
            raise _too_large_error(f"the archive has more than {MAX_ENTRIES} entries")
        return data


def _decode_name(info: zipfile.ZipInfo) -> str:
    """The name as whoever packed it meant it, composed (Unicode's NFC): macOS says nothing of UTF-8, and decomposes."""
    name = info.filename
    if not info.flag_bits & _UTF_8_FLAG and not name.isascii():
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return unicodedata.normalize("NFC", name)


def _is_directory(info: zipfile.ZipInfo) -> bool:
    # A name may be empty, which `is_dir` does not expect.
    return info.filename.endswith("/")


def _is_unsafe_path(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or "\0" in name or (len(name) > 1 and name[1] == ":")


def _format_name(name: str) -> str:
    return repr(name[:100])


def _too_large_error(sentence: str) -> ImportRefusedError:
    return ImportRefusedError(sentence, RefusalCode.FILE_TOO_LARGE)
