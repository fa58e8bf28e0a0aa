"""The Prometheus series, in a registry of their own.

The methods are named for what happened and cost about a microsecond; may be called from the event loop only.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from downloadd import __version__
from downloadd.errors import ErrorCode
from downloadd.states import ACTIVE, State

DURATION_BUCKETS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
"""Seconds: from a small file on a fast line to a day."""


class Metrics:
    """What the daemon counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._active = self._gauge("downloadd_downloads_active", "Downloads by active state.", ("state",))
        build = self._gauge("downloadd_build_info", "The version that runs; always 1.", ("version",))
        build.labels(__version__).set(1)
        self._accepted = self._counter("downloadd_downloads_accepted", "Downloads written down to be fetched.")
        ended = self._counter(
            "downloadd_downloads_ended",
            "Downloads that have ended, refused ones included, by outcome and error code.",
            ("outcome", "error"),
        )
        failed = self._counter(
            "downloadd_attempts_failed", "Attempts that failed and are followed by another one.", ("error",)
        )
        self._received = self._counter("downloadd_received_bytes", "Bytes of content received from origins.")
        requests = self._counter(
            "downloadd_http_requests", "Requests answered, by method and status.", ("method", "status")
        )
        self._duration = Histogram(
            "downloadd_download_duration_seconds",
            "Seconds from acceptance to the end of a download.",
            buckets=DURATION_BUCKETS,
            registry=self._registry,
        )
        self._loop_lag = self._gauge(
            "downloadd_event_loop_lag_seconds", "How much later than due the event loop ran its last timer."
        )
        self._commits = self._counter("downloadd_store_commits", "Transactions that the records made durable.")
        self._committed_rows = self._counter("downloadd_store_rows", "Rows written in those transactions.")
        # Looking a child up by its labels takes a lock and several microseconds: once is enough.
        self._ended = _Children(ended)
        self._failed = _Children(failed)
        self._requests = _Children(requests)
        # A series that is there from the start shows its first increase.
        self._ended[State.COMPLETED, ""].inc(0)

    def accepted(self, count: int) -> None:
        """So many downloads were accepted."""
        self._accepted.inc(count)

    def ended(self, outcome: State, error: ErrorCode | None, seconds: float) -> None:
        """A download has ended, so many seconds after its acceptance."""
        self._ended[outcome, error or ""].inc()
        self._duration.observe(max(0.0, seconds))

    def attempt_failed(self, code: ErrorCode) -> None:
        """An attempt failed and another one follows."""
        self._failed[code,].inc()

    def received(self, nbytes: int) -> None:
        """So many bytes of content came in."""
        self._received.inc(nbytes)

    def request(self, method: str, status: int) -> None:
        """A request was answered; the caller sees to it that `method` is one of a few."""
        self._requests[method, status].inc()

    def loop_lagged(self, seconds: float) -> None:
        """The event loop ran a timer so many seconds late."""
        self._loop_lag.set(seconds)

    def committed(self, rows: int) -> None:
        """The records made a transaction of so many rows durable."""
        self._commits.inc()
        self._committed_rows.inc(rows)

    def render(self, active: Mapping[State, int], accept: str = "") -> tuple[bytes, str]:
        """The exposition and its media type: Prometheus text, or OpenMetrics when the `Accept` field asks for it.

        `active` is how many downloads are in each active state; states that are left out have none.
        """
        for state in sorted(ACTIVE):
            self._active.labels(state.value).set(active.get(state, 0))
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    def _counter(self, name: str, documentation: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(name, documentation, tuple(labels), registry=self._registry)

    def _gauge(self, name: str, documentation: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(name, documentation, tuple(labels), registry=self._registry)


class _Children(dict[tuple[object, ...], Counter]):
    """The children of a counter, each made when it is first asked for."""

    def __init__(self, parent: Counter) -> None:
        super().__init__()
        self._parent = parent

    def __missing__(self, labels: tuple[object, ...]) -> Counter:
        child = self[labels] = self._parent.labels(*map(str, labels))
        return child
