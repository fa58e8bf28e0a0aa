import msgspec
from support.exposition import ReadableSeries
from support.fake_imports import make_operation

from downloadd.import_operation import ImportState
from downloadd.metrics.imports import ImportMetrics

NAME = "downloadd_imports_ended_total"


def test_an_import_is_counted_when_it_reaches_a_finished_state() -> None:
    series = ReadableSeries()
    metrics = ImportMetrics(series)
    operation = make_operation(kind="slack")
    for state in (
        ImportState.READING,
        ImportState.DONE,
        ImportState.FAILED,
        ImportState.CANCELLED,
        ImportState.DONE,
    ):
        metrics.state_changed(msgspec.structs.replace(operation, state=state))
    values = {
        outcome: series.value(NAME, importer="slack", outcome=outcome) for outcome in ("done", "failed", "cancelled")
    }
    assert values == {"done": 2, "failed": 1, "cancelled": 1}


def test_a_registered_kind_has_a_series_before_its_first_import() -> None:
    series = ReadableSeries()
    ImportMetrics(series).register_kind("csv")
    assert series.value(NAME, importer="csv", outcome="done") == 0
