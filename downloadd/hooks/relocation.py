"""Move of a completed file to a directory of this machine, also on another file system. All of it blocks.

The file has its new name, on stable storage, before the caller removes the old one. A move that was interrupted can be
repeated: the file that is there already is recognized by its identity or its content.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from downloadd.stable_storage import sync_directory
from downloadd.storage.names import SafeName, numbered_name

_CHUNK_BYTES: Final = 1 << 20


def place_file(file: BinaryIO, directory: Path, filename: SafeName, *, token: str) -> Path | None:
    """Give an open file a name in another directory, which is created; return its path there.

    None if the file has that name already, which must stay then. A taken name gets a number. `token` distinguishes the
    unfinished copies of files.

    Raises:
        OSError: the directory cannot be used, or the disk is full.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if _has_name(file, directory / filename):
        return None
    placement = _Placement(file, directory, token)
    try:
        number = 0
        while True:
            path = directory / (numbered_name(filename, number) if number else filename)
            if _is_same(file, path) or placement.link(path):
                sync_directory(directory)
                return path
            number += 1
    finally:
        placement.remove_copy()


class _Placement:
    """A file that gets another name: by a link, or by a copy where links do not reach."""

    def __init__(self, file: BinaryIO, directory: Path, token: str) -> None:
        self._file = file
        self._directory = directory
        self._prefix = f".downloadd-{token}-"
        self._copy: Path | None = None

    def link(self, path: Path) -> bool:
        """Give the file a name; return False if it is taken."""
        if self._copy is None:
            try:
                os.link(f"/proc/self/fd/{self._file.fileno()}", path, follow_symlinks=True)
                return True
            except FileExistsError:
                return False
            except OSError:
                # The directory is on another file system, or on one without hard links, or /proc is not mounted.
                self._copy = self._make_copy()
        try:
            os.link(self._copy, path)
        except FileExistsError:
            return False
        except OSError:
            # A file system without hard links.
            if os.path.lexists(path):
                return False
            self._copy.rename(path)
        return True

    def remove_copy(self) -> None:
        """Remove the name of the copy."""
        if self._copy is not None:
            self._copy.unlink(missing_ok=True)

    def _make_copy(self) -> Path:
        # What a killed process left. It may be a name of a file that was moved, and is therefore not written to; and
        # the process may run on another node, where it fails then, and does not take the copy of this one for its own.
        for left in self._directory.glob(f"{self._prefix}*.tmp"):
            left.unlink(missing_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=self._prefix, suffix=".tmp", dir=self._directory)
        try:
            with open(descriptor, "wb") as copy:
                _copy(self._file, copy)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)


def _copy(file: BinaryIO, copy: BinaryIO) -> None:
    status = os.fstat(file.fileno())
    file.seek(0)
    shutil.copyfileobj(file, copy, _CHUNK_BYTES)
    copy.flush()
    # A disk without modes refuses this one.
    with suppress(PermissionError):
        os.fchmod(copy.fileno(), status.st_mode & 0o777)
    os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
    os.fsync(copy.fileno())


def _has_name(file: BinaryIO, path: Path) -> bool:
    """Return True if the path is the name by which the file was opened, maybe by way of another mount or a link."""
    own = os.fstat(file.fileno())
    with suppress(OSError):
        if os.path.samestat(own, path.lstat()):
            # Another program may have given it a second name, which may be the one at the path.
            opened = own.st_nlink > 1 and Path(os.readlink(f"/proc/self/fd/{file.fileno()}"))
            return not opened or (opened.name == path.name and opened.parent.samefile(path.parent))
    return False


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
