"""Places in the waiting list: the priority and the place with which a download stands between two others.

The order is that of starting: the higher priority first, then the smaller place, then the smaller `seq`. A download
without a place of its own stands at its `seq`. One that is moved takes the priority of a neighbour and a place in the
middle between both. When no floating point number is left between them, the places around it are spaced again.

Pure: no I/O and no clock.
"""

from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Final

import msgspec
from msgspec.structs import replace

MIN_GAP: Final = 2.0**-10
"""Least distance of places that are spaced again; later moves have room for a while."""


class QueueEntry(msgspec.Struct, frozen=True, gc=False):
    """A download in the waiting list."""

    seq: int
    priority: int
    place: float | None = None
    """None for the place of its `seq`."""

    @property
    def position(self) -> float:
        """Return the place, that of `seq` too."""
        return self.seq if self.place is None else self.place

    @property
    def key(self) -> tuple[int, float, int]:
        """Return the key by which the waiting list is sorted."""
        return -self.priority, self.position, self.seq


class Neighbours(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the waiting list around the position that a download moves to, without that download."""

    before: Sequence[QueueEntry]
    """The last one is the next neighbour."""
    after: Sequence[QueueEntry]
    """The first one is the next neighbour."""
    has_all_before: bool
    """True if no other one is before these."""
    has_all_after: bool
    """True if no other one is after these."""


def place_between(entry: QueueEntry, neighbours: Neighbours, *, end: int) -> list[QueueEntry] | None:
    """Return the entries that change so that `entry` stands between its neighbours, `entry` first; [] if it does.

    None means that the places of more neighbours must be known.

    Args:
        entry: the download as it is now.
        neighbours: those before and after its new position.
        end: the `seq` of the next download that is accepted, which must stand after all others of its priority.
    """
    before, after = neighbours.before, neighbours.after
    if (not before or before[-1].key < entry.key) and (not after or entry.key < after[0].key):
        return []
    priority = entry.priority
    if before:
        priority = min(priority, before[-1].priority)
    if after:
        priority = max(priority, after[0].priority)
    left = list(takewhile(lambda one: one.priority == priority, reversed(before)))[::-1]
    right = list(takewhile(lambda one: one.priority == priority, after))
    low = left[-1].position if left else None
    high = right[0].position if right else float(end)
    place = _middle(low, high)
    if (low is None or low < entry.seq) and entry.seq < high:
        return [replace(entry, priority=priority, place=None)]
    if place is not None:
        return [replace(entry, priority=priority, place=place)]
    is_first = len(left) < len(before) or neighbours.has_all_before
    is_last = len(right) < len(after) or neighbours.has_all_after
    return _space_again(replace(entry, priority=priority), left, right, is_first=is_first, is_last=is_last, end=end)


def _space_again(
    entry: QueueEntry,
    left: list[QueueEntry],
    right: list[QueueEntry],
    *,
    is_first: bool,
    is_last: bool,
    end: int,
) -> list[QueueEntry] | None:
    """Return `entry` and all of `left` and `right` with new places; the outermost keep theirs if others follow them.

    Args:
        entry: the download, with its new priority.
        left: those of this priority before it.
        right: those of this priority after it.
        is_first: True if `left` begins with the first one of this priority.
        is_last: True if `right` ends with the last one of this priority.
        end: as of `place_between`.
    """
    if not ((left or is_first) and (right or is_last)):
        return None
    low, left = (None, left) if is_first else (left[0].position, left[1:])
    high, right = (float(end), right) if is_last else (right[-1].position, right[:-1])
    places = _spread(low, high, len(left) + 1 + len(right))
    if places is None:
        return None
    spaced = [replace(one, place=place) for one, place in zip((*left, entry, *right), places, strict=True)]
    return [spaced.pop(len(left)), *spaced]


def _middle(low: float | None, high: float) -> float | None:
    """Return a number between both; None if there is none. Without `low`, all smaller numbers are free."""
    middle = high - 1 if low is None else low + (high - low) / 2
    return middle if (low is None or low < middle) and middle < high else None


def _spread(low: float | None, high: float, count: int) -> list[float] | None:
    """Return `count` numbers between both at equal distances; None if these would be too small."""
    if low is None:
        return [high - count + number for number in range(count)]
    step = (high - low) / (count + 1)
    places = [low + step * number for number in range(1, count + 1)]
    is_rising = all(one < next_one for one, next_one in pairwise((low, *places, high)))
    return places if step >= MIN_GAP and is_rising else None
