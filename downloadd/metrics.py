"""The Prometheus series, in a registry of their own.

The methods are named for what happened and cost about two microseconds; they may be called from the event loop only.
What is a matter of the moment, such as the length of the queue, is looked up when it is asked for, and handed in as a
`GaugeSnapshot`.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from downloadd import __version__
from downloadd.errors import ErrorCode
from downloadd.import_operation import FINISHED_STATES, ImportOperation
from downloadd.states import ACTIVE, FINISHED, State, WaitReason

DURATION_BUCKETS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
"""Seconds: from a small file on a fast line to a day."""
REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 60)
"""Seconds: from an accept on a fast disk to an answer that was held for the end of a download."""
COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
"""Seconds: from a disk with a battery to one that is about to fail."""
ROWS_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 10_000)
"""Rows of a transaction."""
LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
"""Seconds: an answer takes at least as long as the loop lags."""
DELIVERY_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 3600)
"""Seconds of a try to tell a hook."""


class DeliveryOutcome(StrEnum):
    """What became of a try to tell a hook."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """Another try follows."""
    ABANDONED = "given_up"
    """It was the last one."""


class OriginUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How hosts are used, all together: a label for each would grow with everything that is ever fetched."""

    connections: int = 0
    """In use, those of segments included."""
    busiest: int = 0
    """On the host that has the most."""
    connected: int = 0
    """Hosts with a connection in use."""
    waiting: int = 0
    """Hosts that downloads wait for."""
    blocked: int = 0
    """Hosts that asked to be left alone."""


class QuotaUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How full a directory with a quota is, in bytes."""

    directory: str
    used: int
    limit: int


class StorageUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How full the storage is, in bytes."""

    free: int
    size: int
    reserved: int
    """What must stay free."""
    quotas: Sequence[QuotaUsage] = ()


class GaugeSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What is so right now."""

    active: Mapping[State, int] = {}
    """Downloads by state; states that are left out have none."""
    waiting: Mapping[WaitReason, int] = {}
    """Waiting downloads by what they wait for, likewise."""
    origins: OriginUsage = OriginUsage()
    subscribers: int = 0
    """Readers of the event stream."""
    imports: int = 0
    """Import operations at work."""
    messages: Mapping[str, int] = {}
    """What hooks are still to be told, by hook."""
    storage: StorageUsage | None = None
    """None while the disk does not answer."""


class Metrics:
    """What the daemon counts."""

    def __init__(self) -> None:
        # Two moments must not be mixed in one exposition.
        self._render_lock = threading.Lock()
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._define_download_metrics()
        self._define_request_metrics()
        self._define_internal_metrics()
        self._define_gauges()
        build = self._gauge("downloadd_build_info", "The version that runs; always 1.", ("version",))
        build.labels(__version__).set(1)

    # -- what happens --------------------------------------------------------------------------------------------------

    def accepted(self, count: int) -> None:
        """So many downloads were accepted."""
        self._accepted.inc(count)

    def attempt_started(self, waited: float | None) -> None:
        """An attempt begins; the first one of its download after so many seconds of waiting, None for later ones."""
        self._attempts.inc()
        if waited is not None:
            self._queue_wait.observe(max(0.0, waited))

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

    def request(self, method: str, status: int, seconds: float) -> None:
        """A request was answered after so many seconds; the caller sees to it that `method` is one of a few."""
        self._requests[method, status].inc()
        self._request_duration.observe(seconds)

    def login_failed(self) -> None:
        """Somebody showed wrong credentials."""
        self._failed_logins.inc()

    def loop_lagged(self, seconds: float) -> None:
        """The event loop ran a timer so many seconds late."""
        self._loop_lag.observe(seconds)

    def committed(self, rows: int, seconds: float) -> None:
        """The records made a transaction of so many rows durable, in so many seconds."""
        self._commit_duration.observe(seconds)
        self._commit_rows.observe(rows)

    def reader_lost(self, events: int) -> None:
        """A reader of the event stream fell behind and was cut off, with so many events that it had not read."""
        self._lost_readers.inc()
        self._lost_events.inc(events)

    def register_import_kind(self, kind: str) -> None:
        """Add the series of a kind of import operation."""
        self._imports_ended[kind, "done"].inc(0)

    def import_state_changed(self, operation: ImportOperation) -> None:
        """Count an import operation that has finished."""
        if operation.state in FINISHED_STATES:
            self._imports_ended[operation.kind, operation.state.value].inc()

    def register_hook(self, name: str) -> None:
        """A hook is configured: its series are there from now on."""
        for outcome in DeliveryOutcome:
            self._hook_tries[name, outcome].inc(0)

    def delivery_attempted(self, hook: str, outcome: DeliveryOutcome, seconds: float) -> None:
        """A try to tell a hook took so many seconds."""
        self._hook_tries[hook, outcome].inc()
        self._hook_try_duration.observe(seconds)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def render(self, gauges: GaugeSnapshot, accept: str = "") -> tuple[bytes, str]:
        """The exposition and its media type: Prometheus text, or OpenMetrics when the `Accept` field asks for it.

        Reads files of /proc: for threads.
        """
        with self._render_lock:
            self._set_gauges(gauges)
            encode, media_type = choose_encoder(accept)
            return encode(self._registry), media_type

    def _set_gauges(self, gauges: GaugeSnapshot) -> None:
        for state in sorted(ACTIVE):
            self._active.labels(state.value).set(gauges.active.get(state, 0))
        for hold in WaitReason:
            self._waiting.labels(hold.value).set(gauges.waiting.get(hold, 0))
        self._connections.set(gauges.origins.connections)
        self._busiest.set(gauges.origins.busiest)
        self._hosts_connected.set(gauges.origins.connected)
        self._hosts_waiting.set(gauges.origins.waiting)
        self._hosts_blocked.set(gauges.origins.blocked)
        self._subscribers.set(gauges.subscribers)
        self._imports_active.set(gauges.imports)
        # Hooks come and go with the configuration.
        self._pending_messages.clear()
        for hook, count in gauges.messages.items():
            self._pending_messages.labels(hook).set(count)
        self._storage.usage = gauges.storage

    # -- the series ----------------------------------------------------------------------------------------------------

    def _define_download_metrics(self) -> None:
        self._accepted = self._counter("downloadd_downloads_accepted", "Downloads written down to be fetched.")
        self._ended = _ChildCache(
            self._counter(
                "downloadd_downloads_ended",
                "Downloads that have ended, refused ones included, by outcome and error code.",
                ("outcome", "error"),
            )
        )
        # A series that is there from the start shows its first increase.
        for outcome in sorted(FINISHED - {State.FAILED}):
            self._ended[outcome, ErrorCode.CANCELLED if outcome is State.CANCELLED else ""].inc(0)
        self._duration = self._histogram(
            "downloadd_download_duration_seconds",
            "Seconds from acceptance to the end of a download.",
            DURATION_BUCKETS,
        )
        self._queue_wait = self._histogram(
            "downloadd_queue_wait_seconds", "Seconds from acceptance to the first attempt.", DURATION_BUCKETS
        )
        self._attempts = self._counter("downloadd_attempts_started", "Attempts begun, retries included.")
        self._failed = _ChildCache(
            self._counter(
                "downloadd_attempts_failed", "Attempts that failed and are followed by another one.", ("error",)
            )
        )
        self._received = self._counter("downloadd_received_bytes", "Bytes of content received from origins.")

    def _define_request_metrics(self) -> None:
        self._requests = _ChildCache(
            self._counter("downloadd_http_requests", "Requests answered, by method and status.", ("method", "status"))
        )
        self._request_duration = self._histogram(
            "downloadd_http_request_duration_seconds",
            "Seconds until a request was answered; answers that were held (wait, events) included.",
            REQUEST_BUCKETS,
        )
        self._failed_logins = self._counter("downloadd_failed_logins", "Requests with wrong credentials.")
        self._lost_readers = self._counter(
            "downloadd_event_subscribers_lost", "Readers of the event stream that fell behind and were cut off."
        )
        self._lost_events = self._counter(
            "downloadd_events_lost", "Events that those readers had not read; who comes back is told again."
        )

    def _define_internal_metrics(self) -> None:
        self._commit_duration = self._histogram(
            "downloadd_store_commit_duration_seconds",
            "Seconds that the records took to make a transaction durable.",
            COMMIT_BUCKETS,
        )
        self._commit_rows = self._histogram(
            "downloadd_store_commit_rows", "Rows that were written in one transaction.", ROWS_BUCKETS
        )
        self._loop_lag = self._histogram(
            "downloadd_event_loop_lag_seconds",
            "How much later than due the event loop ran a timer, measured twice a second.",
            LAG_BUCKETS,
        )
        self._imports_ended = _ChildCache(
            self._counter(
                "downloadd_imports_ended", "Import operations that have ended, by outcome.", ("importer", "outcome")
            )
        )
        self._hook_tries = _ChildCache(
            self._counter(
                "downloadd_hook_tries", "Tries to tell a hook that a download has ended.", ("hook", "outcome")
            )
        )
        self._hook_try_duration = self._histogram(
            "downloadd_hook_try_duration_seconds", "Seconds that a try to tell a hook took.", DELIVERY_BUCKETS
        )

    def _define_gauges(self) -> None:
        self._active = self._gauge("downloadd_downloads_active", "Downloads by active state.", ("state",))
        self._waiting = self._gauge(
            "downloadd_downloads_waiting", "Queued and retrying downloads by what they wait for.", ("reason",)
        )
        self._connections = self._gauge(
            "downloadd_origin_connections", "Connections to origins in use, those of segments included."
        )
        self._busiest = self._gauge(
            "downloadd_origin_connections_busiest_host", "Connections in use on the host that has the most."
        )
        self._hosts_connected = self._gauge("downloadd_origin_hosts_connected", "Hosts with a connection in use.")
        self._hosts_waiting = self._gauge("downloadd_origin_hosts_waiting", "Hosts that downloads wait for.")
        self._hosts_blocked = self._gauge(
            "downloadd_origin_hosts_blocked", "Hosts that asked to be left alone for a while (Retry-After)."
        )
        self._subscribers = self._gauge("downloadd_event_subscribers", "Readers of the event stream.")
        self._imports_active = self._gauge("downloadd_imports_active", "Import operations at work.")
        self._pending_messages = self._gauge(
            "downloadd_hook_messages_waiting", "Ends of downloads that a hook is still to be told of.", ("hook",)
        )
        self._storage = _StorageCollector()
        self._registry.register(self._storage)

    def _counter(self, name: str, documentation: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(name, documentation, tuple(labels), registry=self._registry)

    def _gauge(self, name: str, documentation: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(name, documentation, tuple(labels), registry=self._registry)

    def _histogram(self, name: str, documentation: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, documentation, buckets=buckets, registry=self._registry)


class _StorageCollector(Collector):
    """The series of the storage, which say by their absence that the disk does not answer."""

    def __init__(self) -> None:
        self.usage: StorageUsage | None = None

    def collect(self) -> Iterator[Metric]:
        """What is known."""
        if self.usage is None:
            return
        yield GaugeMetricFamily(
            "downloadd_storage_free_bytes", "Bytes that are free where the files go.", value=self.usage.free
        )
        yield GaugeMetricFamily(
            "downloadd_storage_size_bytes", "Bytes of all that the file system holds.", value=self.usage.size
        )
        yield GaugeMetricFamily(
            "downloadd_storage_reserved_bytes",
            "Bytes that must stay free (storage.min_free).",
            value=self.usage.reserved,
        )
        used = GaugeMetricFamily(
            "downloadd_quota_used_bytes", "Bytes below a directory that has a quota.", labels=("directory",)
        )
        limit = GaugeMetricFamily("downloadd_quota_limit_bytes", "The quota of a directory.", labels=("directory",))
        for quota in self.usage.quotas:
            used.add_metric((quota.directory,), quota.used)
            limit.add_metric((quota.directory,), quota.limit)
        yield used
        yield limit


class _ChildCache(dict[tuple[object, ...], Counter]):
    """The children of a counter, each made when it is first asked for.

    Looking a child up by its labels takes a lock and several microseconds: once is enough.
    """

    def __init__(self, parent: Counter) -> None:
        super().__init__()
        self._parent = parent

    def __missing__(self, labels: tuple[object, ...]) -> Counter:
        child = self[labels] = self._parent.labels(*map(str, labels))
        return child
