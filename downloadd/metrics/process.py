"""Metrics of the process: store, event loop and event stream."""

from typing import Final

from downloadd.metrics.series import Series

COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
"""Seconds, from a disk with a protected write cache to one that is failing."""
ROWS_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 10_000)
"""Rows of a transaction."""
LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
"""Seconds; a response takes at least as long as the event loop lags."""


class ProcessMetrics:
    """Counters and histograms of the daemon's own components."""

    def __init__(self, series: Series) -> None:
        self._commit_duration = series.histogram(
            "downloadd_store_commit_duration_seconds",
            "Seconds until a transaction of the store was durable.",
            COMMIT_BUCKETS,
        )
        self._commit_rows = series.histogram(
            "downloadd_store_commit_rows", "Rows written in one transaction of the store.", ROWS_BUCKETS
        )
        self._unavailable = series.counter(
            "downloadd_store_unavailable_seconds", "Seconds for which the store took no writes, counted when it does."
        )
        self._loop_lag = series.histogram(
            "downloadd_event_loop_lag_seconds",
            "Seconds by which the event loop ran a timer late, measured twice a second.",
            LAG_BUCKETS,
        )
        self._lost_readers = series.counter(
            "downloadd_event_subscribers_lost", "Readers of the event stream that were disconnected for falling behind."
        )
        self._lost_events = series.counter(
            "downloadd_events_lost", "Events that those readers had not received; they are sent again on reconnection."
        )

    def committed(self, rows: int, seconds: float) -> None:
        """Count a durable transaction of the store."""
        self._commit_duration.observe(seconds)
        self._commit_rows.observe(rows)

    def store_recovered(self, seconds: float) -> None:
        """Count the seconds for which the store took no writes."""
        self._unavailable.inc(seconds)

    def loop_lagged(self, seconds: float) -> None:
        """Record by how many seconds the event loop ran a timer late."""
        self._loop_lag.observe(seconds)

    def reader_lost(self, events: int) -> None:
        """Count a reader of the event stream that was disconnected, and the events that it had not received."""
        self._lost_readers.inc()
        self._lost_events.inc(events)
