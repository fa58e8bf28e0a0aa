"""Comparison of the storage root with the one that was used before, by a marker file. All of it runs in threads."""

import os
import re
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
from msgspec.structs import replace

from downloadd.errors import StorageRootMissingError
from downloadd.root_identity import RootIdentity, describe_difference, describe_shared_difference
from downloadd.storage.disk_sync import DiskSync
from downloadd.storage.names import ROOT_MARKER_NAME

log = structlog.get_logger()

_MARKER_MODE: Final = 0o644
_MARKER: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MARKER_TRIES: Final = 20
_MARKER_WAIT_SECONDS: Final = 0.05
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class RootVerifier:
    """Decides if a directory is the storage root that was used before, and marks the one that is used.

    Args:
        expected: the root that was used before; None for the first one, which is taken as it is.
        fsync: sync the marker to stable storage.
        on_identified: called in any thread with the identity of a root that is used from now on.
        is_shared: other nodes use the root too. Its marker is then the id of their cluster: a root without it is
            refused at the start, and is gone while the daemon runs.

    Attributes:
        is_shared: as given.
        difference: why the root may not be used, in words; None if it may.
    """

    def __init__(
        self,
        expected: RootIdentity | None,
        *,
        fsync: bool,
        on_identified: Callable[[RootIdentity], None],
        is_shared: bool = False,
    ) -> None:
        self.is_shared = is_shared
        self.difference: str | None = None
        self._expected = expected
        self._sync = DiskSync(is_enabled=fsync)
        self._on_identified = on_identified
        self._lock = threading.Lock()

    def verify(self, fd: int, path: str, *, is_replacement: bool) -> None:
        """Compare a root that was opened with the expected one, and mark it if it may be used.

        `is_replacement` says that it is in the place of one that was in use until now. Another directory is then used
        as it is: a disk was mounted there, or the directory was made anew under the eyes of the daemon.
        """
        with self._lock:
            found = identify(fd, path)
            difference = self._describe_difference(found)
            # Other nodes have the former root still.
            is_held = self.is_shared or self.difference is not None or not is_replacement
            if difference is not None and is_held:
                self.difference = difference
            else:
                self._use(fd, found)

    def accept(self, fd: int, path: str) -> RootIdentity:
        """Use the root that is there from now on, and return its identity.

        Raises:
            StorageRootMissingError: it is shared, and has the marker of another cluster.
        """
        with self._lock:
            found = identify(fd, path)
            difference = self._describe_difference(found)
            if self.is_shared and found.marker is not None and difference is not None:
                raise StorageRootMissingError(difference)
            return self._use(fd, found)

    def _describe_difference(self, found: RootIdentity) -> str | None:
        if self._expected is None:
            return None
        if self.is_shared:
            return describe_shared_difference(self._expected, found, ROOT_MARKER_NAME)
        return describe_difference(self._expected, found)

    def _use(self, fd: int, found: RootIdentity) -> RootIdentity:
        if found.marker is None:
            found = replace(found, marker=self._write_marker(fd))
        self.difference = None
        is_known = self._expected is not None and (
            found.marker == self._expected.marker if self.is_shared else found == self._expected
        )
        if not is_known:
            self._expected = found
            self._on_identified(found)
        return found

    def _write_marker(self, fd: int) -> str | None:
        # A shared root keeps the id of its cluster, by which all nodes know it.
        known = self._expected.marker if self.is_shared and self._expected is not None else None
        marker = known or str(uuid.uuid4())
        try:
            if not self.is_shared:
                with suppress(FileNotFoundError):
                    # Something else has the name: what `read_marker` does not accept.
                    os.unlink(ROOT_MARKER_NAME, dir_fd=fd)
            marker_fd = os.open(ROOT_MARKER_NAME, _WRITE_FLAGS, _MARKER_MODE, dir_fd=fd)
            try:
                os.write(marker_fd, f"{marker}\n".encode())
                self._sync.sync(marker_fd)
            finally:
                os.close(marker_fd)
            self._sync.sync(fd)
        except FileExistsError:
            # Another node marks the root at the same time.
            return _read_new_marker(fd)
        except OSError as error:
            # Without a marker a root is not compared; downloads are not held for that.
            log.warning("root_not_marked", file=ROOT_MARKER_NAME, error=error.strerror)
            return None
        return marker


def identify(fd: int, path: str) -> RootIdentity:
    """Return the identity of an open directory."""
    device = os.fstat(fd).st_dev
    filesystem, mount_point = find_mount(fd)
    return RootIdentity(
        marker=read_marker(fd),
        # JSON takes no lone surrogates.
        path=os.fsencode(path).decode(errors="replace"),
        device=f"{os.major(device)}:{os.minor(device)}",
        filesystem=filesystem,
        mount_point=mount_point,
    )


def read_marker(fd: int) -> str | None:
    """Return the id in the marker file of a directory; None if there is none, or it cannot be read."""
    try:
        marker_fd = os.open(ROOT_MARKER_NAME, _READ_FLAGS, dir_fd=fd)
        try:
            text = os.read(marker_fd, 64).decode(errors="replace").strip()
        finally:
            os.close(marker_fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("root_marker_unreadable", file=ROOT_MARKER_NAME, error=error.strerror)
        return None
    return text if _MARKER.fullmatch(text) else None


def _read_new_marker(fd: int) -> str | None:
    """Return the id in a marker file that another process is writing; None if it is not there soon."""
    for _ in range(_MARKER_TRIES):
        marker = read_marker(fd)
        if marker is not None:
            return marker
        time.sleep(_MARKER_WAIT_SECONDS)
    log.warning("root_marker_unreadable", file=ROOT_MARKER_NAME, error="it holds no id")
    return None


def find_mount(fd: int) -> tuple[str, str]:
    """Return type and mount point of the file system of an open file; empty texts where /proc does not tell them."""
    with suppress(OSError, ValueError, StopIteration, IndexError):
        info = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii")
        id = next(line.split()[1] for line in info.splitlines() if line.startswith("mnt_id:"))
        for line in Path("/proc/self/mountinfo").read_bytes().decode(errors="replace").splitlines():
            # proc_pid_mountinfo(5): after the optional fields comes a hyphen, then the type.
            fields, _, tail = line.partition(" - ")
            if fields.split()[0] == id:
                return tail.split()[0], _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields.split()[4])
    return "", ""
