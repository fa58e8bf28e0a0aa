"""Modes, owners and times of files, set as far as the disk supports them."""

import os
import stat
import threading
from collections.abc import Callable

import structlog

from downloadd.storage.acl import (
    ACCESS_ACL,
    DEFAULT_ACL,
    AclEntry,
    acl_mode,
    change_acl,
    format_acl,
    has_mask,
    inherit_acl,
    make_acl,
    parse_acl,
)

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
        """Set the permission bits; a directory keeps its set-group-ID bit. `path`, below the root, is for the log."""
        self._try("mode", fd, path, lambda: _change_mode(fd, mode), is_configured=is_configured)

    def set_default_rights(self, fd: int, directory_fd: int, mode: int, path: str, *, umask: int) -> None:
        """Give a file the rights that it would have if it had been made with `mode` in this directory.

        These are `mode` less the umask; in a directory with a default access control list, those of that list.
        """
        default = _read_acl(directory_fd, DEFAULT_ACL)

        def change() -> None:
            if default is None:
                os.fchmod(fd, mode & ~umask)
            else:
                _set_acl(fd, inherit_acl(default, mode))

        self._try("mode", fd, path, change, is_configured=False)

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


def read_umask() -> int:
    """Return the umask of the process, which can only be read by setting it; it is strict in between."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _change_mode(fd: int, mode: int) -> None:
    status = os.fstat(fd)
    kept = status.st_mode & stat.S_ISGID if stat.S_ISDIR(status.st_mode) else 0
    if stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == mode | kept:
        return
    try:
        os.fchmod(fd, mode | kept)
    except PermissionError:
        if not kept:
            raise
        # A sandbox may forbid to name the set-group-ID bit (systemd.exec(5), RestrictSUIDSGID=). A list leaves it.
        acl = _read_acl(fd, ACCESS_ACL) or make_acl(status.st_mode)
        os.setxattr(fd, ACCESS_ACL, format_acl(change_acl(acl, mode)))


def _set_acl(fd: int, acl: list[AclEntry]) -> None:
    # Not by the mode alone: a file that is older than the default list has no entries for it to restrict.
    try:
        os.setxattr(fd, ACCESS_ACL, format_acl(acl))
    except OSError:
        # For example because a user in it has no number in the user namespace of a container.
        own = _read_acl(fd, ACCESS_ACL)
        os.fchmod(fd, acl_mode(acl, is_mask_set=own is not None and has_mask(own)))


def _read_acl(fd: int, attribute: str) -> list[AclEntry] | None:
    """Return a list of a file or directory; None if it has none, or if its file system does not support them."""
    try:
        return parse_acl(os.getxattr(fd, attribute))
    except (OSError, ValueError):
        return None
