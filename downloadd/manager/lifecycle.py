"""Changes of a download's row by users' actions, outcomes of attempts, and recovery.

Pure: every function takes a row and returns the next one. The state comes from the table in `states.py`; nothing else
in the daemon changes a state.
"""

from collections.abc import Callable

from msgspec.structs import replace

from downloadd.download import Desired, Download, Mirror, Progress, Result
from downloadd.errors import (
    AlreadyThereError,
    CancelledByUserError,
    DownloadError,
    InvalidStateError,
    NetworkError,
    NetworkErrorKind,
    QueueFullError,
    UnchangedError,
)
from downloadd.manager.amendment import NewUrl, change_url, require_retryable
from downloadd.policy.redaction import redact_url
from downloadd.states import ACTIVE, FINISHED, RUNNING, WAITING, State, Trigger, advance
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.known_content import resource_of
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
        download.with_control(desired=Desired.RUN).with_progress(not_before=None).with_error(None),
        state=advance(download.state, Trigger.RESUME),
    )


def retry(download: Download, *, now: float, url: NewUrl | None = None, full: QueueFullError | None = None) -> Download:
    """Retry a download: one that waits for its next attempt without further delay, a finished one from its part file.

    A finished one without a part file starts from the first byte. All its limits start anew, also the timeout.

    Args:
        download: the row.
        now: Unix time.
        url: replaces the URL; see `amendment.amend`.
        full: the error to raise if the download has ended, because the queue is full.

    Raises:
        InvalidStateError: it cannot be retried in its state, was refused when it was requested, or its URL lacks its
            secrets and is not replaced.
        QueueFullError: it has ended, and the queue is full.
    """
    require_retryable(download)
    if url is not None:
        download = change_url(download, url)
    if download.result.secrets_removed:
        raise InvalidStateError(
            "the secrets of its request were removed from the records after it had ended; retry it with a new url, or "
            "start a new download"
        )
    state = advance(download.state, Trigger.RETRY)
    if download.state in ACTIVE:
        return replace(download.with_progress(not_before=None), state=state)
    if full is not None:
        raise full
    row = replace(download.with_control(desired=Desired.RUN), state=state)
    if download.progress.part_name is None:
        return replace(
            row.with_request(part_directory=None),
            progress=Progress(origin=select_source(download, 0).progress.origin, retrying_since=now),
            result=Result(),
        )
    # The source stays too: the validator is one of its own.
    return replace(
        row.with_progress(attempt=0, failures=0, not_before=None, time_spent=0.0, retrying_since=now),
        result=Result(content_type=download.result.content_type),
    )


def require_in_waiting_list(download: Download) -> None:
    """Return if a download is in the waiting list, in which it can be moved.

    Raises:
        InvalidStateError: it runs, waits for its next attempt, or has ended.
    """
    is_stopping = download.state in ACTIVE and download.control.desired is Desired.PAUSE
    if download.state not in {State.QUEUED, State.PAUSED} and not is_stopping:
        raise InvalidStateError(f"the download is {download.state}; only a queued or paused one can be moved")


def clear_result(download: Download) -> Download:
    """Remove a finished download from the list of results; it stays in the history.

    Raises:
        InvalidStateError: it has not ended.
    """
    if download.state not in FINISHED:
        raise InvalidStateError(f"the download is {download.state}; only a finished one can be cleared")
    return download.with_result(cleared=True)


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
        received.with_error(None).with_result(warning=warning or known),
        state=advance(download.state, Trigger.RECEIVE),
    )


def mark_completed(download: Download, *, now: float) -> Download:
    """Complete a download whose file has its final name."""
    published = download.with_progress(publishing=False, part_name=None, received=download.progress.total or 0)
    ended = _mark_finished(published.with_result(resource=resource_of(download)), Trigger.COMMIT, now=now)
    return remove_secrets(ended)


def mark_published(download: Download, *, now: float) -> Download:
    """Complete a download whose file was given its name by an earlier run, which could not record it."""
    if download.state is not State.VERIFYING:
        download = mark_verifying(download, total=download.progress.total or 0, warning=None)
    return mark_completed(download, now=now)


def mark_skipped(
    download: Download, error: UnchangedError | AlreadyThereError | None = None, *, now: float
) -> Download:
    """End a download whose name is taken and whose request says to keep the existing file.

    `error` says that nothing else than what there is would be saved.
    """
    row = reset_part(download) if error is None else reset_part(download).with_error(error)
    return remove_secrets(_mark_finished(row, Trigger.SKIP, now=now))


def mark_failed(download: Download, error: DownloadError, *, now: float) -> Download:
    """End a download with `error`; the part file that the row names is kept for a retry."""
    return _mark_finished(
        download.with_progress(publishing=False).with_error(error),
        Trigger.FAIL,
        now=now,
    )


def mark_cancelled(download: Download, *, now: float) -> Download:
    """End a download that a user has cancelled."""
    ended = reset_part(download).with_error(CancelledByUserError())
    return remove_secrets(_mark_finished(ended, Trigger.CANCEL, now=now))


def mark_paused(download: Download) -> Download:
    """Record that a download is paused; the part file is kept, and so is the fact that its file may have its name."""
    return replace(
        download.with_control(desired=Desired.PAUSE).with_progress(not_before=None),
        state=advance(download.state, Trigger.PAUSE),
    )


def mark_deferred(
    download: Download, error: DownloadError, *, now: float, delay: float, failures: int, progressed: bool
) -> Download:
    """Defer a download after a failed attempt; the next one starts `delay` seconds after `now` (Unix time) or later.

    The next attempt asks another source first, unless this one has `progressed` and is fast enough.
    """
    is_slow = isinstance(error, NetworkError) and error.kind is NetworkErrorKind.SLOW
    next_source = download if progressed and not is_slow else select_source(download, download.progress.source + 1)
    is_first = progressed or download.progress.attempt <= 1 or download.progress.retrying_since is None
    return replace(
        next_source.with_progress(
            not_before=now + delay,
            failures=failures,
            retrying_since=now if is_first else download.progress.retrying_since,
        ).with_error(error),
        state=advance(download.state, Trigger.DEFER),
    )


def wait_for_source(download: Download, *, source: int, failures: int) -> Download:
    """Let a download wait for a slot of `source` after all sources that had a slot have failed."""
    return replace(
        select_source(download, source).with_progress(failures=failures),
        state=advance(download.state, Trigger.INTERRUPT),
    )


def mark_interrupted(download: Download, *, now: float) -> Download:
    """Return a download to the queue after its run was interrupted; apply the desired state if a user changed it.

    Whether an earlier run may still publish its file stays recorded: this one may not have found out.
    """
    if download.control.desired is Desired.CANCEL:
        return mark_cancelled(download, now=now)
    if download.control.desired is Desired.PAUSE:
        return mark_paused(download)
    return replace(download, state=advance(download.state, Trigger.INTERRUPT))


def mark_unpublished(download: Download) -> Download:
    """Record that no run has published the file or can do so later."""
    return download.with_progress(publishing=False).with_result(file_identity=None)


def restart(download: Download, change: Callable[[Download], Download]) -> Download:
    """Change a download that another node may run: its run is fenced by the next epoch, and another one follows it.

    Raises:
        InvalidStateError: its file is being published, or it is being cancelled.
        Exception: `change` has raised it.
    """
    if download.state not in RUNNING:
        return change(download)
    if download.progress.publishing:
        raise InvalidStateError("the file of the download is being published; its requests cannot be changed")
    if download.control.desired is Desired.CANCEL:
        raise InvalidStateError("the download is being cancelled")
    # A pause holds; a cancel, which would need the time, was refused.
    interrupted = mark_interrupted(download, now=0)
    return change(replace(interrupted, epoch=download.epoch + 1))


def _mark_finished(download: Download, trigger: Trigger, *, now: float) -> Download:
    return replace(
        download.with_control(desired=Desired.RUN).with_progress(not_before=None).with_result(end_time=int(now)),
        state=advance(download.state, trigger),
    )


# -- what is kept after the end ----------------------------------------------------------------------------------------


def forget_kept_part(download: Download, part_name: str) -> Download:
    """Forget the part file of a finished download; the row stays as it is if it owns no part of this name any more."""
    if download.state not in FINISHED or download.progress.part_name != part_name:
        return download
    return reset_part(download)


def expire_secrets(download: Download, *, failed_before: float) -> Download:
    """Remove the secrets of a finished download; those of a failed one if it ended at `failed_before` or earlier."""
    if download.state not in FINISHED:
        return download
    if download.state is State.FAILED and (download.result.end_time or 0) > failed_before:
        return download
    return remove_secrets(download)


def remove_secrets(download: Download) -> Download:
    """Return the download without its secrets; a mirror that has secrets in its URL is useless then and left out.

    A completed download needs no mirror and no request field any more.
    """
    request = download.request
    mirrors: tuple[Mirror, ...] = ()
    fields = None
    if download.state is not State.COMPLETED:
        mirrors = tuple(mirror for mirror in request.mirrors if not _has_secrets(mirror.url))
        fields = None if request.fields is None else request.fields.for_other_origin()
    # The number of the source counts the mirrors.
    row = download if mirrors == request.mirrors else select_source(download, 0)
    has_secrets = _has_secrets(request.url) or (request.fields is not None and request.fields.is_secret)
    return row.with_request(url=request.redacted_url, mirrors=mirrors, fields=fields).with_result(
        secrets_removed=download.result.secrets_removed or has_secrets
    )


def _has_secrets(url: str) -> bool:
    # The fragment is not sent to an origin.
    return redact_url(url) != url.partition("#")[0]


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
