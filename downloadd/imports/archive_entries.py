"""Files of an untrusted archive by their names, whatever its format: names, limits and duplicates."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from downloadd.import_operation import ImportErrorCode, SkippedEntry, SkipReason
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.skipping import shorten

EntryT = TypeVar("EntryT")

MAX_ENTRIES: Final = 300_000
"""Files in an archive; each takes about 600 bytes of memory."""
MAX_NAME_CHARACTERS: Final = 4096
"""Characters of a name; no operating system allows more."""
MAX_ENTRY_BYTES: Final = 64 << 20
"""Bytes of one unpacked entry that is held in memory as a whole."""

_METADATA_NAMES: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


class ArchiveEntries(ABC, Generic[EntryT]):
    """Files of an archive. Opens with `with`; blocks.

    Attributes:
        duplicates: names of files that a later entry of the same name replaces.
        specials: names of entries that are neither files nor directories.
    """

    def __init__(self) -> None:
        self.duplicates: list[str] = []
        self.specials: list[str] = []
        self._entries: dict[str, EntryT] = {}

    def __enter__(self) -> Self:
        """Return the archive, which is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the archive, but not its file."""
        self.close()

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the files in the order of the archive."""
        return tuple(self._entries)

    def __contains__(self, name: str) -> bool:
        """Return True if a file has this name."""
        return name in self._entries

    @abstractmethod
    def close(self) -> None:
        """Close the archive, but not its file."""

    @abstractmethod
    def size(self, name: str) -> int:
        """Return the declared length of a file in bytes."""

    @abstractmethod
    def position(self, name: str) -> int:
        """Return the place of a file, in which order files are read fastest; 0 if it is missing."""

    @abstractmethod
    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in pieces; nothing if no file has this name.

        Raises:
            DamagedEntryError: the file is damaged.
            ImportRefusedError: a limit is exceeded.
        """

    def read(self, name: str) -> bytes:
        """Return the content of a file; empty if no file has this name.

        Raises:
            DamagedEntryError: the file is damaged.
            ImportRefusedError: the file is too long.
        """
        if name not in self._entries:
            return b""
        if self.size(name) > MAX_ENTRY_BYTES:
            raise too_large_error(f"{format_name(name)} in the archive is too large")
        data = bytearray()
        for piece in self.pieces(name):
            data += piece
            if len(data) > MAX_ENTRY_BYTES:
                raise too_large_error(f"{format_name(name)} in the archive is too large")
        return bytes(data)

    def _add(self, name: str, entry: EntryT) -> None:
        """Add a file, unless an operating system has added it to the archive; the last one of a name counts."""
        if _is_packer_metadata(name):
            return
        if name in self._entries:
            self.duplicates.append(name)
        self._entries[name] = entry

    def _add_special(self, name: str) -> None:
        """Add an entry that is a link, a device or the like."""
        if not _is_packer_metadata(name):
            self.specials.append(name)


def check_name(name: str) -> None:
    """Check the name of an entry of an archive.

    Raises:
        ImportRefusedError: it is too long, or leads outside of the archive.
    """
    if len(name) > MAX_NAME_CHARACTERS:
        raise ImportRefusedError(f"the archive has a name that is too long: {format_name(name)}")
    if _is_unsafe_path(name):
        raise ImportRefusedError(f"the archive has a name that leads outside of it: {format_name(name)}")


def report_unread(archive: ArchiveEntries[Any]) -> Iterator[SkippedEntry]:
    """Yield a report of each entry that a later one of the same name replaces, and of each that is not a file."""
    for name in archive.duplicates:
        yield SkippedEntry(
            reason=SkipReason.DUPLICATE_ENTRY,
            detail="a later entry has the same name",
            entry=shorten(name),
        )
    for name in archive.specials:
        yield SkippedEntry(
            reason=SkipReason.UNKNOWN_ENTRY,
            detail="the entry is a link or a device, and not a file",
            entry=shorten(name),
        )


def _is_packer_metadata(name: str) -> bool:
    """Return True for what operating systems add to each archive: no export has it, and it contains no content."""
    base = name.rpartition("/")[2]
    return not name or name.startswith("__MACOSX/") or base.startswith("._") or base in _METADATA_NAMES


def _is_unsafe_path(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or "\0" in name or (len(name) > 1 and name[1] == ":")


def format_name(name: str) -> str:
    """Return a name for a message, quoted and shortened."""
    return repr(name[:100])


def too_large_error(message: str) -> ImportRefusedError:
    """Return the error for a limit that is exceeded."""
    return ImportRefusedError(message, ImportErrorCode.FILE_TOO_LARGE)
