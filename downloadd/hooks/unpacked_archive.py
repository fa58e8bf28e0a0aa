"""Untrusted 7z and RAR archives, which a process of its own reads by libarchive. All of it blocks.

The process has limits of memory, CPU time and files, no network, and is killed when it does not answer for too long.
What it says of an archive is checked like what the archives of other formats say.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, Final, Self

import msgspec

from downloadd.hooks import unpack_program as program
from downloadd.imports.archive_entries import MAX_ENTRIES, ArchiveEntries, check_name, format_name, too_large_error
from downloadd.imports.refusal import DamagedEntryError, ImportRefusedError

SIGNATURES: Final = {
    b"7z\xbc\xaf\x27\x1c": "7zip",
    b"Rar!\x1a\x07\x00": "rar",
    b"Rar!\x1a\x07\x01\x00": "rar5",
}
"""Names of the formats in libarchive by the first bytes of an archive. No other format is read: some of them, such as
mtree, name files of the machine."""
_MAX_SIGNATURE_BYTES: Final = 8

MAX_MEMORY_BYTES: Final = 1 << 30
"""Address space of the process; the dictionary of an archive is a part of it."""
MIN_CPU_SECONDS: Final = 60
"""CPU time of the process for the entries of an archive, and at least for its files."""
MIN_BYTES_PER_CPU_SECOND: Final = 1 << 20
"""Bytes that the process must unpack in each further second of CPU time."""
SILENCE_SECONDS: Final = 120.0
"""Seconds for which the process may not answer; a large file that is skipped takes long."""


def find_format(file: BinaryIO) -> str | None:
    """Return the name of the format of an archive in libarchive; None if it is another one."""
    file.seek(0)
    signature = file.read(_MAX_SIGNATURE_BYTES)
    file.seek(0)
    return next((format for begin, format in SIGNATURES.items() if signature.startswith(begin)), None)


class LibraryMissingError(Exception):
    """libarchive, which the archive needs, is not installed; the text says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "7z and RAR archives need libarchive; install it (the Debian package libarchive13), and run: "
            "pip install 'downloadd[archives]'"
        )


class UnpackLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the process, and its program."""

    memory: int = MAX_MEMORY_BYTES
    min_cpu_seconds: int = MIN_CPU_SECONDS
    silence_seconds: float = SILENCE_SECONDS
    program: str = program.__file__


class UnpackedEntry(msgspec.Struct, frozen=True, gc=False):
    """Place of a file in the archive."""

    index: int
    """Number of the entry, from 0."""
    size: int


class UnpackedArchive(ArchiveEntries[UnpackedEntry]):
    """7z or RAR archive. Its files are read in their order by one process; to go back, another one is started."""

    def __init__(self, file: BinaryIO, format: str, *, limits: UnpackLimits | None = None) -> None:
        """Read all headers; `format` is a value of `SIGNATURES`.

        Raises:
            ImportRefusedError: the file is damaged or encrypted, exceeds a limit, or has unsafe names.
            LibraryMissingError: libarchive is not installed.
        """
        super().__init__()
        self._file = file
        self._format = format
        self._limits = limits or UnpackLimits()
        self._process: _Process | None = None
        # Index of the entry whose content comes next.
        self._next = 0
        with _Process(file, format, self._limits, task="list") as process:
            self._index(process)

    def close(self) -> None:
        """Kill the process; the file stays open."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def size(self, name: str) -> int:
        """Return the declared length of a file in bytes."""
        return self._entries[name].size

    def position(self, name: str) -> int:
        """Return the index of a file; 0 if it is missing."""
        entry = self._entries.get(name)
        return 0 if entry is None else entry.index

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in pieces; nothing if no file has this name.

        Raises:
            DamagedEntryError: the file is damaged or encrypted, or a limit of the process was exceeded.
        """
        entry = self._entries.get(name)
        if entry is None:
            return
        left = entry.size
        try:
            for piece in self._read(entry.index):
                left -= len(piece)
                if left < 0:
                    raise ImportRefusedError("it is longer than the archive declares")
                yield piece
            if left:
                raise ImportRefusedError(f"the last {left} bytes are missing")
        except ImportRefusedError as error:
            raise DamagedEntryError(f"{format_name(name)} in the archive cannot be unpacked: {error}") from error

    def _index(self, process: "_Process") -> None:
        for count, (kind, content) in enumerate(process.messages()):
            if kind != program.ENTRY:
                raise _unexpected_answer()
            found = msgspec.json.decode(content, type=_Found)
            if count >= MAX_ENTRIES:
                raise too_large_error(f"the archive has more than {MAX_ENTRIES} entries")
            self._add_found(found, count)

    def _add_found(self, found: "_Found", index: int) -> None:
        name = unicodedata.normalize("NFC", (found.name or "").replace("\\", "/"))
        check_name(name)
        if found.kind == "file":
            self._add(name, UnpackedEntry(index, found.size or 0))
        elif found.kind != "directory":
            self._add_special(name)

    def _read(self, index: int) -> Iterator[bytes]:
        if self._process is None or index < self._next:
            self.close()
            total = sum(entry.size for entry in self._entries.values())
            self._process = _Process(self._file, self._format, self._limits, task="read", first=index, total=total)
        process = self._process
        current = None
        for kind, content in process.messages():
            if kind == program.FILE:
                if current == index:
                    process.return_message(kind, content)
                    break
                current = int(content)
                self._next = current + 1
            elif kind != program.DATA:
                raise _unexpected_answer()
            elif current == index:
                yield content
        if current != index:
            raise ImportRefusedError("the archive has another content than before")


class _Found(msgspec.Struct, frozen=True):
    name: str | None
    size: int | None
    kind: str


class _Process:
    """The process, and the messages that it writes."""

    def __init__(
        self, file: BinaryIO, format: str, limits: UnpackLimits, *, task: str, first: int = 0, total: int = 0
    ) -> None:
        self._silence_seconds = limits.silence_seconds
        self._cpu_seconds = limits.min_cpu_seconds + total // MIN_BYTES_PER_CPU_SECOND
        self._returned: tuple[bytes, bytes] | None = None
        # Closing waits for the thread that reads.
        self._lock = threading.Lock()
        # The process reads from the place of the descriptor, which it shares.
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        numbers = (limits.memory, self._cpu_seconds, first)
        self._process = subprocess.Popen(  # noqa: S603 - no argument is of the archive
            [sys.executable, "-I", limits.program, format, task, *map(str, numbers)],
            stdin=file.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Names are converted to the encoding of the locale.
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            cwd="/",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the process. A thread that reads its messages gets an error."""
        self._process.kill()
        self._process.wait()
        with self._lock:
            self._output.close()

    def return_message(self, kind: bytes, content: bytes) -> None:
        """Let `messages` yield this message again."""
        self._returned = (kind, content)

    def messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the messages up to the end of the archive.

        Raises:
            ImportRefusedError: the process could not read the archive, or exceeded a limit.
            LibraryMissingError: libarchive is not installed.
        """
        while True:
            message, self._returned = self._returned or self._receive(), None
            kind, content = message
            if kind == program.END:
                self.return_message(kind, content)
                return
            if kind == program.MISSING:
                raise LibraryMissingError
            if kind == program.ERROR:
                raise ImportRefusedError(content.decode(errors="replace"))
            yield message

    @property
    def _output(self) -> BinaryIO:
        output = self._process.stdout
        assert output is not None  # noqa: S101 - narrows the type
        return output  # type: ignore[return-value]

    def _receive(self) -> tuple[bytes, bytes]:
        with self._lock:
            kind, size = program.HEADER.unpack(self._receive_exactly(program.HEADER.size))
            if size > program.MAX_MESSAGE_BYTES:
                raise _unexpected_answer()
            return kind, self._receive_exactly(size)

    def _receive_exactly(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            if not self._wait_for_bytes():
                self._process.kill()
                raise ImportRefusedError(f"its reader did not answer for {self._silence_seconds:g} seconds")
            piece = b"" if self._output.closed else os.read(self._output.fileno(), size - len(received))
            if not piece:
                raise self._end_error()
            received += piece
        return bytes(received)

    def _wait_for_bytes(self) -> bool:
        """Return False if none arrive in time."""
        if self._output.closed:
            return True
        poll = select.poll()
        poll.register(self._output.fileno(), select.POLLIN)
        return bool(poll.poll(self._silence_seconds * 1000))

    def _end_error(self) -> ImportRefusedError:
        """Return the error for a process that has ended without a word."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=self._silence_seconds)
        code = self._process.returncode or 0
        # The CPU limit is a hard one too, at which the kernel kills the process.
        if code in {-signal.SIGXCPU, -signal.SIGKILL}:
            return ImportRefusedError(
                f"its reader was killed; it may need more than {self._cpu_seconds} seconds of CPU time"
            )
        reason = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return ImportRefusedError(f"its reader {reason}; the archive is damaged, or needs too much memory")


def _unexpected_answer() -> ImportRefusedError:
    return ImportRefusedError("its reader has sent an unexpected answer")
