"""Simulation of outages: a thousand downloads of twenty hosts, whose network and hosts fail at random for minutes.

The scheduler, the health of the origins and the decisions to retry are the real ones; time and transfers are simulated.
"""

from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from random import Random

import pytest
from msgspec.structs import replace

from downloadd.config import DownloadsConfig
from downloadd.errors import DownloadError, NetworkError, NetworkErrorKind, RemoteError
from downloadd.manager import retry
from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import MAX_PAUSE_SECONDS, RAISE_SECONDS, OriginFailure, classify_failure
from downloadd.manager.scheduler import RECHECK_SECONDS, Scheduler
from downloadd.records.protocol import WaitingDownload

DOWNLOADS = 1000
HOSTS = 20
MAX_PER_HOST = 16
MAX_CONCURRENT = 64
MAX_RETRIES = DownloadsConfig().max_retries
TIMEOUT = 300.0
RETRY_FOR = 86_400.0
LAST_OUTAGE = 900.0
"""Seconds after which all hosts and the network work."""

DEAD = "https://dead.example"
"""A host that never answers."""


UNREACHABLE = tuple(
    NetworkError("no route", kind=kind)
    for kind in (NetworkErrorKind.NAME, NetworkErrorKind.CONNECT, NetworkErrorKind.NO_RESPONSE)
)
BROKEN = (
    *UNREACHABLE,
    *(RemoteError(status) for status in (500, 502, 503, 504)),
    *(NetworkError("broken", kind=kind) for kind in (NetworkErrorKind.STALLED, NetworkErrorKind.CUT)),
)
"""Failures of a host that answers, or of one behind a proxy that does."""


class Host:
    """A host that is away at times, and that may accept few connections or ask to wait."""

    def __init__(self, name: str, random: Random) -> None:
        self.name = name
        self.outages = make_outages(random)
        self.max_connections = random.choice([1, 2, 4, 99, 99])
        self.refuses_with_status = random.random() < 0.5
        self.asks_to_wait_at = random.uniform(0, LAST_OUTAGE) if random.random() < 0.3 else None
        self.connections = 0
        self.starts: list[float] = []

    def outage(self, now: float) -> tuple[float, float] | None:
        """Return the outage at a time; None if the host works."""
        return next(((begin, end) for begin, end in self.outages if begin <= now < end), None)


def make_outages(random: Random) -> list[tuple[float, float]]:
    """Return the begins and ends of some outages of seconds to minutes."""
    begins = [random.uniform(0, LAST_OUTAGE) for _ in range(random.randint(0, 3))]
    return [(begin, min(LAST_OUTAGE, begin + random.choice([2.0, 45.0, 240.0]))) for begin in begins]


class Front:
    """An origin that redirects each request to one of several hosts."""

    def __init__(self, name: str, choose: Callable[[int], Host]) -> None:
        """Make a front; `choose` returns the host for a download (`seq`)."""
        self.name = name
        self.choose = choose
        self.requests = 0


class Transfer:
    """A download and what it has left, in seconds of an undisturbed connection."""

    def __init__(self, seq: int, host: Host | None, seconds: float, front: Front | None = None) -> None:
        self.seq = seq
        self.front = front
        self.known_host = host
        self.seconds_left = seconds
        self.time_spent = 0.0
        self.failures = 0
        self.retrying_since: float | None = None
        self.outcome: str | None = None
        self.ended_at = 0.0

    @property
    def host(self) -> Host:
        """Return the host that it receives from, or was led to last."""
        assert self.known_host is not None
        return self.known_host

    @property
    def waiting(self) -> WaitingDownload:
        """Return it as it waits now."""
        target = None if self.known_host is None else self.known_host.name
        return WaitingDownload(
            seq=self.seq, origin=self.host.name if self.front is None else self.front.name, priority=0, target=target
        )


class Simulation:
    """A loop of events, each a function at a time."""

    def __init__(self, seed: int, *, failures: Sequence[DownloadError] = UNREACHABLE, timeout: float = TIMEOUT) -> None:
        self.random = Random(seed)
        self.failures = failures
        self.timeout = timeout
        self.now = 0.0
        self.network = Host("network", self.random)
        self.hosts = [Host(f"https://h{number}.example", self.random) for number in range(HOSTS)]
        self.dead = Host(DEAD, self.random)
        self.dead.outages = [(0.0, 1e9)]
        self.scheduler = Scheduler(Limits(max_concurrent=MAX_CONCURRENT, max_per_host=MAX_PER_HOST))
        self.transfers: dict[int, Transfer] = {}
        self.running: dict[int, float] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def add(self, host: Host | None, seconds: float, front: Front | None = None) -> None:
        transfer = Transfer(len(self.transfers), host, seconds, front)
        self.transfers[transfer.seq] = transfer
        self.scheduler.add(transfer.waiting)

    def at(self, time: float, action: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._events, (time, self._count, action))

    def run(self, until: float) -> None:
        """Run until nothing is left to do."""
        while self.now < until:
            for seq in self.scheduler.select_ready(self.now):
                self._start(self.transfers[seq])
            self._check()
            due = self.scheduler.next_due()
            times = [time for time in (due, self._events[0][0] if self._events else None) if time is not None]
            if not times:
                return
            self.now = max(self.now, min(times))
            while self._events and self._events[0][0] <= self.now:
                heappop(self._events)[2]()

    def _check(self) -> None:
        assert len(self.scheduler.runs) <= MAX_CONCURRENT
        for entry in self.scheduler.origins.entries.values():
            assert entry.running <= MAX_PER_HOST
            assert entry.probe is None or entry.health.is_open

    def _start(self, transfer: Transfer) -> None:
        self.running[transfer.seq] = self.now
        if transfer.front is None:
            self._connect(transfer)
        else:
            transfer.front.requests += 1
            self.at(self.now + self.random.uniform(0.005, 0.05), lambda: self._follow(transfer))

    def _follow(self, transfer: Transfer) -> None:
        """Connect to the host of a redirect if it has a slot, else wait for it."""
        assert transfer.front is not None
        origin = transfer.front.name
        transfer.known_host = transfer.front.choose(transfer.seq)
        if self.scheduler.enter(transfer.seq, origin, transfer.host.name, now=self.now):
            self.scheduler.report_answer(origin, transfer.seq, is_redirect=True, now=self.now)
            self._connect(transfer)
            return
        del self.running[transfer.seq]
        self.scheduler.finish(transfer.seq)
        self.scheduler.add(transfer.waiting)

    def _connect(self, transfer: Transfer) -> None:
        host = transfer.host
        host.starts.append(self.now)
        entry = self.scheduler.origins.use(host.name)
        if entry.health.is_open:
            assert entry.probe == transfer.seq, "a single download probes a host that is away"
        error: DownloadError | None = None
        delay = 0.01
        if self._outage(host) is not None:
            error, delay = self.random.choice(self.failures), self.random.choice([0.01, 3.0])
        elif host.asks_to_wait_at is not None and self.now >= host.asks_to_wait_at:
            host.asks_to_wait_at = None
            error = RemoteError(503, retry_after=30)
        elif host.connections >= host.max_connections:
            refused = NetworkError("refused", kind=NetworkErrorKind.CONNECT)
            error = RemoteError(503) if host.refuses_with_status else refused
        if error is not None:
            failure = error
            self.at(self.now + delay, lambda: self._fail(transfer, failure, has_progressed=False))
            return
        host.connections += 1
        self.at(self.now + 0.05, lambda: self._respond(transfer))

    def _respond(self, transfer: Transfer) -> None:
        if self._outage(transfer.host) is not None:
            transfer.host.connections -= 1
            self._fail(transfer, NetworkError("reset", kind=NetworkErrorKind.NO_RESPONSE), has_progressed=False)
            return
        self.scheduler.report_answer(transfer.host.name, transfer.seq, now=self.now)
        end = self.now + transfer.seconds_left
        cuts = [begin for one in (self.network, transfer.host) for begin, _ in one.outages if self.now < begin < end]
        cut = min(cuts, default=None)
        if cut is None:
            self.at(end, lambda: self._complete(transfer))
        else:
            begin = self.now
            self.at(cut, lambda: self._cut(transfer, received=cut - begin))

    def _outage(self, host: Host) -> tuple[float, float] | None:
        return self.network.outage(self.now) or host.outage(self.now)

    def _cut(self, transfer: Transfer, received: float) -> None:
        transfer.host.connections -= 1
        transfer.seconds_left -= received
        self._fail(transfer, NetworkError("cut", kind=NetworkErrorKind.CUT), has_progressed=True)

    def _complete(self, transfer: Transfer) -> None:
        transfer.host.connections -= 1
        self._end(transfer, "completed")

    def _end(self, transfer: Transfer, outcome: str) -> None:
        transfer.outcome, transfer.ended_at = outcome, self.now
        del self.running[transfer.seq]
        self.scheduler.finish(transfer.seq)

    def _fail(self, transfer: Transfer, error: DownloadError, *, has_progressed: bool) -> None:
        kind = classify_failure(error)
        assert kind is not None
        failure = OriginFailure(
            kind=kind,
            seq=transfer.seq,
            detail=error.detail,
            has_response=isinstance(error, RemoteError),
            retry_after=error.retry_after,
        )
        verdict = self.scheduler.report_failure(transfer.host.name, failure, now=self.now, random=self.random.random())
        timed = transfer.time_spent + self.now - self.running[transfer.seq]
        since = transfer.retrying_since
        spent = retry.TimeSpent(
            timed=timed if verdict.is_timed else None,
            retrying=0.0 if since is None else self.now - since,
            host_failing=None
            if verdict.failing_seconds is None
            else min(verdict.failing_seconds, self.now - (since or 0.0)),
        )
        decision = retry.decide(
            error,
            failures=transfer.failures,
            retries=MAX_RETRIES,
            progressed=has_progressed,
            is_counted=verdict.is_counted,
            pause=verdict.pause,
            time_left=retry.time_left(spent, timeout=self.timeout, retry_for=RETRY_FOR),
            random=self.random.random(),
        )
        if isinstance(decision, retry.Abort):
            self.scheduler.origins.hasten_probe(transfer.host.name, now=self.now)
            self._end(transfer, error.detail)
            return
        transfer.failures = decision.failures
        transfer.time_spent = timed + decision.delay if verdict.is_timed else transfer.time_spent
        if since is None or has_progressed:
            transfer.retrying_since = self.now
        del self.running[transfer.seq]
        self.scheduler.finish(transfer.seq)
        self.scheduler.add(replace(transfer.waiting, not_before=self.now + decision.delay))


def max_requests(begin: float, end: float) -> float:
    """Return the most requests that a host may get in an outage: those of full slots, and the probes."""
    growing = 8
    return MAX_PER_HOST + growing + (end - begin) / (MAX_PAUSE_SECONDS / 2)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_fails_that_can_succeed_and_no_host_is_asked_too_often(seed: int) -> None:
    simulation = Simulation(seed)
    for number in range(DOWNLOADS):
        host = simulation.hosts[number % HOSTS]
        simulation.add(host, simulation.random.choice([0.1, 1.0, 5.0, 60.0]))
    simulation.run(until=20_000)
    failed = [one for one in simulation.transfers.values() if one.outcome != "completed"]
    assert failed == []
    for host in simulation.hosts:
        for begin, end in host.outages:
            starts = [time for time in host.starts if begin <= time < end]
            assert len(starts) <= max_requests(begin, end)
    for begin, end in simulation.network.outages:
        starts_of = {host.name: sum(begin <= time < end for time in host.starts) for host in simulation.hosts}
        assert max(starts_of.values()) <= max_requests(begin, end)


@pytest.mark.parametrize("seed", range(3))
def test_an_outage_behind_a_proxy_that_answers_fails_no_download_without_a_timeout(seed: int) -> None:
    simulation = Simulation(seed, failures=BROKEN, timeout=0)
    for number in range(DOWNLOADS):
        simulation.add(simulation.hosts[number % HOSTS], simulation.random.choice([0.1, 1.0, 5.0, 60.0]))
    simulation.run(until=20_000)
    assert [one for one in simulation.transfers.values() if one.outcome != "completed"] == []


def test_the_downloads_of_a_host_that_never_answers_end_by_their_timeout() -> None:
    simulation = Simulation(seed=1)
    for _ in range(50):
        simulation.add(simulation.dead, 1.0)
    simulation.run(until=20_000)
    ends = [one.ended_at for one in simulation.transfers.values() if one.outcome is not None]
    assert len(ends) == 50
    assert TIMEOUT - MAX_PAUSE_SECONDS <= min(ends) <= max(ends) <= TIMEOUT + 50 * (3.0 + 2)


def test_a_host_that_has_limited_its_connections_serves_all_without_a_failure() -> None:
    simulation = Simulation(seed=2)
    simulation.network.outages = []
    host = simulation.hosts[0]
    host.outages, host.max_connections, host.asks_to_wait_at = [], 2, None
    for _ in range(14):
        simulation.add(host, 20.0)
    simulation.run(until=20_000)
    assert {one.outcome for one in simulation.transfers.values()} == {"completed"}
    assert max(one.ended_at for one in simulation.transfers.values()) < 7 * 20.0 + 20
    # Twelve are refused at once, and now and then one that tries whether the host accepts more.
    assert len(host.starts) <= 14 + 12 + 15


# -- hosts behind redirects --------------------------------------------------------------------------------------------


def choose_by_file(hosts: Sequence[Host], seq: int) -> Host:
    return hosts[seq % len(hosts)]


def choose_at_random(hosts: Sequence[Host], random: Random, seq: int) -> Host:
    return random.choice(hosts)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("is_fixed", [True, False])
def test_nothing_fails_and_no_host_is_asked_too_often_behind_redirects(seed: int, is_fixed: bool) -> None:
    simulation = Simulation(seed)
    simulation.network.outages = []
    for number in range(4):
        hosts = simulation.hosts[number : 4 * number + 1]
        choose = partial(choose_by_file, hosts) if is_fixed else partial(choose_at_random, hosts, simulation.random)
        front = Front(f"https://front{number}.example", choose)
        for _ in range(100):
            simulation.add(None, simulation.random.choice([0.1, 1.0, 5.0, 60.0]), front)
    for number in range(100):
        simulation.add(simulation.hosts[number % HOSTS], 1.0)
    simulation.run(until=20_000)
    assert [one for one in simulation.transfers.values() if one.outcome != "completed"] == []
    for host in simulation.hosts:
        for begin, end in host.outages:
            assert sum(begin <= time < end for time in host.starts) <= max_requests(begin, end)


def test_a_host_behind_a_redirect_that_has_limited_its_connections_serves_all_without_a_failure() -> None:
    simulation = Simulation(seed=2)
    host = simulation.hosts[0]
    simulation.network.outages, host.outages, host.max_connections, host.asks_to_wait_at = [], [], 2, None
    front = Front("https://front.example", lambda seq: host)
    for _ in range(100):
        simulation.add(None, 20.0, front)
    simulation.run(until=20_000)
    assert {one.outcome for one in simulation.transfers.values()} == {"completed"}
    assert max(one.ended_at for one in simulation.transfers.values()) < 50 * 20.0 + 60
    # Some start before the limit is known; then one tries now and then whether the host accepts more.
    assert len(host.starts) <= 100 + 4 * MAX_PER_HOST + 50 * 20 / RAISE_SECONDS
    # Each asks the front once where it is led to, and then waits for a slot of the host.
    assert front.requests <= len(host.starts) + 100 + 50 * 20 / RECHECK_SECONDS


def test_the_outage_of_one_host_holds_no_download_that_a_front_leads_to_another() -> None:
    simulation = Simulation(seed=3, timeout=0)
    up, down = simulation.hosts[:2]
    for host in (simulation.network, up, down):
        host.outages, host.max_connections, host.asks_to_wait_at = [], 99, None
    down.outages = [(0.0, LAST_OUTAGE)]
    # Of most downloads, it leads each request to the one that is down.
    front = Front("https://front.example", lambda seq: up if seq % 10 == 9 else down)
    for _ in range(200):
        simulation.add(None, 1.0, front)
    simulation.run(until=20_000)
    assert {one.outcome for one in simulation.transfers.values()} == {"completed"}
    ends = [one.ended_at for one in simulation.transfers.values() if one.known_host is up]
    assert (len(ends), max(ends) < MAX_PAUSE_SECONDS) == (20, True)
    assert len([time for time in down.starts if time < LAST_OUTAGE]) <= max_requests(0.0, LAST_OUTAGE)
    assert front.requests <= 400 + len(down.starts) + LAST_OUTAGE / RECHECK_SECONDS


def test_downloads_of_a_host_that_is_down_are_led_to_a_mirror_as_soon_as_the_front_does() -> None:
    simulation = Simulation(seed=4)
    up, down = simulation.hosts[:2]
    for host in (simulation.network, up, down):
        host.outages, host.max_connections, host.asks_to_wait_at = [], 99, None
    down.outages = [(10.0, LAST_OUTAGE)]
    front = Front("https://front.example", lambda seq: up if simulation.now >= 100.0 else down)
    for _ in range(300):
        simulation.add(None, 1.0, front)
    simulation.run(until=20_000)
    assert {one.outcome for one in simulation.transfers.values()} == {"completed"}
    assert (
        max(one.ended_at for one in simulation.transfers.values()) < 100 + MAX_PAUSE_SECONDS + 300 / MAX_PER_HOST + 10
    )
