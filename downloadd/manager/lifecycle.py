"""Changes of a download's row by users' actions, outcomes of attempts, and recovery.

Pure: every function takes a row and returns the next one. The state comes from the table in `states.py`; nothing else
in the daemon changes a state.
"""

from collections.abc import Callable

from msgspec.structs import replace

from downloadd.download import Desired, Download, Progress, Result
from downloadd.errors import CancelledByUserError, DownloadError, InvalidStateError, QueueFullError
from downloadd.states import ACTIVE, FINISHED, RUNNING, WAITING, State, Trigger, advance, allows
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.sources import select_source

# -- user actions ------------------------------------------------------------------------------------------------------


def cancel(download: Download, *, now: float) -> Download:
    """Cancel a download: a waiting one ends at once, a running one gets the desired state.

    Raises:
        InvalidStateError: it has ended already.
    """
    if download.state in FINISHED:
        raise InvalidStateError(f"the download is {download.state} already; only an active one can be cancelled")
    if download.state in RUNNING:
        return download.with_control(desired=Desired.CANCEL)
    return mark_cancelled(download, now=now)


def pause(download: Download) -> Download:
    """Pause a download: a waiting one at once, a running one gets the desired state. A paused one stays as it is.

    Raises:
        InvalidStateError: it has ended already, or is being cancelled.
    """
    if download.state in FINISHED:
        raise InvalidStateError(f"the download is {download.state} already; only an active one can be paused")
    if download.control.desired is Desired.CANCEL:
        raise InvalidStateError("the download is being cancelled")
    if download.state in RUNNING:
        return download.with_control(desired=Desired.PAUSE)
    if download.state is State.PAUSED:
        return download
    return mark_paused(download)


def apply_desired(download: Download, *, now: float) -> Download:
    """Apply the desired state to a download whose run ended by itself and left it waiting.

    If another action was applied first, the row stays as it is.
    """
    if download.state in WAITING and download.control.desired is Desired.CANCEL:
        return mark_cancelled(download, now=now)
    if download.state in WAITING and download.control.desired is Desired.PAUSE:
        return mark_paused(download)
    return download


def resume(download: Download) -> Download:
    """Resume a paused download.

    Raises:
        InvalidStateError: it is not paused.
    """
    if download.state is not State.PAUSED:
        raise InvalidStateError(f"the download is {download.state}; only a paused one can be resumed")
    return replace(
        download.with_control(desired=Desired.RUN).with_progress(not_before=None).with_result(error=None, detail=None),
        state=advance(download.state, Trigger.RESUME),
    )


def retry(download: Download, *, now: float, full: QueueFullError | None = None) -> Download:
    """Retry a download: one that waits for its next attempt without further delay, a finished one from the start.

    Raises:
        InvalidStateError: it cannot be retried in its state, or was refused when it was requested.
        QueueFullError: it has ended, and the queue is full: `full` is raised.
    """
    if not download.progress.origin:
        raise InvalidStateError(
            "the download was refused when it was requested; correct the request and start a new download"
        )
    if not allows(download.state, Trigger.RETRY):
        raise InvalidStateError(
            f"the download is {download.state}; only a failed, cancelled, skipped or retrying one can be retried"
        )
    state = advance(download.state, Trigger.RETRY)
    if download.state in ACTIVE:
        return replace(download.with_progress(not_before=None), state=state)
    if full is not None:
        raise full
    return replace(
        download.with_control(desired=Desired.RUN),
        state=state,
        progress=Progress(origin=select_source(download, 0).progress.origin, retrying_since=now),
        result=Result(),
    )


def amend(download: Download, *, priority: int | None, speed_limit: int | None) -> Download:
    """Change the priority or the speed limit (bytes a second); None leaves a value as it is.

    Raises:
        InvalidStateError: it has ended already.
    """
    if download.state in FINISHED:
        raise InvalidStateError(f"the download is {download.state} already; only an active one can be changed")
    return download.with_control(
        priority=download.control.priority if priority is None else priority,
        speed_limit=download.control.speed_limit if speed_limit is None else speed_limit,
    )


def change_url(
    download: Download, *, url: str, redacted_url: str, origin: str, change: Callable[[Download], Download]
) -> Download:
    """Change the URL of a download, for example when the old one has expired; `change` makes the other changes.

    The next run continues the part file only if length, validator and last bytes are the same at the new URL.

    Raises:
        InvalidStateError: it has ended already, or is running.
    """
    if download.state in RUNNING:
        raise InvalidStateError("the download is running; pause it before you change its URL")
    changed = change(download).with_request(url=url, redacted_url=redacted_url)
    return changed.with_progress(origin=origin, source=0, url_changed=True)


# -- outcomes of runs --------------------------------------------------------------------------------------------------


def mark_verifying(download: Download, *, total: int, warning: str | None) -> Download:
    """Record that the part file is complete with `total` bytes; `warning` is added to that of the download."""
    ranges = download.progress.received_ranges
    received = download.with_progress(
        # Only what was recorded before is known to be on stable storage.
        received=download.progress.received if ranges is None else ByteRanges.parse(ranges).prefix,
        received_ranges=None,
        total=total,
    )
    known = download.result.warning
    if known is not None and warning is not None:
        # An earlier run may have recorded it before it was interrupted.
        warning = known if warning in known else f"{known}; {warning}"
    return replace(
        received.with_result(error=None, detail=None, warning=warning or known),
        state=advance(download.state, Trigger.RECEIVE),
    )


def mark_completed(download: Download, *, now: float) -> Download:
    """Complete a download whose file has its final name."""
    return _mark_finished(
        download.with_progress(publishing=False, part_name=None, received=download.progress.total or 0),
        Trigger.COMMIT,
        now=now,
    )


def mark_skipped(download: Download, *, now: float) -> Download:
    """End a download whose name is taken and whose request says to keep the existing file."""
    return _mark_finished(reset_part(download), Trigger.SKIP, now=now)


def mark_failed(download: Download, error: DownloadError, *, now: float) -> Download:
    """End a download with `error`."""
    return _mark_finished(
        reset_part(download).with_result(error=error.code, detail=error.detail),
        Trigger.FAIL,
        now=now,
    )


def mark_cancelled(download: Download, *, now: float) -> Download:
    """End a download that a user has cancelled."""
    error = CancelledByUserError()
    return _mark_finished(
        reset_part(download).with_result(error=error.code, detail=error.detail),
        Trigger.CANCEL,
        now=now,
    )


def mark_paused(download: Download) -> Download:
    """Record that a download is paused; the part file is kept."""
    return replace(
        download.with_control(desired=Desired.PAUSE).with_progress(not_before=None, publishing=False),
        state=advance(download.state, Trigger.PAUSE),
    )


def mark_deferred(
    download: Download, error: DownloadError, *, now: float, delay: float, failures: int, progressed: bool
) -> Download:
    """Defer a download after a failed attempt; the next one starts `delay` seconds after `now` (Unix time) or later.

    The next attempt asks another source first, unless this one has `progressed`.
    """
    next_source = download if progressed else select_source(download, download.progress.source + 1)
    is_first = progressed or download.progress.attempt <= 1 or download.progress.retrying_since is None
    return replace(
        next_source.with_progress(
            not_before=now + delay,
            failures=failures,
            retrying_since=now if is_first else download.progress.retrying_since,
        ).with_result(error=error.code, detail=error.detail),
        state=advance(download.state, Trigger.DEFER),
    )


def wait_for_source(download: Download, *, source: int, failures: int) -> Download:
    """Let a download wait for a slot of `source` after all sources that had a slot have failed."""
    return replace(
        select_source(download, source).with_progress(failures=failures),
        state=advance(download.state, Trigger.INTERRUPT),
    )


def mark_interrupted(download: Download, *, now: float) -> Download:
    """Return a download to the queue after its run was interrupted; apply the desired state if a user changed it."""
    if download.control.desired is Desired.CANCEL:
        return mark_cancelled(download, now=now)
    if download.control.desired is Desired.PAUSE:
        return mark_paused(download)
    return replace(download.with_progress(publishing=False), state=advance(download.state, Trigger.INTERRUPT))


def _mark_finished(download: Download, trigger: Trigger, *, now: float) -> Download:
    return replace(
        download.with_control(desired=Desired.RUN).with_progress(not_before=None).with_result(end_time=int(now)),
        state=advance(download.state, trigger),
    )


def reset_part(download: Download) -> Download:
    """Forget the part file and all received bytes."""
    return download.with_progress(
        part_name=None,
        received=0,
        received_ranges=None,
        validator=None,
        weak_tag=None,
        resumed_by=None,
        superseded=None,
        publishing=False,
    )
