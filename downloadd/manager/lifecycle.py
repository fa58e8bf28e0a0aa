"""What each event makes of a download's row: users' wishes, attempts' outcomes, and recovery.

Pure: every function takes a row and gives the next one; the state comes from the table in `states.py`, and nothing
else in the daemon changes a state.
"""

from collections.abc import Callable

from msgspec.structs import replace

from downloadd.download import Desired, Download
from downloadd.errors import CancelledByUserError, DownloadError, InvalidStateError, QueueFullError
from downloadd.states import ACTIVE, ENDED, RUNNING, WAITING, Event, State, advance, allows
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.sources import turn_to

# -- what users want ---------------------------------------------------------------------------------------------------


def cancel(download: Download, *, now: float) -> Download:
    """A user cancels: a waiting download ends at once, a running one is told to.

    Raises:
        InvalidStateError: it has ended already.
    """
    if download.state in ENDED:
        raise InvalidStateError(f"the download is {download.state} already; only an active one can be cancelled")
    if download.state in RUNNING:
        return replace(download, desired=Desired.CANCEL)
    return cancelled(download, now=now)


def pause(download: Download) -> Download:
    """A user pauses: a waiting download is set aside at once, a running one is told to stop. Pausing twice is once.

    Raises:
        InvalidStateError: it has ended already, or is being cancelled.
    """
    if download.state in ENDED:
        raise InvalidStateError(f"the download is {download.state} already; only an active one can be paused")
    if download.desired is Desired.CANCEL:
        raise InvalidStateError("the download is being cancelled")
    if download.state in RUNNING:
        return replace(download, desired=Desired.PAUSE)
    if download.state is State.PAUSED:
        return download
    return paused(download)


def obey(download: Download, *, now: float) -> Download:
    """What a user wanted of a run that ended by itself takes effect on a download that is left waiting.

    Another wish may have come first: then there is nothing to obey, and the row stays as it is.
    """
    if download.state in WAITING and download.desired is Desired.CANCEL:
        return cancelled(download, now=now)
    if download.state in WAITING and download.desired is Desired.PAUSE:
        return paused(download)
    return download


def resume(download: Download) -> Download:
    """A user lets a paused download go on.

    Raises:
        InvalidStateError: it is not paused.
    """
    if download.state is not State.PAUSED:
        raise InvalidStateError(f"the download is {download.state}; only a paused one can be resumed")
    return replace(
        download,
        state=advance(download.state, Event.RESUME),
        desired=Desired.RUN,
        not_before=None,
        error=None,
        detail=None,
    )


def retry(download: Download, *, full: QueueFullError | None = None) -> Download:
    """A user wants another try now: one that waits for its next attempt stops waiting, an ended one starts afresh.

    Raises:
        InvalidStateError: there is nothing to retry.
        QueueFullError: it has ended, and there is no room to wait in, as `full` says.
    """
    if not download.host:
        raise InvalidStateError("the download was refused as it was asked for; correct that and start a new one")
    if not allows(download.state, Event.RETRY):
        raise InvalidStateError(
            f"the download is {download.state}; only a failed, cancelled, skipped or retrying one can be retried"
        )
    state = advance(download.state, Event.RETRY)
    if download.state in ACTIVE:
        return replace(download, state=state, not_before=None)
    if full is not None:
        raise full
    return replace(
        turn_to(download, 0),
        state=state,
        desired=Desired.RUN,
        attempt=0,
        failures=0,
        not_before=None,
        time_spent=0.0,
        received=0,
        received_ranges=None,
        moved=False,
        total=None,
        validator=None,
        part_name=None,
        publishing=False,
        checksum=None,
        error=None,
        detail=None,
        end_time=None,
    )


def amend(download: Download, *, priority: int | None, speed_limit: int | None) -> Download:
    """A user changes the priority or the speed limit (bytes a second); None leaves a value as it is.

    Raises:
        InvalidStateError: it has ended already.
    """
    if download.state in ENDED:
        raise InvalidStateError(f"the download is {download.state} already; only an active one can be changed")
    return replace(
        download,
        priority=download.priority if priority is None else priority,
        speed_limit=download.speed_limit if speed_limit is None else speed_limit,
    )


def redirect(
    download: Download, *, url: str, shown_url: str, host: str, then: Callable[[Download], Download]
) -> Download:
    """A user gives the download another URL, for one that has expired, say; `then` makes the other changes.

    The part goes on only if length, validator and the last bytes are the same there.

    Raises:
        InvalidStateError: it has ended already, or is running.
    """
    if download.state in RUNNING:
        raise InvalidStateError("the download is running; pause it before you change its URL")
    return replace(then(download), url=url, shown_url=shown_url, host=host, turn=0, moved=True)


# -- what happens to a run ---------------------------------------------------------------------------------------------


def verifying(download: Download, *, total: int, remark: str | None) -> Download:
    """The last byte is in the part file, which has `total` bytes; `remark` is worth to be kept all the same."""
    ranges = download.received_ranges
    return replace(
        download,
        state=advance(download.state, Event.RECEIVE),
        # No more than before is known to be on stable storage.
        received=download.received if ranges is None else ByteRanges.parse(ranges).prefix,
        received_ranges=None,
        total=total,
        error=None,
        detail=remark,
    )


def completed(download: Download, *, now: float) -> Download:
    """The file lies under its final name."""
    return _ended(
        replace(download, publishing=False, part_name=None, received=download.total or 0),
        Event.COMMIT,
        now=now,
    )


def skipped(download: Download, *, now: float) -> Download:
    """The name is taken, and the download asked to leave the file there as it is."""
    return _ended(without_part(download), Event.SKIP, now=now)


def failed(download: Download, error: DownloadError, *, now: float) -> Download:
    """The download ends with `error`."""
    return _ended(
        replace(without_part(download), error=error.code, detail=error.detail),
        Event.FAIL,
        now=now,
    )


def cancelled(download: Download, *, now: float) -> Download:
    """A user's cancel has taken effect."""
    error = CancelledByUserError()
    return _ended(
        replace(without_part(download), error=error.code, detail=error.detail),
        Event.CANCEL,
        now=now,
    )


def paused(download: Download) -> Download:
    """A user's pause has taken effect; the part file stays."""
    return replace(
        download, state=advance(download.state, Event.PAUSE), desired=Desired.PAUSE, not_before=None, publishing=False
    )


def deferred(
    download: Download, error: DownloadError, *, not_before: float, failures: int, progressed: bool
) -> Download:
    """The attempt failed with `error`; the next one starts at `not_before` (Unix time) at the earliest.

    It asks another source first, unless this attempt has `progressed`.
    """
    return replace(
        download if progressed else turn_to(download, download.turn + 1),
        state=advance(download.state, Event.DEFER),
        not_before=not_before,
        failures=failures,
        error=error.code,
        detail=error.detail,
    )


def waits_elsewhere(download: Download, *, source: int, failures: int) -> Download:
    """Nothing that could be asked was of use; a source that is left has no free place, and is waited for."""
    return replace(
        turn_to(download, source),
        state=advance(download.state, Event.INTERRUPT),
        failures=failures,
    )


def interrupted(download: Download, *, now: float) -> Download:
    """The daemon stopped or was killed while a run held the download: what a user wanted then takes effect now."""
    if download.desired is Desired.CANCEL:
        return cancelled(download, now=now)
    if download.desired is Desired.PAUSE:
        return paused(download)
    return replace(download, state=advance(download.state, Event.INTERRUPT), publishing=False)


def _ended(download: Download, event: Event, *, now: float) -> Download:
    return replace(
        download,
        state=advance(download.state, event),
        desired=Desired.RUN,
        not_before=None,
        end_time=int(now),
    )


def without_part(download: Download) -> Download:
    """What has come is thrown away."""
    return replace(download, part_name=None, received=0, received_ranges=None, validator=None, publishing=False)
