"""Move of a completed file to a directory of this machine, also on another file system. All of it blocks.

The file has its new name, on stable storage, before the caller removes the old one. A move that was interrupted can be
repeated: the file that is there already is recognized by its identity or its content.
"""

import os
import shutil
from pathlib import Path
from typing import BinaryIO, Final

from downloadd.storage.names import SafeName, numbered_name

_CHUNK_BYTES: Final = 1 << 20


def place_file(file: BinaryIO, directory: Path, filename: SafeName, *, token: str) -> Path:
    """Give an open file a name in another directory, which is created; return its path there.

    A taken name gets a number. `token` distinguishes the unfinished copies of files.

    Raises:
        OSError: the directory cannot be used, or the disk is full.
    """
    directory.mkdir(parents=True, exist_ok=True)
    placement = _Placement(file, directory / f".downloadd-{token}.tmp")
    try:
        number = 0
        while True:
            path = directory / (numbered_name(filename, number) if number else filename)
            if _is_same(file, path) or placement.link(path):
                _sync_directory(directory)
                return path
            number += 1
    finally:
        placement.copy.unlink(missing_ok=True)


class _Placement:
    """A file that gets another name: by a link, or by a copy where links do not reach.

    Attributes:
        copy: the path of the copy.
    """

    def __init__(self, file: BinaryIO, copy: Path) -> None:
        self.copy = copy
        self._file = file
        self._has_copy = False

    def link(self, path: Path) -> bool:
        """Give the file a name; return False if it is taken."""
        if not self._has_copy:
            try:
                os.link(f"/proc/self/fd/{self._file.fileno()}", path, follow_symlinks=True)
                return True
            except FileExistsError:
                return False
            except OSError:
                # The directory is on another file system, or on one without hard links, or /proc is not mounted.
                _copy(self._file, self.copy)
                self._has_copy = True
        try:
            os.link(self.copy, path)
        except FileExistsError:
            return False
        except OSError:
            # A file system without hard links.
            if os.path.lexists(path):
                return False
            self.copy.rename(path)
        return True


def _copy(file: BinaryIO, path: Path) -> None:
    status = os.fstat(file.fileno())
    try:
        with path.open("wb") as copy:
            file.seek(0)
            shutil.copyfileobj(file, copy, _CHUNK_BYTES)
            copy.flush()
            os.fchmod(copy.fileno(), status.st_mode & 0o777)
            os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(copy.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _is_same(file: BinaryIO, path: Path) -> bool:
    """Return True if the file at the path is this one, or has its content."""
    own = os.fstat(file.fileno())
    try:
        with open(path, "rb", opener=_open_file) as other:
            found = os.fstat(other.fileno())
            if os.path.samestat(own, found):
                return True
            if own.st_size != found.st_size:
                return False
            file.seek(0)
            while piece := file.read(_CHUNK_BYTES):
                if other.read(_CHUNK_BYTES) != piece:
                    return False
            return True
    except OSError:
        return False


def _open_file(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
