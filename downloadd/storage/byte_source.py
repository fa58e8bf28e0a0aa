"""Source of bytes that a thread moves to a file."""

from collections.abc import Callable
from typing import Protocol

import msgspec


class MoveResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of one call."""

    nbytes: int
    """Bytes that were moved."""
    is_eof: bool
    """The source has ended."""


class ByteSource(Protocol):
    """Source of bytes. For one thread at a time."""

    def move_to(
        self, target: int, offset: int, max_bytes: int, on_bytes: Callable[[memoryview, int], None]
    ) -> MoveResult:
        """Move at most `max_bytes` bytes to `offset` of the file with the descriptor `target`.

        Return when they are moved, soon after no more are there, or after a short time. Bytes that enter the process
        are passed to `on_bytes` with their offset, after they were written; bytes that do not enter it are not.

        Raises:
            NetworkError: the connection broke; earlier bytes were reported by the call before.
            OSError: the file could not be written; bytes that did not fit are lost.
        """
        ...
