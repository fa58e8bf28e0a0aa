from support.exposition import ReadableSeries

from downloadd.metrics.process import ProcessMetrics


def test_a_transaction_is_measured_by_its_rows_and_its_duration() -> None:
    series = ReadableSeries()
    metrics = ProcessMetrics(series)
    metrics.committed(512, 0.25)
    metrics.committed(1, 0.004)
    assert series.value("downloadd_store_commit_rows_sum") == 513
    assert series.value("downloadd_store_commit_rows_count") == 2
    assert series.value("downloadd_store_commit_duration_seconds_bucket", le="0.005") == 1


def test_the_lag_of_the_event_loop_is_measured() -> None:
    series = ReadableSeries()
    ProcessMetrics(series).loop_lagged(0.2)
    assert series.value("downloadd_event_loop_lag_seconds_bucket", le="0.1") == 0
    assert series.value("downloadd_event_loop_lag_seconds_bucket", le="0.25") == 1


def test_a_lost_reader_is_counted_with_the_events_that_it_missed() -> None:
    series = ReadableSeries()
    ProcessMetrics(series).reader_lost(17)
    assert series.value("downloadd_event_subscribers_lost_total") == 1
    assert series.value("downloadd_events_lost_total") == 17
