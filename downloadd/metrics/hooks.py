"""Metrics of the deliveries to hooks."""

from enum import StrEnum
from typing import Final

from downloadd.metrics.series import Series

DELIVERY_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 3600)
"""Seconds, from a receiver in the same network to a program that runs for an hour."""


class DeliveryOutcome(StrEnum):
    """Outcome of an attempt to deliver a message to a hook."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """Another attempt follows."""
    ABORTED = "aborted"
    """No other attempt follows."""


class HookMetrics:
    """Counters of delivery attempts."""

    def __init__(self, series: Series) -> None:
        self._attempts = series.labelled_counter(
            "downloadd_hook_attempts", "Attempts to deliver a message to a hook, by outcome.", ("hook", "outcome")
        )
        self._duration = series.histogram(
            "downloadd_hook_try_duration_seconds",
            "Seconds that an attempt to deliver a message took.",
            DELIVERY_BUCKETS,
        )

    def register_hook(self, name: str) -> None:
        """Create the series of a configured hook, so that its first increase is visible."""
        for outcome in DeliveryOutcome:
            self._attempts[name, outcome].inc(0)

    def delivery_attempted(self, hook: str, outcome: DeliveryOutcome, seconds: float) -> None:
        """Count an attempt and its duration."""
        self._attempts[hook, outcome].inc()
        self._duration.observe(seconds)
