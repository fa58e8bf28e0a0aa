"""Metrics of uploads to other machines."""

from enum import StrEnum

from downloadd.metrics.series import Series


class UploadOutcome(StrEnum):
    """Outcome of an attempt to publish a file on another machine."""

    PUBLISHED = "published"
    TAKEN = "taken"
    """Another file has the name, and may not be replaced."""
    FAILED = "failed"
    """A later attempt goes on."""


class UploadMetrics:
    """Counters of uploads and their bytes."""

    def __init__(self, series: Series) -> None:
        self._uploads = series.labelled_counter(
            "downloadd_uploads", "Attempts to publish a file on another machine, by outcome.", ("outcome",)
        )
        for outcome in UploadOutcome:
            self._uploads[outcome,].inc(0)
        self._bytes = series.counter("downloadd_uploaded_bytes", "Bytes of files sent to other machines.")

    def ended(self, outcome: UploadOutcome) -> None:
        """Count an attempt."""
        self._uploads[outcome,].inc()

    def sent(self, nbytes: int) -> None:
        """Count bytes that another machine has received."""
        self._bytes.inc(nbytes)
