from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.downloads import make_download, with_fields

from downloadd.download import Desired, Download, Progress, Result
from downloadd.errors import ErrorCode, InvalidStateError, NetworkError
from downloadd.manager import lifecycle
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
    [lambda d: lifecycle.cancel(d, now=NOW), lifecycle.pause, lambda d: lifecycle.amend(d, priority=1, speed_limit=1)],
    ids=["cancel", "pause", "amend"],
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


def test_retrying_a_finished_download_starts_over_with_the_same_id() -> None:
    ended = lifecycle.mark_failed(download(State.DOWNLOADING), NetworkError("reset"), now=NOW)
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


def test_another_url_needs_a_download_that_does_not_run() -> None:
    def redirected(before: Download) -> Download:
        return lifecycle.change_url(
            before,
            url="http://b/x",
            redacted_url="http://b/x",
            origin="http://b",
            change=lambda d: with_fields(d, priority=9),
        )

    after = redirected(download(State.PAUSED))
    assert (after.request.url, after.progress.origin, after.control.priority, after.progress.validator) == (
        "http://b/x",
        "http://b",
        9,
        '"v1"',
    )
    with pytest.raises(InvalidStateError, match="pause it"):
        redirected(download(State.DOWNLOADING))


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
