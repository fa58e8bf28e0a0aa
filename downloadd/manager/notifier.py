"""Notification of changes and ends: event bus, metrics, log, and callers that wait for an end."""

from collections.abc import Sequence
from typing import Final

import structlog

from downloadd.download import Download, Snapshot, log_fields
from downloadd.errors import ErrorCode
from downloadd.events import DownloadChanged, DownloadEnded, EventBus, HistoryRemoved
from downloadd.manager.waiters import Waiters
from downloadd.metrics import DownloadMetrics
from downloadd.records.hints import Hints, NoHints, Topic
from downloadd.states import State

log = structlog.get_logger()

MAX_RECENT_ENDS: Final = 10_000
"""Published ends that are remembered, for changes that were read before them."""


class Notifier:
    """Reports every change of a download to those who follow it.

    Attributes:
        ends: callers that wait for the end of a download.
    """

    def __init__(self, bus: EventBus, metrics: DownloadMetrics, hints: Hints | None = None) -> None:
        """Report to a bus and metrics, and by hints to other nodes, if there may be any."""
        self._bus = bus
        self._metrics = metrics
        self._hints = hints or NoHints()
        self.ends = Waiters()
        self._published_ends = 0
        # Number of each published end by the id of its download.
        self._recent_ends: dict[str, int] = {}

    @property
    def published_ends(self) -> int:
        """Return the number of ends that were published."""
        return self._published_ends

    def has_ended_since(self, id: str, published_ends: int) -> bool:
        """Return True if the end of a download was published after so many others, unless that is long ago."""
        return self._recent_ends.get(id, 0) > published_ends

    @property
    def is_watched(self) -> bool:
        """Return True if changes have a reader; while they have none, they need not be published."""
        return self._bus.is_watched

    def record_ended_seq(self, ended_seq: int) -> None:
        """Record the newest `ended_seq` of a history that is older than the bus."""
        self._bus.record_ended_seq(ended_seq)

    def publish_changed(self, snapshot: Snapshot, *, before: State | None) -> None:
        """Publish the state of an active download; `before` is the one of `DownloadChanged`."""
        self._bus.publish(DownloadChanged(snapshot=snapshot, before=before))

    def hint_changed(self, ids: Sequence[str]) -> None:
        """Let other nodes publish active downloads that this one has changed."""
        if ids:
            self._hints.send(Topic.CHANGED, ids)

    def hint_all_changed(self) -> None:
        """Let other nodes look which active downloads have changed."""
        self._hints.send(Topic.CHANGED)

    def publish_removed(self, ids: Sequence[str]) -> None:
        """Publish downloads that another node has removed from the history."""
        self._bus.publish(HistoryRemoved(ids=list(ids)))

    def request_reread(self) -> None:
        """Let readers of events read all from the records again, because more has changed than is published."""
        self._bus.request_reread()

    def publish_ended(self, end: DownloadEnded) -> None:
        """Publish the end of a download, and wake the callers that wait for it; `EndedFollower` keeps the order."""
        self._published_ends += 1
        self._recent_ends[end.download.id] = self._published_ends
        if len(self._recent_ends) > MAX_RECENT_ENDS:
            del self._recent_ends[next(iter(self._recent_ends))]
        self._bus.publish(end)
        self.ends.notify(end.download)

    def count_ended(self, row: Download) -> None:
        """Count and log the end of a download in this process."""
        # The clock may have been set back since.
        seconds = max(0, (row.result.end_time or row.start_time) - row.start_time)
        self._metrics.ended(row.state, row.result.error, seconds)
        log.info(
            "download_ended",
            **log_fields(row),
            outcome=row.state,
            error=row.result.error,
            detail=row.result.detail,
            warning=row.result.warning,
            path=row.file_path,
            url=row.request.redacted_url,
            size=row.progress.total if row.state is State.COMPLETED else None,
            attempts=row.progress.attempt,
        )

    def count_accepted(self, count: int) -> None:
        """Count accepted downloads."""
        self._metrics.accepted(count)

    def count_attempt(self, download: Download, *, now: float) -> None:
        """Count an attempt that starts `now` (Unix time), with the time in the queue if it is the first one."""
        self._metrics.attempt_started(now - download.start_time if download.epoch == 1 else None)

    def count_failed_attempt(self, error: ErrorCode) -> None:
        """Count an attempt that failed with `error` and is followed by another one."""
        self._metrics.attempt_failed(error)

    def count_taken_over(self) -> None:
        """Count a download that was put back because its node is gone."""
        self._metrics.taken_over()

    def count_fenced(self) -> None:
        """Count a run that ended because another run holds its download."""
        self._metrics.run_fenced()

    def count_received(self, nbytes: int) -> None:
        """Count bytes that origins have sent."""
        self._metrics.received(nbytes)
