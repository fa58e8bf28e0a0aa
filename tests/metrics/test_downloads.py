from support.exposition import ReadableSeries

from downloadd.errors import DownloadTimeoutError, NetworkError
from downloadd.metrics.downloads import DownloadMetrics
from downloadd.states import State


def test_accepted_downloads_and_received_bytes_are_summed() -> None:
    series = ReadableSeries()
    metrics = DownloadMetrics(series)
    for count, nbytes in ((3, 1000), (2, 24)):
        metrics.accepted(count)
        metrics.received(nbytes)
    assert series.value("downloadd_downloads_accepted_total") == 5
    assert series.value("downloadd_received_bytes_total") == 1024


def test_failed_attempts_are_counted_by_error() -> None:
    series = ReadableSeries()
    DownloadMetrics(series).attempt_failed(NetworkError.code)
    assert series.value("downloadd_attempts_failed_total", error="NETWORK_ERROR") == 1


def test_attempts_are_counted_and_the_wait_for_the_first_is_measured() -> None:
    series = ReadableSeries()
    metrics = DownloadMetrics(series)
    for waited in (3.0, None):
        metrics.attempt_started(waited)
    assert series.value("downloadd_attempts_started_total") == 2
    assert series.value("downloadd_queue_wait_seconds_count") == 1
    assert series.value("downloadd_queue_wait_seconds_sum") == 3


def test_ends_are_counted_by_outcome_and_error_and_measured() -> None:
    series = ReadableSeries()
    metrics = DownloadMetrics(series)
    metrics.ended(State.COMPLETED, None, 2)
    metrics.ended(State.FAILED, DownloadTimeoutError.code, 300)
    metrics.ended(State.FAILED, DownloadTimeoutError.code, 300)
    name = "downloadd_downloads_ended_total"
    assert series.value(name, outcome="completed", error="") == 1
    assert series.value(name, outcome="failed", error="DOWNLOAD_TIMEOUT") == 2
    assert series.value("downloadd_download_duration_seconds_count") == 3
    assert series.value("downloadd_download_duration_seconds_sum") == 602
    assert series.value("downloadd_download_duration_seconds_bucket", le="5.0") == 1


def test_every_outcome_but_failure_has_a_series_from_the_start() -> None:
    series = ReadableSeries()
    DownloadMetrics(series)
    name = "downloadd_downloads_ended_total"
    assert series.value(name, outcome="completed", error="") == 0
    assert series.value(name, outcome="skipped", error="") == 0
    assert series.value(name, outcome="cancelled", error="CANCELLED") == 0


def test_a_clock_that_was_set_back_does_not_make_a_duration_negative() -> None:
    series = ReadableSeries()
    metrics = DownloadMetrics(series)
    metrics.ended(State.COMPLETED, None, -5)
    metrics.attempt_started(-1.0)
    assert series.value("downloadd_download_duration_seconds_sum") == 0
    assert series.value("downloadd_queue_wait_seconds_sum") == 0
