"""The interface of the metrics for the REST API."""

from typing import Protocol

from downloadd.metrics import GaugeSnapshot


class RequestMetrics(Protocol):
    """Counters of requests, and their exposition."""

    def request(self, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered after `seconds`."""
        ...

    def login_failed(self) -> None:
        """Count wrong credentials."""
        ...

    def render(self, gauges: GaugeSnapshot, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition with these gauges in a format that `Accept` allows, and its media type."""
        ...
