"""Small files on their way from memory to their final names, many at once.

A part whose bytes are complete before any was written holds them in memory. They are written to unnamed files, which
are synced and, once the records have their identity, linked to their names; then the directory is synced once for all.
What cannot go this way becomes an ordinary part file, so that every failure is handled and reported in one place.
"""

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from itertools import count
from typing import Final

from downloadd.directory_settings import DirectorySettings
from downloadd.errors import DownloadError, InsufficientStorageError
from downloadd.storage.commit_process import CommitBusyError, CommitProcess
from downloadd.storage.destination import LinkResult, Part, SmallFile
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools
from downloadd.storage.free_space import FreeSpace, PendingWrite
from downloadd.storage.names import SafeDirectory, SafeName
from downloadd.storage.part_file import PartFile
from downloadd.storage.published_files import format_identity, has_identity, identify_published
from downloadd.storage.publisher import clamp_time
from downloadd.storage.quotas import Quotas
from downloadd.storage.root import StorageRoot, stat_entry
from downloadd.storage.root_verifier import find_mount
from downloadd.storage.unnamed_files import Content, Link, WrittenFile

MAX_KNOWN_DIRECTORIES: Final = 10_000
"""Directories that are remembered as unsuitable."""

SUITABLE_FILE_SYSTEMS: Final = frozenset({"ext4", "xfs", "f2fs", "tmpfs"})
"""Types of file systems on which a file that was synced without a name survives a power failure under the name that it
is given later. btrfs does not sync files without names; what lies below an overlay is not known."""

UNSUPPORTED_ERRNOS: Final = frozenset(
    {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EXDEV}
)
"""Errors of a file system without unnamed files, or which does not link them."""


class HeldFile:
    """Held bytes of one part file; implements `SmallFile`.

    Attributes:
        part: the part.
        filename: the name that they are to have.
        last_modified: Unix time.
        identity: the identity of the file, once it is written, and the final one once it has its name; None before, and
            if it must be an ordinary part file.
        token: number of the written file.
        written: status of the written file.
    """

    __slots__ = ("filename", "identity", "last_modified", "part", "token", "written")

    def __init__(self, part: PartFile, filename: SafeName, last_modified: int | None) -> None:
        self.part = part
        self.filename = filename
        self.last_modified = last_modified
        self.identity: str | None = None
        self.token = 0
        self.written: WrittenFile | None = None

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.part.size


class SmallFiles:
    """Writes and links small files of one storage root."""

    def __init__(
        self,
        *,
        root: StorageRoot,
        threads: DiskThreadPools,
        process: CommitProcess,
        quotas: Quotas,
        space: FreeSpace,
        directory_settings: Callable[[str], DirectorySettings],
        fsync: bool,
        is_enabled: bool,
    ) -> None:
        self._is_enabled = is_enabled
        self._root = root
        self._threads = threads
        self._process = process
        self._quotas = quotas
        self._space = space
        self._directory_settings = directory_settings
        self._fsync = fsync
        self._tokens = count(1)
        # By device, True if its file system is suitable.
        self._devices: dict[int, bool] = {}
        self._unsuitable_directories: set[SafeDirectory] = set()
        self._has_proc = False

    def open(self) -> None:
        """Start the process; call it in a thread."""
        # A descriptor is linked by its entry there.
        self._has_proc = os.path.isdir("/proc/self/fd")
        self._start_process()

    def close(self) -> None:
        """End the process; call it in a thread."""
        self._process.close()

    def invalidate(self) -> None:
        """Forget which directories are unsuitable, after the root has changed."""
        self._unsuitable_directories.clear()

    def is_suitable(self, directory: SafeDirectory) -> bool:
        """Return False if files of a directory must be ordinary part files, as far as that is known."""
        is_usable = self._is_enabled and self._has_proc and not self._process.is_stuck
        return is_usable and directory not in self._unsuitable_directories

    def make(self, part: Part, filename: SafeName, *, last_modified: int | None) -> HeldFile:
        """Return the held bytes of a part as a file to be published with others."""
        assert isinstance(part, PartFile)  # noqa: S101 - narrows the type; only such a part holds its bytes
        return HeldFile(part, filename, last_modified)

    async def write(self, files: Sequence[SmallFile]) -> None:
        """Write files to stable storage, without names yet; set the identity of those that were written."""
        for directory, group in _by_directory(files):
            await self._threads.run(DiskPool.SMALL_FILES, directory, self._write, directory, group)

    async def link(self, files: Sequence[SmallFile]) -> list[LinkResult]:
        """Give written files their names, and sync the names; return the result for each."""
        results: dict[SmallFile, LinkResult] = {}
        for directory, group in _by_directory(files):
            linked = await self._threads.run(DiskPool.SMALL_FILES, directory, self._link, directory, group)
            results.update(zip(group, linked, strict=True))
        return [results[file] for file in files]

    async def discard(self, files: Sequence[SmallFile]) -> None:
        """Discard written files that will not be linked."""
        tokens = [_own(file).token for file in files]
        await self._threads.run(DiskPool.SMALL_FILES, "", self._process.discard, tokens)

    # The methods below run in threads.

    def _write(self, directory: SafeDirectory, files: Sequence[HeldFile]) -> None:
        settings = self._directory_settings(directory)
        contents: list[Content] = []
        pending: list[tuple[HeldFile, PendingWrite]] = []
        try:
            with ExitStack() as stack:
                directory_fd = stack.enter_context(self._root.open_directory(directory, create=True))
                if not self._is_supported(directory_fd):
                    self._add_unsuitable(directory)
                    return
                self._start_process()
                for file in files:
                    data, part = file.part.held, file.part
                    try:
                        part.charge.grow(len(data))
                        write = stack.enter_context(self._space.reserve(len(data), part.claim))
                    except InsufficientStorageError:
                        continue
                    write.written = 0
                    file.token = next(self._tokens)
                    modified = None if file.last_modified is None else clamp_time(file.last_modified)
                    contents.append(Content(file.token, data, settings.mode, settings.owner, modified))
                    pending.append((file, write))
                results = self._process.write(directory_fd, contents, fsync=self._fsync)
                for (file, write), result in zip(pending, results, strict=True):
                    if isinstance(result, WrittenFile):
                        write.written = result.size
                        file.written = result
                        file.identity = format_identity(*result)
                    elif result in UNSUPPORTED_ERRNOS:
                        self._devices[os.fstat(directory_fd).st_dev] = False
                        self._add_unsuitable(directory)
        except (CommitBusyError, OSError, DownloadError):
            # The ordinary part file meets the same error, and reports it.
            return

    def _link(self, directory: SafeDirectory, files: Sequence[HeldFile]) -> list[LinkResult]:
        links = [Link(file.token, file.filename, file.written) for file in files if file.written is not None]
        try:
            with self._quotas.publishing(), self._root.open_directory(directory) as directory_fd:
                errors = self._process.link(directory_fd, links, fsync=self._fsync)
                for file, error in zip(files, errors, strict=True):
                    if not error:
                        file.identity = _identify_linked(directory_fd, file)
                        file.part.end_publication(file.identity)
                    elif error in UNSUPPORTED_ERRNOS:
                        self._devices[os.fstat(directory_fd).st_dev] = False
        except (CommitBusyError, OSError, DownloadError):
            self._process.discard([file.token for file in files])
            return [LinkResult.UNSUITABLE] * len(files)
        return [_link_result(error) for error in errors]

    def _is_supported(self, directory_fd: int) -> bool:
        device = os.fstat(directory_fd).st_dev
        if device not in self._devices:
            file_system, _ = find_mount(directory_fd)
            self._devices[device] = not self._fsync or file_system in SUITABLE_FILE_SYSTEMS
        return self._devices[device]

    def _start_process(self) -> None:
        self._process.start(self._root.descriptor, self._root.generation)

    def _add_unsuitable(self, directory: SafeDirectory) -> None:
        if len(self._unsuitable_directories) >= MAX_KNOWN_DIRECTORIES:
            self._unsuitable_directories.clear()
        self._unsuitable_directories.add(directory)


def _identify_linked(directory_fd: int, file: HeldFile) -> str | None:
    """Return the identity of a file that was linked; that without a name if another one has its place already."""
    with suppress(OSError):
        status = stat_entry(file.filename, directory_fd)
        if status is not None and has_identity(status, file.identity):
            return identify_published(status)
    return file.identity


def _link_result(error: int) -> LinkResult:
    match error:
        case 0:
            return LinkResult.PUBLISHED
        case errno.EEXIST:
            return LinkResult.TAKEN
        case _:
            return LinkResult.UNSUITABLE


def _own(file: SmallFile) -> HeldFile:
    assert isinstance(file, HeldFile)  # noqa: S101 - narrows the type; `SmallFiles.make` has made it
    return file


def _by_directory(files: Iterable[SmallFile]) -> list[tuple[SafeDirectory, list[HeldFile]]]:
    groups: dict[SafeDirectory, list[HeldFile]] = {}
    for file in map(_own, files):
        groups.setdefault(file.part.directory, []).append(file)
    return list(groups.items())
