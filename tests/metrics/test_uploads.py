from support.exposition import ReadableSeries

from downloadd.metrics.uploads import UploadMetrics, UploadOutcome


def test_uploads_are_counted_by_outcome_and_their_bytes_summed() -> None:
    series = ReadableSeries()
    metrics = UploadMetrics(series)
    assert series.value("downloadd_uploads_total", outcome="taken") == 0
    metrics.ended(UploadOutcome.PUBLISHED)
    metrics.ended(UploadOutcome.FAILED)
    metrics.ended(UploadOutcome.FAILED)
    metrics.sent(1000)
    metrics.sent(24)
    assert series.value("downloadd_uploads_total", outcome="published") == 1
    assert series.value("downloadd_uploads_total", outcome="failed") == 2
    assert series.value("downloadd_uploaded_bytes_total") == 1024
