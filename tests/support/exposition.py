"""Reading of one series from an exposition."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from downloadd.metrics.series import Series


def read_series(exposition: bytes, name: str, **labels: str) -> float | None:
    """Return the value of a series as a scraper reads it, or None if there is no such series."""
    for family in text_string_to_metric_families(exposition.decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    return None


class ReadableSeries(Series):
    """Factory of metrics in a registry of their own, whose values a test reads."""

    def __init__(self) -> None:
        super().__init__(CollectorRegistry())

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a series, or None if there is no such series."""
        return read_series(generate_latest(self.registry), name, **labels)
