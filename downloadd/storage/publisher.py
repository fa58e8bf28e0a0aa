"""The final name, given in one atomic step: fsync, rename, fsync."""

import errno
import os
import threading
from contextlib import suppress
from typing import Final

from downloadd.directory_settings import DirectorySettings
from downloadd.storage.root import stat_entry

FILE_MODE: Final = 0o644
"""Before the umask; until then a part file is nobody else's business."""

_MAX_TIMESTAMP: Final = 253_402_300_799
"""The end of the year 9999, the last that an HTTP-date can say (RFC 9110, section 5.6.7)."""

_NO_HARD_LINKS_ERRNOS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class Publisher:
    """Publishes part files. Its methods block, so they belong in a thread; several may publish at once.

    Args:
        fsync: whether bytes and names are brought to stable storage.
        umask: of the process.
    """

    def __init__(self, *, fsync: bool, umask: int) -> None:
        self._fsync = fsync
        self._mode = FILE_MODE & ~umask
        self._rename_lock = threading.Lock()

    def sync(self, fd: int) -> None:
        """Brings a file or directory to stable storage, unless the configuration gives that up."""
        if self._fsync:
            os.fsync(fd)

    def sync_data(self, fd: int) -> None:
        """Brings what a file holds so far to stable storage, so that little is left to wait for at its end."""
        if self._fsync:
            os.fdatasync(fd)

    def publish(
        self,
        fd: int,
        directory_fd: int,
        part: str,
        final: str,
        *,
        replace: bool,
        last_modified: int | None,
        directory_settings: DirectorySettings,
    ) -> bool:
        """Renames `part`, open as `fd`, to `final` in the same directory, without a moment in which neither is whole.

        Returns:
            False when `final` is taken and `replace` is false; nothing has changed then.

        Raises:
            FileNotFoundError: the name of the part is gone.
            FileExistsError: it belongs to another file by now.
            IsADirectoryError: `replace` is true, and `final` is a directory.
            OSError: whatever else the operating system says.
        """
        own = os.fstat(fd)
        found = stat_entry(part, directory_fd)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "the part file is gone")
        if not os.path.samestat(own, found):
            # Somebody else took the part over: what lies there now is not what was verified.
            raise FileExistsError(errno.EEXIST, "another file has the name of the part")
        taken = stat_entry(final, directory_fd)
        if taken is not None and not replace and not os.path.samestat(own, taken):
            return False
        self._apply_attributes(fd, own, last_modified, directory_settings)
        # After mode and time, so that they are on stable storage with the bytes, and before the name that promises
        # them.
        self.sync(fd)
        if replace:
            self._publish_by_rename(part.encode(), final.encode(), directory_fd)
        elif not self._publish_by_link(part, final, directory_fd, own):
            self._restore_attributes(fd, own)
            return False
        try:
            self.sync(directory_fd)
        except OSError:
            if not replace:
                # Whoever is told that it failed must not find it there all the same, nor the next attempt.
                try:
                    os.unlink(final.encode(), dir_fd=directory_fd)
                except OSError as stuck:
                    raise OSError(errno.EIO, "the directory can be neither synced nor put back") from stuck
            raise
        return True

    def _apply_attributes(
        self, fd: int, own: os.stat_result, last_modified: int | None, directory_settings: DirectorySettings
    ) -> None:
        # An owner was asked for: whose the file is decides who reads it, and so is not let pass.
        if directory_settings.owner is not None:
            os.fchown(fd, *directory_settings.owner)
        # File systems without owners or modes (vfat, some network mounts) refuse both; the bytes matter more.
        with suppress(PermissionError):
            os.fchmod(fd, self._mode if directory_settings.mode is None else directory_settings.mode)
        if last_modified is not None:
            seconds = min(max(last_modified, 0), _MAX_TIMESTAMP)
            with suppress(PermissionError):
                os.utime(fd, ns=(own.st_atime_ns, seconds * 10**9))

    def _restore_attributes(self, fd: int, own: os.stat_result) -> None:
        with suppress(PermissionError):
            os.fchmod(fd, own.st_mode & 0o777)
        with suppress(PermissionError):
            os.utime(fd, ns=(own.st_atime_ns, own.st_mtime_ns))

    def _publish_by_rename(self, part: bytes, final: bytes, directory_fd: int) -> None:
        os.rename(part, final, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
        # rename() does nothing when both names are the same file, as after a crash between link and unlink.
        _remove_part_name(part, directory_fd)

    def _publish_by_link(self, part: str, final: str, directory_fd: int, own: os.stat_result) -> bool:
        """Link and unlink: unlike rename(), link() never takes a name from another file."""
        try:
            os.link(
                part.encode(), final.encode(), src_dir_fd=directory_fd, dst_dir_fd=directory_fd, follow_symlinks=False
            )
        except FileExistsError:
            taken = stat_entry(final, directory_fd)
            # The same file: a crash between link and unlink left both names.
            if taken is None or not os.path.samestat(own, taken):
                return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS_ERRNOS:
                raise
            return self._rename_if_free(part.encode(), final, directory_fd)
        _remove_part_name(part.encode(), directory_fd)
        return True

    def _rename_if_free(self, part: bytes, final: str, directory_fd: int) -> bool:
        # Check and rename are two steps: the lock keeps other downloads out in between, which is all that can be done
        # on a disk without hard links.
        with self._rename_lock:
            if stat_entry(final, directory_fd) is not None:
                return False
            os.rename(part, final.encode(), src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
            return True


def _remove_part_name(part: bytes, directory_fd: int) -> None:
    """Removes the part's name of a file that has its final one: if that fails, the sweep after the next start does."""
    with suppress(OSError):
        os.unlink(part, dir_fd=directory_fd)
