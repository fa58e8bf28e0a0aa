"""Publication of a part file under its final name: fsync, rename, fsync of the directory."""

import errno
import os
import threading
from contextlib import nullcontext, suppress
from typing import Final

import msgspec

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


class _Move(msgspec.Struct, frozen=True, kw_only=True):
    """The way of a file from the name of its part to its final name."""

    part: PartName
    part_fd: int
    """Descriptor of the directory of the part."""
    final: SafeName
    final_fd: int
    """Descriptor of the directory of the final name, on the same file system."""

    def link(self) -> None:
        """Give the file its final name too."""
        names = (self.part.encode(), self.final.encode())
        os.link(*names, src_dir_fd=self.part_fd, dst_dir_fd=self.final_fd, follow_symlinks=False)

    def rename(self) -> None:
        """Give the file its final name instead; another file of this name is replaced."""
        os.rename(self.part.encode(), self.final.encode(), src_dir_fd=self.part_fd, dst_dir_fd=self.final_fd)

    def rename_without_replacing(self) -> None:
        """Give the file its final name instead, which must be free."""
        rename_without_replacing(self.part.encode(), self.final.encode(), self.part_fd, to_fd=self.final_fd)

    def find_taken(self) -> os.stat_result | None:
        """Return the status of the file that has the final name; None if it is free."""
        return stat_entry(self.final, self.final_fd)

    def remove_part_name(self) -> None:
        """Remove the part's name of a published file; if that fails, the sweep after the next start removes it."""
        with suppress(OSError):
            os.unlink(self.part.encode(), dir_fd=self.part_fd)

    def undo(self, own: os.stat_result) -> None:
        """Undo the publication of the file `own`, so that a later attempt still has the bytes."""
        taken = self.find_taken()
        if taken is None or not os.path.samestat(own, taken):
            # Removed or replaced meanwhile: what has the name now is not this run's.
            return
        if stat_entry(self.part, self.part_fd) is None:
            os.rename(self.final.encode(), self.part.encode(), src_dir_fd=self.final_fd, dst_dir_fd=self.part_fd)
        else:
            # rename() would do nothing: both names are the same file.
            os.unlink(self.final.encode(), dir_fd=self.final_fd)


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
        part_directory_fd: int | None = None,
    ) -> bool:
        """Rename `part`, open as `fd`, to `final`; at each moment one of the names is complete.

        Args:
            fd: the part file.
            directory_fd: the directory of the final name.
            part: the name of the part file.
            final: the final name.
            replace: replace another file of this name.
            last_modified: Unix seconds, which become the modification time.
            directory_settings: those of the directory.
            part_directory_fd: the directory of the part file if it is another one, on the same file system.

        Returns:
            False when `final` is taken and `replace` is false; nothing has changed then.

        Raises:
            FileNotFoundError: the name of the part is missing.
            FileExistsError: it is the name of another file now.
            IsADirectoryError: `replace` is true, and `final` is a directory.
            OSError: any other error of the operating system.
        """
        own = os.fstat(fd)
        part_fd = directory_fd if part_directory_fd is None else part_directory_fd
        move = _Move(part=part, part_fd=part_fd, final=final, final_fd=directory_fd)
        found = stat_entry(part, part_fd)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "the part file is missing")
        if not os.path.samestat(own, found):
            # Another run or process replaced the part file: the file there is not the one that was verified.
            raise FileExistsError(errno.EEXIST, "another file has the name of the part")
        taken = move.find_taken()
        if taken is not None and not replace and not os.path.samestat(own, taken):
            return False
        self._apply_attributes(fd, directory_fd, own, final, last_modified, directory_settings)
        # After mode and time, so that they are synced with the bytes, and before the rename that makes them visible.
        self.sync(fd)
        # What refuses a taken name need not be the name.
        with nullcontext() if taken is not None else detect_invalid_name(directory_fd, source=(part, part_fd)):
            if replace:
                self._publish_by_rename(move, own)
            elif not self._publish_by_link(move, own):
                self._restore_attributes(fd, own, final)
                return False
        try:
            self.sync(directory_fd)
        except OSError:
            if not replace:
                # A publication that is reported as failed must not leave the final name, also for the next attempt.
                try:
                    move.undo(own)
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

    def _publish_by_rename(self, move: _Move, own: os.stat_result) -> None:
        try:
            move.rename()
        except FileNotFoundError:
            # A server that is asked again, because its answer was lost, has renamed the file already.
            taken = move.find_taken()
            if taken is None or not os.path.samestat(own, taken):
                raise
        # rename() does nothing when both names are the same file, as after a crash between link and unlink.
        move.remove_part_name()

    def _publish_by_link(self, move: _Move, own: os.stat_result) -> bool:
        """Publish by link and unlink: link() never replaces a file, unlike rename()."""
        try:
            move.link()
        except FileExistsError:
            taken = move.find_taken()
            # The same file: a crash between link and unlink left both names.
            if taken is None or not os.path.samestat(own, taken):
                return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS_ERRNOS:
                raise
            return self._rename_if_free(move)
        move.remove_part_name()
        return True

    def _rename_if_free(self, move: _Move) -> bool:
        try:
            move.rename_without_replacing()
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
            if move.find_taken() is not None:
                return False
            move.rename()
            return True


def clamp_time(last_modified: int) -> int:
    """Return a Last-Modified (Unix seconds) as a modification time that every file system takes."""
    return min(max(last_modified, 0), _MAX_TIMESTAMP)
