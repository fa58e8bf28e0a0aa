"""Selection among downloads that wait for space on the disk.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable

import msgspec

from downloadd.records.protocol import WaitingDownload
from downloadd.states import WaitNotice


class SpaceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A download that waits for space."""

    id: str
    waiting: WaitingDownload
    needed: int
    """Bytes that it has to write."""
    kept: int
    """Bytes of its part file."""
    notice: WaitNotice
    """Reason that the download shows."""


def select_fitting(requests: Iterable[SpaceRequest], available: int) -> list[SpaceRequest]:
    """Return the downloads that fit together in `available` bytes, in the order of the queue.

    A smaller one starts before a larger one that does not fit.
    """
    fitting = []
    for request in _in_order(requests):
        if request.needed <= available:
            available -= request.needed
            fitting.append(request)
    return fitting


def select_part_to_discard(requests: Iterable[SpaceRequest], available: int) -> SpaceRequest | None:
    """Return the download whose part file has to go if none of them fits and no other download frees space.

    It is the one with the fewest bytes among those that are not the first, in the order of the queue, which can fit by
    the space of the other parts. None if no download can fit that way.
    """
    ordered = _in_order(requests)
    kept = sum(request.kept for request in ordered)
    for first in ordered:
        if first.needed <= available + kept - first.kept:
            others = [request for request in ordered if request is not first and request.kept]
            return min(others, key=lambda request: request.kept, default=None)
    return None


def _in_order(requests: Iterable[SpaceRequest]) -> list[SpaceRequest]:
    return sorted(requests, key=lambda request: request.waiting.key)
