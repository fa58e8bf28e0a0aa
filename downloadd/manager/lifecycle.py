"""What each trigger makes of a download's row: users' wishes, attempts' outcomes, and recovery.

Pure: every function takes a row and gives the next one; the state comes from the table in `states.py`, and nothing
else in the daemon changes a state.
"""

from collections.abc import Callable

from msgspec.structs import replace

from downloadd.download import Desired, Download, Progress, Result
from downloadd.errors import CancelledByUserError, DownloadError, InvalidStateError, QueueFullError
from downloadd.states import ACTIVE, FINISHED, RUNNING, WAITING, State, Trigger, advance, allows
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.sources import select_source

# -- what users want ---------------------------------------------------------------------------------------------------


def cancel(download: Download, *, now: float) -> Download:
    """A user cancels: a waiting download ends at once, a running one is told to.

    Raises:
        InvalidStateError: it has ended already.
    """
    if download.state in FINISHED:
        raise InvalidStateError(f"the download is {download.state} already; only an active one can be cancelled")
    if download.state in RUNNING:
        return download.with_control(desired=Desired.CANCEL)
    return mark_cancelled(download, now=now)


def pause(download: Download) -> Download:
    """A user pauses: a waiting download is set aside at once, a running one is told to stop. Pausing twice is once.

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
    """What a user wanted of a run that ended by itself takes effect on a download that is left waiting.

    Another wish may have come first: then there is nothing to obey, and the row stays as it is.
    """
    if download.state in WAITING and download.control.desired is Desired.CANCEL:
        return mark_cancelled(download, now=now)
    if download.state in WAITING and download.control.desired is Desired.PAUSE:
        return mark_paused(download)
    return download


def resume(download: Download) -> Download:
    """A user lets a paused download go on.

    Raises:
        InvalidStateError: it is not paused.
    """
    if download.state is not State.PAUSED:
        raise InvalidStateError(f"the download is {download.state}; only a paused one can be resumed")
    return replace(
        download.with_control(desired=Desired.RUN).with_progress(not_before=None).with_result(error=None, detail=None),
        state=advance(download.state, Trigger.RESUME),
    )


def retry(download: Download, *, full: QueueFullError | None = None) -> Download:
    """A user wants another try now: one that waits for its next attempt stops waiting, an ended one starts afresh.

    Raises:
        InvalidStateError: there is nothing to retry.
        QueueFullError: it has ended, and there is no room to wait in, as `full` says.
    """
    if not download.progress.host:
        raise InvalidStateError("the download was refused as it was asked for; correct that and start a new one")
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
        progress=Progress(host=select_source(download, 0).progress.host),
        result=Result(),
    )


def amend(download: Download, *, priority: int | None, speed_limit: int | None) -> Download:
    """A user changes the priority or the speed limit (bytes a second); None leaves a value as it is.

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
    download: Download, *, url: str, redacted_url: str, host: str, change: Callable[[Download], Download]
) -> Download:
    """A user gives the download another URL, for one that has expired, say; `change` makes the other changes.

    The part goes on only if length, validator and the last bytes are the same there.

    Raises:
        InvalidStateError: it has ended already, or is running.
    """
    if download.state in RUNNING:
        raise InvalidStateError("the download is running; pause it before you change its URL")
    changed = change(download).with_request(url=url, redacted_url=redacted_url)
    return changed.with_progress(host=host, source=0, url_changed=True)


# -- what happens to a run ---------------------------------------------------------------------------------------------


def mark_verifying(download: Download, *, total: int, warning: str | None) -> Download:
    """The last byte is in the part file, which has `total` bytes; `warning` is worth to be kept all the same."""
    ranges = download.progress.received_ranges
    received = download.with_progress(
        # No more than before is known to be on stable storage.
        received=download.progress.received if ranges is None else ByteRanges.parse(ranges).prefix,
        received_ranges=None,
        total=total,
    )
    return replace(received.with_result(error=None, detail=warning), state=advance(download.state, Trigger.RECEIVE))


def mark_completed(download: Download, *, now: float) -> Download:
    """The file lies under its final name."""
    return _mark_finished(
        download.with_progress(publishing=False, part_name=None, received=download.progress.total or 0),
        Trigger.COMMIT,
        now=now,
    )


def mark_skipped(download: Download, *, now: float) -> Download:
    """The name is taken, and the download asked to leave the file there as it is."""
    return _mark_finished(reset_part(download), Trigger.SKIP, now=now)


def mark_failed(download: Download, error: DownloadError, *, now: float) -> Download:
    """The download ends with `error`."""
    return _mark_finished(
        reset_part(download).with_result(error=error.code, detail=error.detail),
        Trigger.FAIL,
        now=now,
    )


def mark_cancelled(download: Download, *, now: float) -> Download:
    """A user's cancel has taken effect."""
    error = CancelledByUserError()
    return _mark_finished(
        reset_part(download).with_result(error=error.code, detail=error.detail),
        Trigger.CANCEL,
        now=now,
    )


def mark_paused(download: Download) -> Download:
    """A user's pause has taken effect; the part file stays."""
    return replace(
        download.with_control(desired=Desired.PAUSE).with_progress(not_before=None, publishing=False),
        state=advance(download.state, Trigger.PAUSE),
    )


def mark_deferred(
    download: Download, error: DownloadError, *, not_before: float, failures: int, progressed: bool
) -> Download:
    """The attempt failed with `error`; the next one starts at `not_before` (Unix time) at the earliest.

    It asks another source first, unless this attempt has `progressed`.
    """
    next_source = download if progressed else select_source(download, download.progress.source + 1)
    return replace(
        next_source.with_progress(not_before=not_before, failures=failures).with_result(
            error=error.code, detail=error.detail
        ),
        state=advance(download.state, Trigger.DEFER),
    )


def wait_for_source(download: Download, *, source: int, failures: int) -> Download:
    """Nothing that could be asked was of use; a source that is left has no free place, and is waited for."""
    return replace(
        select_source(download, source).with_progress(failures=failures),
        state=advance(download.state, Trigger.INTERRUPT),
    )


def mark_interrupted(download: Download, *, now: float) -> Download:
    """The daemon stopped or was killed while a run held the download: what a user wanted then takes effect now."""
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
    """What has come is thrown away."""
    return download.with_progress(part_name=None, received=0, received_ranges=None, validator=None, publishing=False)
