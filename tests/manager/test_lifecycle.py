from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.downloads import make_download, with_fields

from downloadd.download import Desired, Download, Mirror, Progress, Result
from downloadd.errors import ErrorCode, InvalidStateError, NetworkError, NetworkErrorKind, RemoteError
from downloadd.manager import lifecycle
from downloadd.manager.amendment import NewUrl
from downloadd.request_fields import Method, RequestFields
from downloadd.states import FINISHED, RUNNING, WAITING, State

NOW = 1_700_000_000.75


def download(
    state: State = State.QUEUED, desired: Desired = Desired.RUN, origin: str = "https://files.example.com"
) -> Download:
    return make_download(
        id="7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c",
        seq=7,
        user="u",
        url="https://files.example.com/data.csv",
        redacted_url="https://files.example.com/data.csv",
        origin=origin,
        directory="Downloads",
        filename="data.csv",
        timeout=300,
        start_time=1_699_999_000,
        state=state,
        desired=desired,
        epoch=3,
        attempt=3,
        failures=2,
        not_before=NOW + 5 if state is State.RETRYING else None,
        received=100,
        total=200,
        validator='"v1"',
        part_name=".data.csv.part",
    )


@pytest.mark.parametrize("state", [State.QUEUED, State.RETRYING, State.PAUSED])
def test_cancelling_a_download_without_a_run_ends_it_at_once(state: State) -> None:
    after = lifecycle.cancel(download(state), now=NOW)
    assert (after.state, after.result.error, after.result.end_time) == (State.CANCELLED, ErrorCode.CANCELLED, int(NOW))
    assert after.progress.part_name is None


@pytest.mark.parametrize("state", sorted(RUNNING))
def test_cancelling_a_running_download_sets_its_desired_state(state: State) -> None:
    after = lifecycle.cancel(download(state), now=NOW)
    assert (after.state, after.control.desired) == (state, Desired.CANCEL)


@pytest.mark.parametrize("state", sorted(FINISHED))
@pytest.mark.parametrize(
    "action",
    [lambda d: lifecycle.cancel(d, now=NOW), lifecycle.pause],
    ids=["cancel", "pause"],
)
def test_a_finished_download_is_not_changed(state: State, action: Callable[[Download], Download]) -> None:
    with pytest.raises(InvalidStateError, match=f"{state} already"):
        action(download(state))


def test_pausing_twice_is_pausing_once() -> None:
    once = lifecycle.pause(download())
    assert once.state is State.PAUSED
    assert lifecycle.pause(once) == once


def test_a_paused_download_keeps_its_bytes_and_continues() -> None:
    after = lifecycle.resume(lifecycle.pause(download()))
    assert (after.state, after.control.desired, after.progress.received, after.progress.validator) == (
        State.QUEUED,
        Desired.RUN,
        100,
        '"v1"',
    )


@pytest.mark.parametrize("state", sorted(set(State) - {State.PAUSED}))
def test_only_a_paused_download_can_be_resumed(state: State) -> None:
    with pytest.raises(InvalidStateError):
        lifecycle.resume(download(state))


def test_a_download_that_is_being_cancelled_cannot_be_paused() -> None:
    with pytest.raises(InvalidStateError):
        lifecycle.pause(download(State.DOWNLOADING, Desired.CANCEL))


@pytest.mark.parametrize(
    ("desired", "expected"), [(Desired.RUN, State.QUEUED), (Desired.PAUSE, State.PAUSED)], ids=["run", "pause"]
)
def test_a_restart_fences_the_run_and_keeps_its_bytes_and_a_pause(desired: Desired, expected: State) -> None:
    changed = lifecycle.restart(download(State.DOWNLOADING, desired), lambda row: row.with_control(priority=5))
    assert (changed.state, changed.epoch, changed.control.priority) == (expected, 4, 5)
    assert (changed.progress.received, changed.progress.part_name) == (100, ".data.csv.part")


def test_a_restart_of_a_download_without_a_run_only_changes_it() -> None:
    waiting = download()
    assert lifecycle.restart(waiting, lambda row: row.with_control(priority=5)) == waiting.with_control(priority=5)


@pytest.mark.parametrize("fields", [{"publishing": True}, {"desired": Desired.CANCEL}], ids=["publishing", "cancelled"])
def test_a_download_that_is_about_to_end_is_not_restarted(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidStateError):
        lifecycle.restart(with_fields(download(State.VERIFYING), **fields), lambda row: row)


def test_a_failed_download_keeps_its_part_file_and_a_retry_continues_from_it() -> None:
    ended = lifecycle.mark_failed(download(State.DOWNLOADING), NetworkError("reset"), now=NOW)
    assert ended.kept_bytes == 100
    spent = with_fields(ended, time_spent=300.0, source=0, url_changed=True, content_type="text/csv")
    after = lifecycle.retry(spent, now=NOW)
    assert (after.state, after.result) == (State.QUEUED, Result(content_type="text/csv"))
    # Its limits start anew.
    assert (
        after.progress
        == with_fields(spent, attempt=0, failures=0, time_spent=0.0, not_before=None, retrying_since=NOW).progress
    )
    assert (after.progress.part_name, after.progress.received) == (".data.csv.part", 100)
    assert after.kept_bytes == 0, "it is active"


def test_a_kept_part_file_is_forgotten_by_its_name() -> None:
    ended = lifecycle.mark_failed(download(State.DOWNLOADING), NetworkError("reset"), now=NOW)
    assert lifecycle.forget_kept_part(ended, ".other.part") == ended
    assert lifecycle.forget_kept_part(download(State.QUEUED), ".data.csv.part") == download(State.QUEUED)
    after = lifecycle.forget_kept_part(ended, ".data.csv.part")
    assert (after.state, after.kept_bytes, after.progress.received) == (State.FAILED, 0, 0)


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.SKIPPED])
def test_an_ended_download_is_retried_with_a_new_url(state: State) -> None:
    new = NewUrl(url="http://b/x?sig=1", redacted_url="http://b/x?sig=***", origin="http://b")
    ended = with_fields(download(state), end_time=int(NOW), secrets_removed=True)
    after = lifecycle.retry(ended, now=NOW, url=new)
    assert (after.state, after.request.url, after.progress.origin) == (State.QUEUED, new.url, "http://b")
    assert (after.progress.part_name, after.progress.url_changed) == (".data.csv.part", True)
    assert not after.result.secrets_removed
    for refused in (download(State.COMPLETED), download(State.FAILED, origin="")):
        with pytest.raises(InvalidStateError):
            lifecycle.retry(refused, now=NOW, url=new)


def test_a_retry_from_the_first_byte_begins_its_part_file_in_the_directory_of_the_download() -> None:
    moved = with_fields(download(State.FAILED), directory="new", part_directory="old")
    assert lifecycle.retry(moved, now=NOW).part_directory == "old"
    assert lifecycle.retry(with_fields(moved, part_name=None), now=NOW).part_directory == "new"


SECRET = "https://u:p@files.example.com/data.csv?sig=s3cret"
SHOWN = "https://files.example.com/data.csv?sig=***"


def secret_download(state: State) -> Download:
    mirrors = (
        Mirror(url="https://m.example.com/?token=t"),
        Mirror(url="https://n/x"),
    )
    return with_fields(download(state), url=SECRET, redacted_url=SHOWN, mirrors=mirrors, source=2, total=200)


@pytest.mark.parametrize(
    ("end", "mirrors"),
    [
        (lambda d: lifecycle.mark_completed(with_fields(d, state=State.VERIFYING), now=NOW), []),
        (lambda d: lifecycle.mark_cancelled(d, now=NOW), ["https://n/x"]),
        (lambda d: lifecycle.mark_skipped(d, now=NOW), ["https://n/x"]),
    ],
    ids=["completed", "cancelled", "skipped"],
)
def test_secrets_leave_a_download_with_its_end(end: Callable[[Download], Download], mirrors: list[str]) -> None:
    after = end(secret_download(State.DOWNLOADING))
    assert (after.request.url, after.result.secrets_removed) == (SHOWN, True)
    assert [mirror.url for mirror in after.request.mirrors] == mirrors
    assert after.progress.source == 0
    if after.state is not State.COMPLETED:
        with pytest.raises(InvalidStateError, match="new url"):
            lifecycle.retry(after, now=NOW)


def test_the_secrets_of_a_failed_download_leave_it_with_time() -> None:
    failed = lifecycle.mark_failed(secret_download(State.DOWNLOADING), NetworkError("reset"), now=NOW)
    assert failed.request.url == SECRET
    assert lifecycle.expire_secrets(failed, failed_before=NOW - 1) == failed
    after = lifecycle.expire_secrets(failed, failed_before=NOW)
    assert (after.request.url, after.result.secrets_removed) == (SHOWN, True)
    assert lifecycle.expire_secrets(secret_download(State.PAUSED), failed_before=NOW + 9).request.url == SECRET


@pytest.mark.parametrize("url", ["https://files.example.com/data.csv", "https://files.example.com/data.csv#part"])
def test_a_url_without_secrets_can_be_retried_after_a_cancellation(url: str) -> None:
    cancelled = lifecycle.mark_cancelled(with_fields(download(), url=url), now=NOW)
    assert lifecycle.retry(cancelled, now=NOW).request.url == "https://files.example.com/data.csv"


def test_retrying_a_finished_download_without_a_part_file_starts_over_with_the_same_id() -> None:
    running = lifecycle.reset_part(download(State.DOWNLOADING))
    ended = lifecycle.mark_failed(running, NetworkError("reset"), now=NOW)
    after = lifecycle.retry(ended, now=NOW)
    assert after.id == ended.id
    assert after.state is State.QUEUED
    assert (after.request, after.filename) == (ended.request, ended.filename)
    assert after.progress == Progress(origin="https://files.example.com", retrying_since=NOW)
    assert after.result == Result()
    assert after.epoch == ended.epoch


def test_retrying_a_download_in_backoff_keeps_its_bytes() -> None:
    after = lifecycle.retry(download(State.RETRYING), now=NOW)
    assert (after.state, after.progress.not_before, after.progress.received) == (State.QUEUED, None, 100)


@pytest.mark.parametrize("state", [State.COMPLETED, State.QUEUED, State.PAUSED, *sorted(RUNNING)])
def test_other_downloads_cannot_be_retried(state: State) -> None:
    with pytest.raises(InvalidStateError):
        lifecycle.retry(download(state), now=NOW)


def test_an_invalid_request_is_never_run() -> None:
    with pytest.raises(InvalidStateError, match="refused"):
        lifecycle.retry(download(State.FAILED, origin=""), now=NOW)


@pytest.mark.parametrize(
    ("desired", "expected"),
    [(Desired.RUN, State.QUEUED), (Desired.PAUSE, State.PAUSED), (Desired.CANCEL, State.CANCELLED)],
)
@pytest.mark.parametrize("state", sorted(RUNNING))
def test_the_desired_state_applies_after_a_kill(state: State, desired: Desired, expected: State) -> None:
    after = lifecycle.mark_interrupted(download(state, desired), now=NOW)
    assert after.state is expected
    assert not after.progress.publishing


@pytest.mark.parametrize("state", sorted(State))
@pytest.mark.parametrize("desired", sorted(Desired))
def test_a_missed_desired_state_applies_to_a_waiting_download_only(state: State, desired: Desired) -> None:
    before = download(state, desired)
    after = lifecycle.apply_desired(before, now=NOW)
    if state in WAITING and desired is not Desired.RUN:
        assert after.state is {Desired.PAUSE: State.PAUSED, Desired.CANCEL: State.CANCELLED}[desired]
    else:
        assert after == before


def test_a_completed_download_has_no_error_and_no_part_file() -> None:
    failed_before = with_fields(download(State.DOWNLOADING), error=ErrorCode.NETWORK_ERROR, detail="broken")
    whole = lifecycle.mark_verifying(failed_before, total=1, warning="a mirror was not used")
    after = lifecycle.mark_completed(whole, now=NOW)
    assert (after.result.detail, after.result.warning) == (None, "a mirror was not used")
    assert (after.state, after.result.error, after.progress.part_name, after.result.end_time) == (
        State.COMPLETED,
        None,
        None,
        int(NOW),
    )
    assert (after.progress.received, after.progress.total) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "progressed", "source"),
    [(NetworkErrorKind.CUT, True, 0), (NetworkErrorKind.CUT, False, 1), (NetworkErrorKind.SLOW, True, 1)],
)
def test_the_next_attempt_asks_another_source_after_a_failure_without_bytes_or_a_slow_one(
    kind: NetworkErrorKind, progressed: bool, source: int
) -> None:
    row = with_fields(download(State.DOWNLOADING), mirrors=(Mirror(url="https://b.example/f"),))
    error = NetworkError("x", kind=kind)
    after = lifecycle.mark_deferred(row, error, now=NOW, delay=1, failures=1, progressed=progressed)
    assert (after.progress.source, after.result.cause) == (source, kind)


def test_a_fresh_start_forgets_the_cause_of_the_failure() -> None:
    error = NetworkError("x", kind=NetworkErrorKind.STALLED)
    failed = lifecycle.mark_failed(download(State.DOWNLOADING), error, now=NOW)
    deferred = lifecycle.mark_deferred(
        download(State.DOWNLOADING), RemoteError(503), now=NOW, delay=1, failures=1, progressed=True
    )
    assert (failed.result.cause, deferred.result.origin_status) == (NetworkErrorKind.STALLED, 503)
    for after in (
        lifecycle.retry(failed, now=NOW),
        lifecycle.resume(lifecycle.pause(deferred)),
        lifecycle.cancel(deferred, now=NOW),
    ):
        assert (after.result.cause, after.result.origin_status) == (None, None)


@pytest.mark.parametrize(
    ("known", "new", "warning"),
    [(None, None, None), ("a page", None, "a page"), ("a page", "b", "a page; b"), ("a page; b", "b", "a page; b")],
    ids=["none", "kept", "added", "once"],
)
def test_a_warning_is_added_to_an_earlier_one(known: str | None, new: str | None, warning: str | None) -> None:
    before = with_fields(download(State.DOWNLOADING), warning=known)
    assert lifecycle.mark_verifying(before, total=1, warning=new).result.warning == warning


@pytest.mark.parametrize(
    ("ranges", "received"),
    [(None, 100), ("0-40,60-90", 40), ("60-90", 0), ("", 0)],
    ids=["first", "gaps", "no", "none"],
)
def test_a_complete_part_file_keeps_the_bytes_of_its_checkpoint(ranges: str | None, received: int) -> None:
    before = with_fields(download(State.DOWNLOADING), received_ranges=ranges)
    after = lifecycle.mark_verifying(before, total=200, warning=None)
    assert (after.progress.received, after.progress.received_ranges, after.progress.total) == (received, None, 200)


@given(st.sampled_from(State), st.sampled_from(Desired))
def test_no_user_action_fails_unexpectedly(state: State, desired: Desired) -> None:
    before = download(state, desired)
    retry = partial(lifecycle.retry, now=NOW)
    for action in (lambda d: lifecycle.cancel(d, now=NOW), lifecycle.pause, lifecycle.resume, retry):
        try:
            after = action(before)
        except InvalidStateError:
            continue
        assert (after.id, after.seq, after.epoch) == (before.id, before.seq, before.epoch)
        assert (after.result.end_time is not None) == (after.state in FINISHED)


# -- request fields ----------------------------------------------------------------------------------------------------

FIELDS = RequestFields(headers=(("X-Key", "k"),), proxy="office", method=Method.POST, body="b")


@pytest.mark.parametrize(
    ("end", "is_kept"),
    [
        (lambda row: lifecycle.mark_completed(with_fields(row, state=State.VERIFYING, total=1), now=NOW), False),
        (lambda row: lifecycle.mark_skipped(row, now=NOW), False),
        (lambda row: lifecycle.mark_cancelled(row, now=NOW), False),
        (lambda row: lifecycle.mark_interrupted(with_fields(row, desired=Desired.CANCEL), now=NOW), False),
        (lambda row: lifecycle.mark_failed(row, NetworkError("x"), now=NOW), True),
        (lambda row: lifecycle.mark_interrupted(row, now=NOW), True),
        (lambda row: lifecycle.mark_paused(row), True),
        (lambda row: lifecycle.retry(lifecycle.mark_failed(row, NetworkError("x"), now=NOW), now=NOW), True),
    ],
    ids=["completed", "skipped", "cancelled", "cancelled while away", "failed", "interrupted", "paused", "retried"],
)
def test_request_fields_are_removed_once_they_are_not_needed(
    end: Callable[[Download], Download], is_kept: bool
) -> None:
    row = end(with_fields(download(State.DOWNLOADING), fields=FIELDS))
    if is_kept:
        assert (row.request.fields, row.result.secrets_removed) == (FIELDS, False)
    else:
        expected = None if row.state is State.COMPLETED else RequestFields(proxy="office")
        assert (row.request.fields, row.result.secrets_removed) == (expected, True)


def test_request_fields_of_a_failed_download_expire() -> None:
    failed = lifecycle.mark_failed(with_fields(download(State.DOWNLOADING), fields=FIELDS), NetworkError("x"), now=NOW)
    assert lifecycle.expire_secrets(failed, failed_before=NOW - 1) == failed
    expired = lifecycle.expire_secrets(failed, failed_before=NOW)
    assert expired.request.fields == RequestFields(proxy="office")
    with pytest.raises(InvalidStateError, match="secrets of its request were removed"):
        lifecycle.retry(expired, now=NOW)


def test_a_proxy_alone_is_no_secret() -> None:
    fields = RequestFields(proxy="office")
    cancelled = lifecycle.mark_cancelled(with_fields(download(State.DOWNLOADING), fields=fields), now=NOW)
    assert (cancelled.request.fields, cancelled.result.secrets_removed) == (fields, False)
