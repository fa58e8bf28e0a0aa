"""Gauges, which are set from a snapshot at each scrape."""

from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from downloadd.metrics.series import Series
from downloadd.metrics.snapshot import GaugeSnapshot, OriginUsage, StorageUsage
from downloadd.node import NodeState
from downloadd.states import ACTIVE, WaitReason
from downloadd.user_quota import QuotaUse, UserQuotaUse


class SnapshotGauges:
    """Gauges of downloads, origins, readers, imports, hooks and storage."""

    def __init__(self, series: Series) -> None:
        self._active = series.gauge("downloadd_downloads_active", "Active downloads by state.", ("state",))
        self._waiting = series.gauge(
            "downloadd_downloads_waiting", "Queued and retrying downloads by the reason that they wait.", ("reason",)
        )
        self._origins = _OriginGauges(series)
        self._subscribers = series.gauge("downloadd_event_subscribers", "Readers of the event stream.")
        self._imports = series.gauge("downloadd_imports_active", "Active import operations.")
        self._messages = series.gauge("downloadd_hook_messages_waiting", "Waiting deliveries to a hook.", ("hook",))
        self._quotas = _UserQuotaGauges(series)
        self._nodes = series.gauge("downloadd_nodes", "Nodes of the database by state.", ("state",))
        self._kept_parts = series.gauge("downloadd_kept_parts", "Part files of ended downloads.")
        self._kept_bytes = series.gauge("downloadd_kept_bytes", "Bytes in part files of ended downloads.")
        self._speed_limit = series.gauge(
            "downloadd_limit_speed_bytes", "Bytes a second that all downloads may receive now; 0 for no limit."
        )
        self._max_concurrent = series.gauge("downloadd_limit_concurrent", "Downloads that may run at once now.")
        self._allow_starts = series.gauge("downloadd_limit_starts_allowed", "1 if downloads may start now, else 0.")
        self._storage = _StorageCollector()
        series.registry.register(self._storage)

    def set(self, snapshot: GaugeSnapshot) -> None:
        """Set every gauge to the value of the snapshot."""
        for state in sorted(ACTIVE):
            self._active.labels(state.value).set(snapshot.active.get(state, 0))
        for reason in WaitReason:
            self._waiting.labels(reason.value).set(snapshot.waiting.get(reason, 0))
        self._origins.set(snapshot.origins)
        self._subscribers.set(snapshot.subscribers)
        self._imports.set(snapshot.imports)
        # A hook that is no longer configured has no series.
        self._messages.clear()
        for hook, count in snapshot.messages.items():
            self._messages.labels(hook).set(count)
        self._quotas.set(snapshot.users)
        for node_state in NodeState:
            self._nodes.labels(node_state.value).set(snapshot.nodes.get(node_state, 0))
        self._kept_parts.set(snapshot.kept.parts)
        self._kept_bytes.set(snapshot.kept.size)
        if snapshot.limits is not None:
            self._speed_limit.set(snapshot.limits.speed_limit)
            self._max_concurrent.set(snapshot.limits.max_concurrent)
            self._allow_starts.set(snapshot.limits.allow_starts)
        self._storage.usage = snapshot.storage


class _UserQuotaGauges:
    def __init__(self, series: Series) -> None:
        labels = ("user", "quota")
        self._used = series.gauge("downloadd_user_quota_used", "Downloads or bytes of a user with a quota.", labels)
        self._limit = series.gauge("downloadd_user_quota_limit", "Quota of a user, in downloads or bytes.", labels)

    def set(self, uses: Sequence[UserQuotaUse]) -> None:
        """Set the gauges of all users; one without a quota has no series."""
        for gauge in (self._used, self._limit):
            gauge.clear()
        for use in uses:
            for name in ("max_concurrent", "bytes_per_day", "stored_bytes"):
                quota: QuotaUse | None = getattr(use, name)
                if quota is not None:
                    self._used.labels(use.user, name).set(quota.used)
                    self._limit.labels(use.user, name).set(quota.limit)


class _OriginGauges:
    def __init__(self, series: Series) -> None:
        self._connections = series.gauge(
            "downloadd_origin_connections", "Connections to origins in use, those of segments included."
        )
        self._busiest = series.gauge(
            "downloadd_origin_connections_busiest_host", "Connections in use to the origin with the most."
        )
        self._connected = series.gauge("downloadd_origin_hosts_connected", "Origins with a connection in use.")
        self._waiting = series.gauge("downloadd_origin_hosts_waiting", "Origins with waiting downloads.")
        self._blocked = series.gauge(
            "downloadd_origin_hosts_blocked", "Origins that receive no requests until their Retry-After has passed."
        )

        self._unreachable = series.gauge(
            "downloadd_origin_hosts_unreachable", "Origins that failed; one download at a time probes them."
        )
        self._slowed = series.gauge(
            "downloadd_origin_hosts_slowed", "Origins with fewer slots, because they refused further connections."
        )

    def set(self, usage: OriginUsage) -> None:
        """Set every gauge to the value of the usage."""
        self._connections.set(usage.connections)
        self._busiest.set(usage.busiest)
        self._connected.set(usage.connected)
        self._waiting.set(usage.waiting)
        self._blocked.set(usage.blocked)
        self._unreachable.set(usage.unreachable)
        self._slowed.set(usage.slowed)


class _StorageCollector(Collector):
    """Gauges of the storage; they are absent while the disk does not respond."""

    def __init__(self) -> None:
        self.usage: StorageUsage | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of the last snapshot."""
        if self.usage is None:
            return
        yield GaugeMetricFamily(
            "downloadd_storage_free_bytes",
            "Free bytes of the file system of the storage root.",
            value=self.usage.free,
        )
        yield GaugeMetricFamily(
            "downloadd_storage_size_bytes",
            "Size of the file system of the storage root in bytes.",
            value=self.usage.size,
        )
        yield GaugeMetricFamily(
            "downloadd_storage_reserved_bytes",
            "Bytes that must stay free (storage.min_free).",
            value=self.usage.reserved,
        )
        used = GaugeMetricFamily(
            "downloadd_quota_used_bytes", "Bytes in use below a directory with a quota.", labels=("directory",)
        )
        limit = GaugeMetricFamily(
            "downloadd_quota_limit_bytes", "Quota of a directory in bytes.", labels=("directory",)
        )
        for quota in self.usage.quotas:
            used.add_metric((quota.directory,), quota.used)
            limit.add_metric((quota.directory,), quota.limit)
        yield used
        yield limit
