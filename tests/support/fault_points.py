"""Every call by which the daemon changes a disk, as a point where a fault can on_point.

Laid over `os` and `sqlite3` of one process. Before each such call the point is counted and written to a file, so that
whoever reads it knows what was about to happen; then the process goes on, kills itself, or is refused the call.
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
    *("pwritev", "pwrite", "ftruncate", "fsync", "fdatasync"),
    *("mkdir", "link", "rename", "replace", "unlink", "fchmod", "utime"),
)
"""Calls of `os` that change a disk whatever their arguments."""


class FaultPoints:
    """Counts the fault_points of this process, and lets a fault on_point at some of them."""

    def __init__(self, journal: Path) -> None:
        """`journal` gets a line for each point, and for all that is told; lines outlive the process."""
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._on_point: Callable[[int, str], None] = lambda number, name: None
        self._count = 0

    def record(self, line: str) -> None:
        """Writes a line down for whoever looks later."""
        os.write(self._journal, f"{line}\n".encode())

    def begin(self, on_point: Callable[[int, str], None]) -> None:
        """Counts from 1 on; `on_point` is called before each point's call is made, with its number and name."""
        self._count = 0
        self._on_point = on_point

    def reach(self, name: str) -> None:
        """This point comes next."""
        with self._lock:
            self._count += 1
            self.record(f"point {name}")
            self._on_point(self._count, name)

    def refuse(self, name: str, number: int) -> None:
        """Fails as the call would that is made next, with this number of `errno`.

        Raises:
            OSError, sqlite3.OperationalError: as the operating system, or SQLite on top of it, says it.
        """
        self.record(f"refuse {name} {errno.errorcode[number]}")
        if name not in {"commit", "migrate"}:
            raise OSError(number, os.strerror(number))
        error = sqlite3.OperationalError("database or disk is full" if number == errno.ENOSPC else "disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL if number == errno.ENOSPC else sqlite3.SQLITE_IOERR
        raise error

    def install(self) -> None:
        """Lays the fault_points over `os` and `sqlite3`, until the process ends."""
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
    """Whether the call changes a disk: it does."""
    return True


def creates(args: Sequence[Any], options: dict[str, Any]) -> bool:
    """Whether this `os.open` may make a file."""
    return len(args) > 1 and bool(args[1] & os.O_CREAT)


def writes_to_a_file(args: Sequence[Any], options: dict[str, Any]) -> bool:
    """Whether this `os.splice` is the half that writes to a file."""
    return "offset_dst" in options


def kill_self() -> None:
    """SIGKILL: no goodbye."""
    os.kill(os.getpid(), signal.SIGKILL)
    # It is on its way; nothing more may happen in this thread.
    signal.pause()
