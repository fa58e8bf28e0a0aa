"""Fault injection at every call by which the daemon changes a disk.

It wraps functions of `os` and `sqlite3` in one process. Each such call is counted and written to a journal before it is
made; then the process continues, kills itself, or the call fails.
"""

import errno
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

WRITES: Final = (
    *("pwritev", "pwrite", "copy_file_range", "ftruncate", "fsync", "fdatasync"),
    *("mkdir", "link", "rename", "replace", "unlink", "fchmod", "utime"),
)
"""Functions of `os` that change a disk with any arguments."""


class FaultPoints:
    """Counter of the fault points of this process, which calls `on_point` at each."""

    def __init__(self, journal: Path) -> None:
        """Open the journal; its lines outlive the process."""
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._on_point: Callable[[int, str], None] = lambda number, name: None
        self._count = 0

    def record(self, line: str) -> None:
        """Write a line to the journal."""
        os.write(self._journal, f"{line}\n".encode())

    def begin(self, on_point: Callable[[int, str], None]) -> None:
        """Count from 1 on; call `on_point` with number and name before the call of each point."""
        self._count = 0
        self._on_point = on_point

    def reach(self, name: str) -> None:
        """Count and record the next point."""
        with self._lock:
            self._count += 1
            self.record(f"point {name}")
            self._on_point(self._count, name)

    def refuse(self, name: str, number: int) -> None:
        """Raise the error of the next call for this number of `errno`.

        Raises:
            OSError, sqlite3.OperationalError: as the operating system or SQLite reports it.
        """
        self.record(f"refuse {name} {errno.errorcode[number]}")
        if name not in {"commit", "migrate"}:
            raise OSError(number, os.strerror(number))
        error = sqlite3.OperationalError("database or disk is full" if number == errno.ENOSPC else "disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL if number == errno.ENOSPC else sqlite3.SQLITE_IOERR
        raise error

    def install(self) -> None:
        """Wrap the functions of `os` and `sqlite3` until the process ends."""
        for name in WRITES:
            setattr(os, name, self._before(name, getattr(os, name), always))
        setattr(os, "open", self._before("open", os.open, creates))  # noqa: B010 - as for the others
        setattr(os, "splice", self._before("splice", os.splice, writes_to_a_file))  # noqa: B010 - likewise
        fault_points, connect = self, sqlite3.connect

        class Cursor(sqlite3.Cursor):
            def execute(self, sql: str, parameters: Any = (), /) -> Self:
                if sql == "COMMIT":
                    fault_points.reach("commit")
                super().execute(sql, parameters)
                return self

            def executescript(self, script: str, /) -> sqlite3.Cursor:
                fault_points.reach("migrate")
                return super().executescript(script)

        class Connection(sqlite3.Connection):
            def cursor(self, factory: Any = Cursor) -> Any:
                return super().cursor(factory)

            def executescript(self, script: str, /) -> sqlite3.Cursor:
                return self.cursor().executescript(script)  # type: ignore[no-any-return]

        def connect_counted(*args: Any, **options: Any) -> sqlite3.Connection:
            return connect(*args, factory=Connection, **options)

        setattr(sqlite3, "connect", connect_counted)  # noqa: B010 - likewise

    def _before(self, name: str, call: Any, counts: Callable[[Sequence[Any], dict[str, Any]], bool]) -> Any:
        def counted(*args: Any, **options: Any) -> Any:
            if counts(args, options):
                self.reach(name)
            return call(*args, **options)

        return counted


def always(args: Sequence[Any], options: dict[str, Any]) -> bool:
    """Return True: the call changes a disk."""
    return True


def creates(args: Sequence[Any], options: dict[str, Any]) -> bool:
    """Return True if this `os.open` may create a file."""
    return len(args) > 1 and bool(args[1] & os.O_CREAT)


def writes_to_a_file(args: Sequence[Any], options: dict[str, Any]) -> bool:
    """Return True if this `os.splice` writes to a file."""
    return "offset_dst" in options


def kill_self() -> None:
    """Send SIGKILL to this process."""
    os.kill(os.getpid(), signal.SIGKILL)
    # The signal is pending; nothing more may happen in this thread.
    signal.pause()
