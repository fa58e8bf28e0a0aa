"""Results of polls of the waiting list and of the list of results, which equal polls share until the list changes."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

import msgspec

from downloadd.fronts.aria2.calls import EncodedList

MAX_ANSWERS: Final = 16
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Bytes of all results that are kept together."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a list."""

    rows: EncodedList
    is_live: bool = False
    """True if a row may change without a new revision of the list, so that the rows are not kept."""


class ListAnswers:
    """Encoded rows by the list, window, keys and rights that they were asked for with."""

    def __init__(self) -> None:
        # The one that was made first is the first.
        self._known: dict[Hashable, tuple[int, EncodedList]] = {}
        self._lock = asyncio.Lock()

    async def get(
        self, key: Hashable, read_revision: Callable[[], Awaitable[int]], make: Callable[[], Awaitable[Listing]]
    ) -> EncodedList:
        """Return the rows of `make` for the present revision.

        Args:
            key: stands for all that the rows depend on, besides the list.
            read_revision: returns the revision of the list; raises what the user may not.
            make: reads and encodes the rows, of the revision before it was called or a newer one.
        """
        revision = await read_revision()
        if (known := self._find(key, revision)) is not None:
            return known
        async with self._lock:
            # Another poll may have made it meanwhile.
            revision = await read_revision()
            if (known := self._find(key, revision)) is not None:
                return known
            listing = await make()
            self._known.pop(key, None)
            if not listing.is_live:
                self._keep(key, revision, listing.rows)
            return listing.rows

    def _find(self, key: Hashable, revision: int) -> EncodedList | None:
        found = self._known.get(key)
        return found[1] if found is not None and found[0] == revision else None

    def _keep(self, key: Hashable, revision: int, rows: EncodedList) -> None:
        self._known[key] = revision, rows
        while len(self._known) > MAX_ANSWERS or sum(kept.nbytes for _, kept in self._known.values()) > MAX_ANSWER_BYTES:
            del self._known[next(iter(self._known))]
