import pytest
from prometheus_client import CollectorRegistry
from support.exposition import ReadableSeries

from downloadd.metrics.series import Series


def test_every_constructor_registers_its_metric() -> None:
    series = ReadableSeries()
    series.counter("a", "A.").inc(2)
    series.gauge("b", "B.").set(3)
    series.gauge("c", "C.", ("label",)).labels("x").set(4)
    series.histogram("d", "D.", (1, 2)).observe(1.5)
    assert series.value("a_total") == 2
    assert series.value("b") == 3
    assert series.value("c", label="x") == 4
    assert [series.value("d_bucket", le=bound) for bound in ("1.0", "2.0", "+Inf")] == [0, 1, 1]


def test_a_labelled_counter_creates_a_series_on_first_use_and_keeps_it() -> None:
    series = ReadableSeries()
    counter = series.labelled_counter("requests", "Requests.", ("method", "status"))
    assert series.value("requests_total", method="GET", status="200") is None
    first = counter["GET", 200]
    first.inc()
    assert counter["GET", 200] is first
    assert series.value("requests_total", method="GET", status="200") == 1


def test_a_name_is_registered_once_in_a_registry() -> None:
    series = Series(CollectorRegistry())
    series.counter("a", "A.")
    with pytest.raises(ValueError, match="Duplicated"):
        series.counter("a", "A.")
    Series(CollectorRegistry()).counter("a", "A.")
