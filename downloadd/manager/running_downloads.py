"""Running downloads and the slots of their runs: one of the origin, and one of the target of its redirects.

The slot of the target is taken before the run starts if the target is known, else before its first request there.

Pure: no I/O and no clock; the caller passes the time, always by the same clock.
"""

from downloadd.manager.origin_table import OriginTable
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

    @property
    def user(self) -> str:
        """Return the id of its user."""
        return self.route[2]


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
        self._forget_unused()

    def acquire(self, origin: str, count: int, *, now: float) -> int:
        """Take up to `count` free slots of an origin for further connections of a running download; return the number.

        An origin in backoff or with an open circuit has none.
        """
        entry = self._origins.get(origin)
        if entry is not None and entry.health.is_open:
            return 0
        acquired = min(count, self._origins.free_slots(origin, now=now))
        if acquired:
            self._origins.use(origin).running += acquired
        return acquired

    def release(self, origin: str, slots: int) -> None:
        """Free acquired slots."""
        if slots:
            self._origins.use(origin).running -= slots
            self.freed.add(origin)
            self._forget_unused()

    def enter(self, seq: int, source: str, origin: str, *, now: float) -> bool:
        """Move the slot of a run to an origin that redirects of `source` lead to; return False if it has no free one.

        If its circuit is due for a probe, this run is the probe. The slot is free again when the run ends or is led
        elsewhere.
        """
        running = self._running.get(seq)
        # One that is unknown was aborted.
        has_slot = running is not None and self._enter(seq, running, source, origin, now=now)
        self._forget_unused()
        return has_slot

    def leave(self, seq: int) -> None:
        """Free the slot of a run at the target of redirects, if it has one."""
        running = self._running.get(seq)
        if running is not None:
            self._release_target(seq, running)
        self._forget_unused()

    def expected_target(self, seq: int) -> str | None:
        """Return the target that a run was expected to be led to, and has a slot of; None without one."""
        running = self._running.get(seq)
        return None if running is None or running.target != running.expected else running.target or None

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

    def _enter(self, seq: int, running: RunningDownload, source: str, origin: str, *, now: float) -> bool:
        has_entered = running.led == running.target == origin
        running.source, running.led = source, origin
        if has_entered or origin == running.origin or self._is_probe(seq, origin):
            return True
        # A slot that was taken in advance is given back first: the origin may have lowered its slots since then.
        self._release_target(seq, running)
        if not self._origins.free_slots(origin, now=now):
            self._targets.record(source, origin, seq, now=now)
            return False
        self._acquire_target(seq, running, origin, now=now)
        return True

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

    def _forget_unused(self) -> None:
        for name in self.freed:
            self._origins.forget_unused(name)
