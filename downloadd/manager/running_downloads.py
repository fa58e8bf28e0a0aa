"""Running downloads and the slots of their runs: one of the origin, and one of the target of its redirects.

The slot of the target is taken before the run starts if the target is known, else before its first request there.

Pure: no I/O and no clock; the caller passes the time, always by the same clock.
"""

from downloadd.manager.origin_table import OriginEntry, OriginTable
from downloadd.manager.redirect_targets import RedirectTargets
from downloadd.manager.waiting_queues import Route


class RunningDownload:
    """A running download.

    Attributes:
        route: the route that it waited under.
        expected: the target that it was expected to be led to; "" for none.
        target: the origin behind redirects of which the run has a slot; "" for none.
        source: the origin whose redirects the run was led by last, at first that of the run.
        led: the origin that it was led to, whether or not a slot was free; "" for none.
        has_slots: False after its slots were freed before its end.
    """

    __slots__ = ("expected", "has_slots", "led", "route", "source", "target")

    def __init__(self, route: Route, expected: str) -> None:
        self.route = route
        self.expected = expected
        self.target = ""
        self.source = route[0]
        self.led = ""
        self.has_slots = True

    @property
    def origin(self) -> str:
        """Return the origin of which the run has a slot from its start until it has received everything."""
        return self.route[0]


class RunningDownloads:
    """The running downloads by `seq`.

    Attributes:
        freed: origins of which a slot was freed; the caller that starts downloads there removes them.
    """

    def __init__(self, origins: OriginTable, targets: RedirectTargets) -> None:
        self.freed: set[str] = set()
        self._origins = origins
        self._targets = targets
        self._running: dict[int, RunningDownload] = {}

    def __len__(self) -> int:
        return len(self._running)

    def get(self, seq: int) -> RunningDownload | None:
        """Return a running download; None if it does not run."""
        return self._running.get(seq)

    def begin(self, seq: int, route: Route, expected: str, *, has_target_slot: bool, now: float) -> None:
        """Acquire the slots of a run, that of the expected target only if `has_target_slot`."""
        running = self._running[seq] = RunningDownload(route, expected)
        self._origins.begin_run(running.origin, seq, now=now)
        if expected and has_target_slot:
            self._acquire_target(seq, running, expected, now=now)

    def end(self, seq: int) -> None:
        """Free the slots of a run; an unknown one is ignored."""
        self.free_slots(seq)
        self._running.pop(seq, None)

    def free_slots(self, seq: int) -> None:
        """Free the slots of a run that has received everything; it runs until `end`."""
        running = self._running.get(seq)
        if running is not None and running.has_slots:
            running.has_slots = False
            self._release(running.origin, seq)
            self._release_target(seq, running)

    def enter(self, seq: int, source: str, origin: str, *, max_slots: int, now: float) -> bool:
        """Move the slot of a run to an origin that redirects of `source` lead to; return False if it has no free one.

        If its circuit is due for a probe, this run is the probe.
        """
        running = self._running.get(seq)
        if running is None:
            # The run was aborted.
            return False
        has_entered = running.led == running.target == origin
        running.source, running.led = source, origin
        if has_entered or origin == running.origin or self._is_probe(seq, origin):
            return True
        # A slot that was acquired in advance is released first: the origin may have lowered its slots since then.
        self._release_target(seq, running)
        entry = self._origins.get(origin) or OriginEntry()
        if not entry.free_slots(max_slots, now):
            self._targets.record(source, origin, seq, now=now)
            return False
        self._acquire_target(seq, running, origin, now=now)
        return True

    def leave(self, seq: int) -> None:
        """Free the slot of a run at the target of redirects, if it has one."""
        running = self._running.get(seq)
        if running is not None:
            self._release_target(seq, running)

    def learn_from_answer(self, seq: int, origin: str, *, now: float) -> bool:
        """Record that a run was led to `origin`, which has answered; return True if it was expected elsewhere.

        The answer of a source that is not the last one, and does not redirect, says nothing about targets.
        """
        running = self._running.get(seq)
        if running is None or origin != (running.led or running.origin):
            return False
        self._targets.record(running.source, origin, seq, now=now)
        return running.expected not in {"", origin} and running.source == running.origin

    def learn_from_failure(self, seq: int, origin: str, *, now: float) -> None:
        """Record where a run was led to when its request to `origin` has failed."""
        running = self._running.get(seq)
        if running is not None and origin == running.led:
            self._targets.record(running.source, origin, seq, now=now)

    def _is_probe(self, seq: int, origin: str) -> bool:
        entry = self._origins.get(origin)
        return entry is not None and entry.probe == seq

    def _acquire_target(self, seq: int, running: RunningDownload, origin: str, *, now: float) -> None:
        self._origins.begin_run(origin, seq, now=now)
        running.target = origin

    def _release_target(self, seq: int, running: RunningDownload) -> None:
        origin, running.target = running.target, ""
        if origin:
            self._release(origin, seq)

    def _release(self, origin: str, seq: int) -> None:
        self._origins.end_run(origin, seq)
        self.freed.add(origin)
