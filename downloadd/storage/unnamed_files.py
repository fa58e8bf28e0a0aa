"""Unnamed files (`O_TMPFILE`, open(2)): written and synced in batches, then linked to their final names.

It runs in threads of the daemon, or as a program in a process of its own, which starts soon and needs little memory
because it imports the standard library only; see `commit_process`.
"""

import errno
import json
import os
import signal
import socket
import stat
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

HEAD: Final = struct.Struct("!II")
"""Head of a message in both directions: bytes of its JSON, and of the contents behind it."""

LOST_ERRNO: Final = errno.ESTALE
"""Error of a link whose file is not there: it was written by a process that has ended since."""

_UNLINK_TRIES: Final = 4
_PRIVATE_MODE: Final = 0o600
_DEFAULT_MODE: Final = 0o666
"""Before the umask or the default access control list of the directory; without a name, the file is private still."""


class Content(NamedTuple):
    """File to write."""

    token: int
    """Identifies the file until it is linked or discarded; never used twice."""
    data: bytes | memoryview
    mode: int | None
    """Permission bits; None for those that the directory gives."""
    owner: tuple[int, int] | None
    """User and group; None leaves them."""
    modified: int | None
    """Unix time of the last change; None for the time of the write."""


class WrittenFile(NamedTuple):
    """File that is on stable storage and has no name yet; the fields identify it as `published_files.identify` does."""

    inode: int
    size: int
    modified_ns: int


class Link(NamedTuple):
    """Name that a written file is given."""

    token: int
    name: str
    file: WrittenFile
    """Recognises the file if an earlier call has linked it and could not say so any more."""


class UnnamedFiles:
    """Open files without names, by their tokens. Any thread may call it."""

    def __init__(self, is_abandoned: Callable[[], bool] = lambda: False) -> None:
        """Make an empty table; nothing is linked after `is_abandoned` has returned True."""
        self._is_abandoned = is_abandoned
        self._descriptors: dict[int, int] = {}

    def write(self, directory_fd: int, contents: Sequence[Content], *, fsync: bool) -> list[WrittenFile | int]:
        """Write files; return for each what identifies it, or the number of the error (`errno`)."""
        results: list[WrittenFile | int] = [self._write_one(directory_fd, content) for content in contents]
        written = [self._descriptors.get(content.token) for content in contents]
        if fsync:
            # First the writeback of all, so that the syncs find little to do.
            for fd in written:
                if fd is not None:
                    with suppress(OSError):
                        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        for index, (content, fd) in enumerate(zip(contents, written, strict=True)):
            if fd is None:
                continue
            try:
                if fsync:
                    os.fsync(fd)
                status = os.fstat(fd)
                results[index] = WrittenFile(status.st_ino, status.st_size, status.st_mtime_ns)
            except OSError as error:
                self.discard([content.token])
                results[index] = error.errno or errno.EIO
        return results

    def link(self, directory_fd: int, links: Sequence[Link], *, fsync: bool) -> list[int]:
        """Give files their names in a directory, and sync it; return the number of the error for each, 0 for success.

        A name that is taken gives EEXIST: no file is replaced. A file that was not linked is closed and lost.
        """
        results = [self._link_one(directory_fd, link) for link in links]
        if fsync and 0 in results:
            try:
                os.fsync(directory_fd)
            except OSError as error:
                # What is reported as failed must not have its name.
                for index, link in enumerate(links):
                    if not results[index]:
                        results[index] = error.errno or errno.EIO
                        _unlink(link.name, directory_fd)
        return results

    def discard(self, tokens: Sequence[int]) -> None:
        """Close files that will not be linked; they vanish."""
        for token in tokens:
            fd = self._descriptors.pop(token, None)
            if fd is not None:
                with suppress(OSError):
                    os.close(fd)

    def _write_one(self, directory_fd: int, content: Content) -> int:
        """Write one file, not synced; return the number of the error."""
        try:
            mode = _DEFAULT_MODE if content.mode is None else _PRIVATE_MODE
            fd = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode, dir_fd=directory_fd)
        except OSError as error:
            return error.errno or errno.EIO
        self._descriptors[content.token] = fd
        try:
            offset = 0
            while offset < len(content.data):
                written = os.pwrite(fd, content.data[offset:] if offset else content.data, offset)
                if not written:
                    raise OSError(errno.EIO, "the disk wrote nothing and reported no error")
                offset += written
            if content.mode is not None:
                os.fchmod(fd, content.mode)
            if content.modified is not None:
                os.utime(fd, ns=(os.fstat(fd).st_atime_ns, content.modified * 10**9))
            # Last: with CAP_CHOWN alone, only the owner may change mode and times.
            if content.owner is not None:
                os.fchown(fd, *content.owner)
        except OSError as error:
            self.discard([content.token])
            return error.errno or errno.EIO
        return 0

    def _link_one(self, directory_fd: int, link: Link) -> int:
        fd = self._descriptors.pop(link.token, None)
        if fd is None:
            return 0 if _is_linked(directory_fd, link) else LOST_ERRNO
        try:
            if self._is_abandoned():
                return errno.ECANCELED
            # Without the privilege to link a descriptor (AT_EMPTY_PATH), its entry in /proc is linked.
            os.link(f"/proc/self/fd/{fd}", link.name.encode(), dst_dir_fd=directory_fd, follow_symlinks=True)
        except OSError as error:
            return error.errno or errno.EIO
        finally:
            with suppress(OSError):
                os.close(fd)
        return 0


def _unlink(name: str, directory_fd: int) -> None:
    """Remove a name; a disk that has just failed may fail once more."""
    for _ in range(_UNLINK_TRIES):
        with suppress(OSError):
            os.unlink(name.encode(), dir_fd=directory_fd)
            return


def _is_linked(directory_fd: int, link: Link) -> bool:
    try:
        found = os.stat(link.name.encode(), dir_fd=directory_fd, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and WrittenFile(found.st_ino, found.st_size, found.st_mtime_ns) == link.file


# -- the program -------------------------------------------------------------------------------------------------------


def serve(connection: socket.socket) -> None:
    """Answer requests on a stream socket until its peer closes it; each brings the descriptor of its directory."""

    def is_abandoned() -> bool:
        try:
            return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False

    files = UnnamedFiles(is_abandoned)
    while True:
        head, descriptors, _, _ = socket.recv_fds(connection, HEAD.size, 1)
        if not head:
            return
        try:
            head += receive_exactly(connection, HEAD.size - len(head))
            length, content_length = HEAD.unpack(head)
            body = receive_exactly(connection, length + content_length)
            answer = _answer(files, descriptors, json.loads(bytes(body[:length])), body[length:])
        finally:
            for fd in descriptors:
                os.close(fd)
        data = json.dumps(answer).encode()
        connection.sendall(HEAD.pack(len(data), 0) + data)


def _answer(files: UnnamedFiles, descriptors: Sequence[int], request: Any, data: memoryview) -> Any:
    action, fsync, items = request
    match action:
        case "write":
            contents = []
            for token, size, mode, owner, modified in items:
                contents.append(Content(token, data[:size], mode, owner, modified))
                data = data[size:]
            return files.write(descriptors[0], contents, fsync=fsync)
        case "link":
            links = [Link(token, name, WrittenFile(*file)) for token, name, file in items]
            return files.link(descriptors[0], links, fsync=fsync)
        case _:
            files.discard(items)
            return None


def receive_exactly(connection: socket.socket, nbytes: int) -> memoryview:
    """Return the next `nbytes` bytes.

    Raises:
        EOFError: the peer has closed the connection before.
    """
    buffer = memoryview(bytearray(nbytes))
    received = 0
    while received < nbytes:
        count = connection.recv_into(buffer[received:], 0, socket.MSG_WAITALL)
        if not count:
            raise EOFError
        received += count
    return buffer


def main(descriptor: int) -> None:
    """Serve the connection with this descriptor. The end of the daemon closes it; signals of its group are ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as connection, suppress(EOFError, ConnectionError):
        serve(connection)


if __name__ == "__main__":
    main(int(sys.argv[1]))
