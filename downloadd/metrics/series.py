"""Constructors of counters, gauges and histograms that belong to one registry.

Incrementing a counter or observing a value takes about two microseconds. Only the event loop may do it.
"""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Series:
    """Factory of metrics in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def counter(self, name: str, help_text: str) -> Counter:
        """Create a counter without labels; the exposition adds `_total` to its name."""
        return Counter(name, help_text, registry=self.registry)

    def labelled_counter(self, name: str, help_text: str, labels: Iterable[str]) -> "LabelledCounter":
        """Create a counter with labels."""
        return LabelledCounter(Counter(name, help_text, tuple(labels), registry=self.registry))

    def gauge(self, name: str, help_text: str, labels: Iterable[str] = ()) -> Gauge:
        """Create a gauge."""
        return Gauge(name, help_text, tuple(labels), registry=self.registry)

    def histogram(self, name: str, help_text: str, buckets: Sequence[float]) -> Histogram:
        """Create a histogram; `buckets` are upper bounds."""
        return Histogram(name, help_text, buckets=buckets, registry=self.registry)


class LabelledCounter(dict[tuple[object, ...], Counter]):
    """Counter with labels, as a mapping from label values to the counter of one series, which is created on first use.

    The library looks up a series under a lock in several microseconds; here it does so once.
    """

    def __init__(self, parent: Counter) -> None:
        super().__init__()
        self._parent = parent

    def __missing__(self, labels: tuple[object, ...]) -> Counter:
        child = self[labels] = self._parent.labels(*map(str, labels))
        return child
