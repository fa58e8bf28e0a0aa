"""Window of a shared queue: the next downloads of each route, which the scheduler of this process picks from.

Pure: no I/O and no clock.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from downloadd.manager.scheduler import Scheduler
from downloadd.records.admission import FIRST_ROUTE, Backlog, BacklogRequest, Route
from downloadd.records.protocol import WaitingDownload

MAX_ROUTES: Final = 64
"""Routes of one window; further ones follow with the next reads, in turn."""
MIN_PER_ROUTE: Final = 8
MAX_PER_ROUTE: Final = 64
"""Limits of the downloads of one route in a window; it is twice the slots of an origin otherwise."""


class QueueWindow:
    """Downloads that were read and are in the scheduler."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._known: dict[int, WaitingDownload] = {}
        self._after: Route = FIRST_ROUTE
        # Routes of which there are more downloads than were read, with those that are left.
        self._cut: Counter[Route] = Counter()
        self._has_more_routes = False
        self._left_out: frozenset[str] = frozenset()

    @property
    def is_short(self) -> bool:
        """Return True if the queue should be read before the next poll, because more may start than was read."""
        return (
            self._has_more_routes
            or self.is_outdated
            or any(left <= self._per_route // 2 for left in self._cut.values())
        )

    @property
    def is_outdated(self) -> bool:
        """Return True if there are more routes than in the window, and other users without a free slot than it assumes.

        Their routes would fill the window while those of others wait.
        """
        return (self._has_more_routes or bool(self._left_out)) and self._full_users != self._left_out

    def next_request(self, held: Sequence[int]) -> BacklogRequest:
        """Return what to read; downloads in `held` are left out."""
        self._left_out = self._full_users if self._has_more_routes or self._left_out else frozenset()
        return BacklogRequest(
            after=self._after,
            max_routes=MAX_ROUTES,
            per_route=self._per_route,
            held=held,
            full_users=sorted(self._left_out),
        )

    def replace(self, backlog: Backlog, *, without: Container[int] = (), targets: Mapping[int, str]) -> None:
        """Let the window be what was read, without downloads that run here still.

        Args:
            backlog: what was read.
            without: further downloads (`seq`) to leave out.
            targets: targets of redirects that the records do not have yet, by `seq`.
        """
        runs = self._scheduler.runs
        new = {
            one.seq: replace(one, target=targets[one.seq]) if one.seq in targets else one
            for one in backlog.ready
            if one.seq not in without and runs.get(one.seq) is None
        }
        for seq in self._known.keys() - new.keys():
            self._scheduler.dequeue(seq)
        for seq, one in new.items():
            if self._known.get(seq) != one:
                self._scheduler.add(one)
        self._known = new
        counts = Counter(_route(one) for one in backlog.ready)
        self._cut = Counter({route: count for route, count in counts.items() if count >= self._per_route})
        self._after = backlog.next_route
        self._has_more_routes = backlog.next_route != FIRST_ROUTE

    def take(self, seqs: Iterable[int]) -> None:
        """Forget downloads that the scheduler has picked."""
        for seq in seqs:
            one = self._known.pop(seq, None)
            if one is not None and _route(one) in self._cut:
                self._cut[_route(one)] -= 1

    def remove(self, seq: int) -> None:
        """Remove a download from the window and from the scheduler; an unknown one is ignored."""
        self.take([seq])
        self._scheduler.dequeue(seq)

    @property
    def _full_users(self) -> frozenset[str]:
        return self._scheduler.users.full_users(self._scheduler.limits)

    @property
    def _per_route(self) -> int:
        return min(MAX_PER_ROUTE, max(MIN_PER_ROUTE, 2 * self._scheduler.limits.max_per_host))


def _route(one: WaitingDownload) -> Route:
    return one.origin, one.target or "", one.user
