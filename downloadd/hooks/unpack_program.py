"""Program that reads a 7z or RAR archive by libarchive, and writes what it finds to its standard output.

`UnpackedArchive` runs it as a process of its own, by path, because the parser is written in C and its input is hostile.
It imports nothing of this package. The archive is its standard input. Before it reads a byte of that, it gives up the
network and all but a little memory, CPU time and files; it writes to nothing but its output.
"""

import ctypes
import json
import resource
import struct
import sys
from typing import Any, BinaryIO, Final

HEADER: Final = struct.Struct(">cI")
"""Kind of a message, and the bytes of its content."""
ENTRY: Final = b"E"
"""Entry of the archive: JSON with `name` (or null), `size` (or null), and `kind`: file, directory or other."""
FILE: Final = b"F"
"""Begin of the content of a file: its index among all entries, in decimal digits."""
DATA: Final = b"D"
"""Piece of that content."""
END: Final = b"."
"""End of the archive."""
MISSING: Final = b"M"
"""libarchive is not installed: the reason."""
ERROR: Final = b"X"
"""The archive cannot be read: the reason."""

MAX_MESSAGE_BYTES: Final = 1 << 20
"""Bytes of the content of a message; a longer name is refused."""

_BLOCK_BYTES: Final = 256 * 1024
_MAX_REASON_CHARACTERS: Final = 200
_MAX_FILES: Final = 32
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x1000_0000
_CLONE_NEWNET: Final = 0x4000_0000


class _Output:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, kind: bytes, content: bytes = b"") -> None:
        self._file.write(HEADER.pack(kind, len(content)) + content)

    def write_error(self, kind: bytes, error: object) -> None:
        reason = "".join(character if character.isprintable() else "?" for character in str(error))
        self.write(kind, reason[:_MAX_REASON_CHARACTERS].encode(errors="replace"))

    def flush(self) -> None:
        self._file.flush()


def main(format: str, task: str, memory: int, seconds: int, first: int) -> None:
    """Write the entries of the archive (`task` is `list`), or the content of its files from the index `first` on.

    `memory` is bytes of address space, `seconds` CPU time.
    """
    output = _Output(sys.stdout.buffer)
    try:
        # It looks for its library by other programs, which the limits do not allow.
        import libarchive
    except (ImportError, OSError, TypeError, AttributeError) as error:
        output.write_error(MISSING, error)
        return output.flush()
    confine(memory, seconds)
    try:
        with libarchive.fd_reader(sys.stdin.fileno(), format_name=format, filter_name="none") as archive:
            if task == "list":
                write_entries(archive, output)
            else:
                write_contents(archive, output, first)
        output.write(END)
    except MemoryError:
        output.write_error(ERROR, "it needs too much memory")
    except libarchive.ArchiveError as error:
        # The text of the error itself has addresses in the memory.
        output.write_error(ERROR, error.msg)
    except (ValueError, OSError) as error:
        output.write_error(ERROR, error)
    output.flush()
    return None


def confine(memory: int, seconds: int) -> None:
    """Give up what the parser does not need, as far as the system allows."""
    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if library.unshare(_CLONE_NEWNET):
        library.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, _MAX_FILES),
    ):
        hard = resource.getrlimit(limit)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (allowed, allowed))


def write_entries(archive: Any, output: _Output) -> None:
    """Write all entries."""
    for entry in archive:
        kind = "directory" if entry.isdir else "file" if entry.isreg and not entry.linkpath else "other"
        name = entry.pathname
        if isinstance(name, bytes):
            name = name.decode(errors="replace")
        content = json.dumps({"name": name, "size": entry.size, "kind": kind}).encode()
        if len(content) > MAX_MESSAGE_BYTES:
            raise ValueError("a name is too long")
        output.write(ENTRY, content)


def write_contents(archive: Any, output: _Output, first: int) -> None:
    """Write the contents of all files whose index is `first` or higher."""
    for index, entry in enumerate(archive):
        if index < first or not entry.isreg:
            continue
        output.write(FILE, str(index).encode())
        for block in entry.get_blocks(block_size=_BLOCK_BYTES):
            output.write(DATA, bytes(block))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
