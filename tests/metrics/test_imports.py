import msgspec
from support.exposition import ReadableSeries

from downloadd.import_operation import ImportKind, ImportOperation, ImportStatus
from downloadd.metrics.imports import ImportMetrics

NAME = "downloadd_imports_ended_total"


def test_an_import_is_counted_when_it_reaches_a_finished_status() -> None:
    series = ReadableSeries()
    metrics = ImportMetrics(series)
    operation = ImportOperation(id="x", kind=ImportKind.SLACK, user="u", ts=0, updated_at=0)
    for status in (
        ImportStatus.PREPARING_STARTED,
        ImportStatus.DONE,
        ImportStatus.FAILED,
        ImportStatus.CANCELLED,
        ImportStatus.DONE,
    ):
        metrics.status_changed(msgspec.structs.replace(operation, status=status))
    values = {
        outcome: series.value(NAME, importer="slack", outcome=outcome) for outcome in ("done", "failed", "cancelled")
    }
    assert values == {"done": 2, "failed": 1, "cancelled": 1}


def test_every_importer_has_a_series_from_the_start() -> None:
    series = ReadableSeries()
    ImportMetrics(series)
    assert [series.value(NAME, importer=kind, outcome="done") for kind in ImportKind] == [0] * len(ImportKind)
