"""Files of a watch folder on the disk: all calls block.

A file that is taken moves to `processing`, with its progress in a hidden file beside it, and at its end to `done` or
`failed`, with its result beside it. Each move is one rename, so that a file is in one place at any time, and each step
may be repeated after a crash.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import msgspec

from downloadd.stable_storage import sync_directory
from downloadd.watch.candidates import FolderFile, is_candidate
from downloadd.watch.outcome import FileProgress, FileResult, Outcome

PROCESSING_NAME: Final = "processing"
RESULT_SUFFIX: Final = ".result.json"
MAX_NAME_BYTES: Final = 200
"""Bytes of the name of a file that was taken, so that the names of the files beside it are not too long."""
_OUTCOME_NAMES: Final = tuple(Outcome)
_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FolderInUseError(OSError):
    """Another process watches the folder."""


class WatchFolder:
    """A watch folder that this process alone uses while this is open. Opens and closes with `with`.

    Raises:
        FolderInUseError: on entering, another process watches it.
        OSError: on entering and of each call, the directory cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._processing = path / PROCESSING_NAME
        self._lock = -1

    def __enter__(self) -> Self:
        for name in (PROCESSING_NAME, *_OUTCOME_NAMES):
            (self._path / name).mkdir(exist_ok=True)
        self._lock = os.open(self._processing, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise FolderInUseError(error.errno, "another daemon watches it") from None
        except OSError:
            # Network file systems that have no locks say so by different errors.
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def is_same(self) -> bool:
        """Return True if the directory that is locked is still at the path."""
        held, found = os.fstat(self._lock), self._processing.stat()
        return (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino)

    def scan(self) -> list[FolderFile]:
        """Return the regular files that may be import files."""
        with os.scandir(self._path) as entries:
            found = [entry for entry in entries if is_candidate(entry.name)]
            return [file for entry in found if (file := _read_entry(entry)) is not None]

    def take(self, name: str) -> str:
        """Move a file to `processing`; return its name there, which no file of an earlier result has.

        It is text in UTF-8, of `MAX_NAME_BYTES` and a number at most.
        """
        taken = next(each for each in _numbered(_shorten(name)) if self._is_free(each))
        # A crash may have left the progress of an earlier file of this name.
        self._progress_path(taken).unlink(missing_ok=True)
        (self._path / name).rename(self._processing / taken)
        return taken

    def processing(self) -> list[str]:
        """Return the names of the files that were taken and have no result, in alphabetical order."""
        with os.scandir(self._processing) as entries:
            return sorted(
                entry.name for entry in entries if is_candidate(entry.name) and entry.is_file(follow_symlinks=False)
            )

    def open_taken(self, name: str) -> BinaryIO:
        """Open a file that was taken, for reading."""
        return open(self._processing / name, "rb", opener=lambda path, flags: os.open(path, _READ_FLAGS))

    def read_progress(self, name: str) -> FileProgress:
        """Return the progress of a file that was taken; that of a new one if it was never written or is damaged."""
        try:
            return msgspec.json.decode(self._progress_path(name).read_bytes(), type=FileProgress)
        except (FileNotFoundError, msgspec.DecodeError):
            return FileProgress()

    def write_progress(self, name: str, progress: FileProgress) -> None:
        """Write the progress of a file that was taken; it is on stable storage on return."""
        _replace(self._progress_path(name), msgspec.json.encode(progress))

    def settle(self, name: str, result: FileResult) -> None:
        """Write the result of a file that was taken, and move the file there."""
        directory = self._path / result.outcome
        _replace(directory / f"{name}{RESULT_SUFFIX}", msgspec.json.format(msgspec.json.encode(result)) + b"\n")
        (self._processing / name).rename(directory / name)
        sync_directory(directory)
        self._progress_path(name).unlink(missing_ok=True)
        sync_directory(self._processing)

    def _progress_path(self, name: str) -> Path:
        return self._processing / f".{name}.progress"

    def _is_free(self, name: str) -> bool:
        places = (self._processing / name, *(self._path / outcome / name for outcome in _OUTCOME_NAMES))
        return not any(os.path.lexists(place) for place in places)


def _read_entry(entry: "os.DirEntry[str]") -> FolderFile | None:
    """Return a regular file; None for what is something else or was removed meanwhile."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FolderFile(name=entry.name, inode=status.st_ino, size=status.st_size, modified=status.st_mtime_ns)


def _shorten(name: str) -> str:
    """Return a name without bytes that are not UTF-8, with the end of its stem cut off if it is too long."""
    stem, suffix = os.path.splitext(os.fsencode(name).decode(errors="replace"))
    room = max(0, MAX_NAME_BYTES - len(suffix.encode()))
    return f"{stem.encode()[:room].decode(errors='ignore')}{suffix}"[:MAX_NAME_BYTES]


def _numbered(name: str) -> Iterator[str]:
    """Yield the name, and then the name with numbers from 2."""
    yield name
    stem, suffix = os.path.splitext(name)
    number = 2
    while True:
        yield f"{stem} ({number}){suffix}"
        number += 1


def _replace(path: Path, content: bytes) -> None:
    """Write a file in place of an earlier one, durably."""
    unfinished = path.with_name(f".{path.name}.tmp")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    sync_directory(path.parent)
