"""All metrics of the daemon, in a registry of their own, and their exposition."""

import threading
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from downloadd import __version__
from downloadd.metrics.downloads import DownloadMetrics
from downloadd.metrics.gauges import SnapshotGauges
from downloadd.metrics.hooks import HookMetrics
from downloadd.metrics.imports import ImportMetrics
from downloadd.metrics.process import ProcessMetrics
from downloadd.metrics.rpc import RpcMetrics
from downloadd.metrics.series import Series
from downloadd.metrics.snapshot import GaugeSnapshot
from downloadd.metrics.uploads import UploadMetrics

REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 60)
"""Seconds, from a start on a fast disk to a long poll for the end of a download."""


class Metrics:
    """Metrics by subject, and those of the HTTP interface, which also renders them all."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        # Two snapshots must not be mixed in one exposition.
        self._render_lock = threading.Lock()
        ProcessCollector(registry=self._registry)
        series = Series(self._registry)
        self.downloads = DownloadMetrics(series)
        self.imports = ImportMetrics(series)
        self.hooks = HookMetrics(series)
        self.uploads = UploadMetrics(series)
        self.process = ProcessMetrics(series)
        self.rpc = RpcMetrics(series)
        self._gauges = SnapshotGauges(series)
        self._requests = series.labelled_counter(
            "downloadd_http_requests", "HTTP requests answered, by method and status.", ("method", "status")
        )
        self._request_duration = series.histogram(
            "downloadd_http_request_duration_seconds",
            "Seconds until a request was answered; long polls (wait), event streams and WebSockets are included.",
            REQUEST_BUCKETS,
        )
        self._failed_logins = series.counter("downloadd_failed_logins", "Requests with wrong credentials.")
        build = series.gauge(
            "downloadd_build_info", "Version of the running daemon; the value is always 1.", ("version",)
        )
        build.labels(__version__).set(1)

    def request(self, method: str, status: int, seconds: float) -> None:
        """Count an answered request; the caller limits the number of values of `method`."""
        self._requests[method, status].inc()
        self._request_duration.observe(seconds)

    def login_failed(self) -> None:
        """Count a request with wrong credentials."""
        self._failed_logins.inc()

    def render(self, gauges: GaugeSnapshot, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its media type: Prometheus text, or OpenMetrics if the `Accept` field requests it.

        It reads files of /proc, so call it in a thread.
        """
        with self._render_lock:
            self._gauges.set(gauges)
            encode, media_type = choose_encoder(accept)
            return encode(self._registry), media_type
