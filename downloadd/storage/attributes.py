"""Modes, owners and times of files, set as far as the disk supports them."""

import os
import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class FileAttributes:
    """Setter of attributes for all files of a storage root; any thread may call it.

    Many file systems (vfat, exFAT, network and FUSE mounts, ZFS with `aclmode=restricted`) refuse attributes, each with
    an error of its own. The bytes matter more: no refusal is an error. It is logged once for each file system: as a
    warning if an administrator has configured the attribute, because the file may then be open to other users than
    intended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged: set[tuple[str, int, bool]] = set()

    def set_owner(self, fd: int, owner: tuple[int, int], path: str) -> None:
        """Set the configured user and group; `path`, below the root, is for the log."""
        self._try("owner", fd, path, lambda: os.fchown(fd, *owner), is_configured=True)

    def set_mode(self, fd: int, mode: int, path: str, *, is_configured: bool) -> None:
        """Set the mode; `path`, below the root, is for the log."""
        self._try("mode", fd, path, lambda: os.fchmod(fd, mode), is_configured=is_configured)

    def set_times(self, fd: int, path: str, *, accessed_ns: int, modified_ns: int) -> None:
        """Set the times of the last access and change, in Unix nanoseconds; `path`, below the root, is for the log."""
        self._try("time", fd, path, lambda: os.utime(fd, ns=(accessed_ns, modified_ns)), is_configured=False)

    def _try(self, attribute: str, fd: int, path: str, change: Callable[[], None], *, is_configured: bool) -> None:
        try:
            change()
        except OSError as error:
            key = (attribute, os.fstat(fd).st_dev, is_configured)
            with self._lock:
                if key in self._logged:
                    return
                self._logged.add(key)
            (log.warning if is_configured else log.info)(
                "attribute_refused", attribute=attribute, path=path or ".", reason=error.strerror
            )
