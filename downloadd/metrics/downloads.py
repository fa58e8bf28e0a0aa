"""Metrics of downloads and their attempts."""

from typing import Final

from downloadd.errors import CancelledByUserError, ErrorCode
from downloadd.metrics.series import Series
from downloadd.states import FINISHED, State

DURATION_BUCKETS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
"""Seconds, from a small file on a fast connection to a day."""


class DownloadMetrics:
    """Counters of downloads, their attempts and their bytes."""

    def __init__(self, series: Series) -> None:
        self._accepted = series.counter("downloadd_downloads_accepted", "Downloads accepted.")
        self._ended = series.labelled_counter(
            "downloadd_downloads_ended",
            "Finished downloads by outcome and error code; refused requests are included.",
            ("outcome", "error"),
        )
        # A series that exists from the start shows its first increase.
        for outcome in sorted(FINISHED - {State.FAILED}):
            self._ended[outcome, CancelledByUserError.code if outcome is State.CANCELLED else ""].inc(0)
        self._duration = series.histogram(
            "downloadd_download_duration_seconds", "Seconds from acceptance to the end of a download.", DURATION_BUCKETS
        )
        self._queue_wait = series.histogram(
            "downloadd_queue_wait_seconds", "Seconds from acceptance to the first attempt.", DURATION_BUCKETS
        )
        self._attempts = series.counter("downloadd_attempts_started", "Attempts started, retries included.")
        self._failed = series.labelled_counter(
            "downloadd_attempts_failed", "Failed attempts that another attempt follows, by error code.", ("error",)
        )
        self._takeovers = series.counter(
            "downloadd_takeovers", "Downloads that this node put back into the queue, because their node was gone."
        )
        self._fenced = series.counter(
            "downloadd_runs_fenced", "Runs of this node that ended because another run holds their download."
        )
        self._received = series.counter("downloadd_received_bytes", "Bytes of content received from origins.")

    def accepted(self, count: int) -> None:
        """Count accepted downloads."""
        self._accepted.inc(count)

    def attempt_started(self, waited: float | None) -> None:
        """Count an attempt; `waited` is the seconds from acceptance to a first attempt, None for a later one."""
        self._attempts.inc()
        if waited is not None:
            # The clock may have been set back.
            self._queue_wait.observe(max(0.0, waited))

    def attempt_failed(self, code: ErrorCode) -> None:
        """Count a failed attempt that another attempt follows."""
        self._failed[code,].inc()

    def taken_over(self) -> None:
        """Count a download of a node that is gone."""
        self._takeovers.inc()

    def run_fenced(self) -> None:
        """Count a run that ended because another run holds its download."""
        self._fenced.inc()

    def received(self, nbytes: int) -> None:
        """Count received bytes of content."""
        self._received.inc(nbytes)

    def ended(self, outcome: State, error: ErrorCode | None, seconds: float) -> None:
        """Count a finished download; `seconds` are those since its acceptance."""
        self._ended[outcome, error or ""].inc()
        self._duration.observe(max(0.0, seconds))
