"""Targets of redirects: the origins that requests to another origin were led to.

A mirror selector, or a front of several stores, has several targets; then the target of a download is unknown until its
own request was answered. Nothing of this is recorded: the first requests after a start find it out again.

Pure: no I/O and no clock; the caller passes the time, always by the same clock.
"""

from typing import Final

from downloadd.manager.waiting_queues import Route

MAX_ORIGINS: Final = 10_000
"""Origins of which targets are remembered; the one that was asked longest ago is forgotten first."""
MAX_TARGETS: Final = 4
"""Targets of one origin that are remembered; there are several if there are two."""
MIN_DOWNLOADS: Final = 8
"""Downloads in a row that were led to the same target, before others are expected to be led there too."""
FORGET_SECONDS: Final = 3_600.0
"""Seconds after which a target that no request was led to is forgotten."""


class _Targets:
    """The targets of one origin.

    Attributes:
        seen: the time of the last answer of each; the last one is the latest.
        seqs: some of the downloads that were led to the latest since one was led elsewhere.
    """

    __slots__ = ("seen", "seqs")

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}
        self.seqs: set[int] = set()


class RedirectTargets:
    """The targets of origins that redirect."""

    def __init__(self) -> None:
        # In the order of the last answer.
        self._targets: dict[str, _Targets] = {}

    def record(self, origin: str, target: str, seq: int, *, now: float) -> None:
        """Record that a request of a download to `origin` was led to `target`, which is `origin` without a redirect."""
        targets = self._targets.pop(origin, None)
        if targets is None:
            if target == origin:
                return
            targets = _Targets()
            if len(self._targets) >= MAX_ORIGINS:
                del self._targets[next(iter(self._targets))]
        self._targets[origin] = targets
        if next(reversed(targets.seen), None) != target:
            targets.seqs.clear()
            targets.seen.pop(target, None)
            if len(targets.seen) >= MAX_TARGETS:
                del targets.seen[next(iter(targets.seen))]
        targets.seen[target] = now
        if len(targets.seqs) < MIN_DOWNLOADS:
            targets.seqs.add(seq)

    def expected(self, route: Route, *, now: float) -> str:
        """Return the target that the downloads of a route are led to; "" if that is not known."""
        return route[1] or self.likely(route[0], now=now) or ""

    def likely(self, origin: str, *, now: float) -> str | None:
        """Return the target that the next request to `origin` will be led to; None if that is not known."""
        targets = self._targets.get(origin)
        if targets is None or len(targets.seqs) < MIN_DOWNLOADS:
            return None
        known = [target for target, seen in targets.seen.items() if seen > now - FORGET_SECONDS]
        return known[0] if len(known) == 1 and known[0] != origin else None
