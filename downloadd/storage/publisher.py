"""Publication of a part file under its final name: fsync, rename, fsync of the directory."""

import errno
import os
import threading
from contextlib import nullcontext, suppress
from typing import Final

from downloadd.directory_settings import DirectorySettings
from downloadd.storage.attributes import FileAttributes
from downloadd.storage.disk_sync import DiskSync
from downloadd.storage.names import PartName, SafeName
from downloadd.storage.rename import UNSUPPORTED_ERRNOS, rename_without_replacing
from downloadd.storage.root import stat_entry
from downloadd.storage.write_trial import detect_invalid_name

FILE_MODE: Final = 0o666
"""Mode of a published file, before the umask or the default access control list of its directory.

A part file is private.
"""

_MAX_TIMESTAMP: Final = 253_402_300_799
"""Unix time of the end of the year 9999, the last that an HTTP-date can express (RFC 9110, section 5.6.7)."""

_NO_HARD_LINKS_ERRNOS: Final = UNSUPPORTED_ERRNOS | {errno.EMLINK, errno.EACCES, errno.EXDEV}


class Publisher:
    """Publisher of part files. The methods block, so they belong in a thread; several threads may publish at once.

    Args:
        fsync: sync bytes and names to stable storage.
        umask: umask of the process.
        attributes: sets modes, owners and times.
    """

    def __init__(self, *, fsync: bool, umask: int, attributes: FileAttributes | None = None) -> None:
        self._sync = DiskSync(is_enabled=fsync)
        self._umask = umask
        self._attributes = attributes or FileAttributes()
        self._rename_lock = threading.Lock()

    def sync(self, fd: int) -> None:
        """Sync a file or directory to stable storage, unless the configuration says `fsync = false`."""
        self._sync.sync(fd)

    def sync_data(self, fd: int) -> None:
        """Sync the bytes of a file to stable storage ahead of its end, to shorten the sync at publication."""
        self._sync.sync_data(fd)

    def publish(
        self,
        fd: int,
        directory_fd: int,
        part: PartName,
        final: SafeName,
        *,
        replace: bool,
        last_modified: int | None,
        directory_settings: DirectorySettings,
    ) -> bool:
        """Rename `part`, open as `fd`, to `final` in the same directory; at each moment one of the names is complete.

        Returns:
            False when `final` is taken and `replace` is false; nothing has changed then.

        Raises:
            FileNotFoundError: the name of the part is missing.
            FileExistsError: it is the name of another file now.
            IsADirectoryError: `replace` is true, and `final` is a directory.
            OSError: any other error of the operating system.
        """
        own = os.fstat(fd)
        found = stat_entry(part, directory_fd)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "the part file is missing")
        if not os.path.samestat(own, found):
            # Another run or process replaced the part file: the file there is not the one that was verified.
            raise FileExistsError(errno.EEXIST, "another file has the name of the part")
        taken = stat_entry(final, directory_fd)
        if taken is not None and not replace and not os.path.samestat(own, taken):
            return False
        self._apply_attributes(fd, directory_fd, own, final, last_modified, directory_settings)
        # After mode and time, so that they are synced with the bytes, and before the rename that makes them visible.
        self.sync(fd)
        # What refuses a taken name need not be the name.
        with nullcontext() if taken is not None else detect_invalid_name(directory_fd, source=part):
            if replace:
                self._publish_by_rename(part, final, directory_fd, own)
            elif not self._publish_by_link(part, final, directory_fd, own):
                self._restore_attributes(fd, own, final)
                return False
        try:
            self.sync(directory_fd)
        except OSError:
            if not replace:
                # A publication that is reported as failed must not leave the final name, also for the next attempt.
                try:
                    _restore_part_name(part, final, directory_fd)
                except OSError as restore_error:
                    raise OSError(
                        errno.EIO, "the directory cannot be synced, and the final name cannot be removed"
                    ) from restore_error
                self._restore_attributes(fd, own, final)
            raise
        return True

    def _apply_attributes(
        self,
        fd: int,
        directory_fd: int,
        own: os.stat_result,
        final: SafeName,
        last_modified: int | None,
        directory_settings: DirectorySettings,
    ) -> None:
        owner, mode = directory_settings.owner, directory_settings.mode
        if mode is not None:
            self._attributes.set_mode(fd, mode, final, is_configured=True)
        else:
            self._attributes.set_default_rights(fd, directory_fd, FILE_MODE, final, umask=self._umask)
        if last_modified is not None:
            seconds = clamp_time(last_modified)
            self._attributes.set_times(fd, final, accessed_ns=own.st_atime_ns, modified_ns=seconds * 10**9)
        # Last: with CAP_CHOWN alone, only the owner may change mode and times.
        if owner is not None:
            self._attributes.set_owner(fd, owner, final)

    def _restore_attributes(self, fd: int, own: os.stat_result, final: SafeName) -> None:
        self._attributes.set_mode(fd, own.st_mode & 0o777, final, is_configured=False)
        self._attributes.set_times(fd, final, accessed_ns=own.st_atime_ns, modified_ns=own.st_mtime_ns)

    def _publish_by_rename(self, part: PartName, final: SafeName, directory_fd: int, own: os.stat_result) -> None:
        try:
            os.rename(part.encode(), final.encode(), src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
        except FileNotFoundError:
            # A server that is asked again, because its answer was lost, has renamed the file already.
            taken = stat_entry(final, directory_fd)
            if taken is None or not os.path.samestat(own, taken):
                raise
        # rename() does nothing when both names are the same file, as after a crash between link and unlink.
        _remove_part_name(part.encode(), directory_fd)

    def _publish_by_link(self, part: PartName, final: SafeName, directory_fd: int, own: os.stat_result) -> bool:
        """Publish by link and unlink: link() never replaces a file, unlike rename()."""
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

    def _rename_if_free(self, part: bytes, final: SafeName, directory_fd: int) -> bool:
        try:
            rename_without_replacing(part, final.encode(), directory_fd)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in UNSUPPORTED_ERRNOS:
                raise
        else:
            return True
        # Check and rename are two steps. The lock excludes other downloads in between; other processes cannot be
        # excluded on such a disk. A placeholder made with O_EXCL would exclude them, but its name would show an
        # incomplete file, also after a crash.
        with self._rename_lock:
            if stat_entry(final, directory_fd) is not None:
                return False
            os.rename(part, final.encode(), src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
            return True


def clamp_time(last_modified: int) -> int:
    """Return a Last-Modified (Unix seconds) as a modification time that every file system takes."""
    return min(max(last_modified, 0), _MAX_TIMESTAMP)


def _restore_part_name(part: PartName, final: SafeName, directory_fd: int) -> None:
    """Undo a publication, so that a later attempt still has the bytes."""
    if stat_entry(part, directory_fd) is None:
        os.rename(final.encode(), part.encode(), src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    else:
        # rename() would do nothing: both names are the same file.
        os.unlink(final.encode(), dir_fd=directory_fd)


def _remove_part_name(part: bytes, directory_fd: int) -> None:
    """Remove the part's name of a published file; if that fails, the sweep after the next start removes it."""
    with suppress(OSError):
        os.unlink(part, dir_fd=directory_fd)
