"""Entries of responses, made from downloads."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from support.sample_downloads import sample_download

from downloadd.download import Snapshot
from downloadd.errors import ErrorCode
from downloadd.fronts.rest.entries import (
    compute_percentage,
    make_active_entry,
    make_active_response,
    make_history_entry,
    make_history_response,
    make_start_response,
)
from downloadd.states import STATES, UNSUCCESSFUL, State, WaitNotice, WaitReason


@pytest.mark.parametrize(
    ("current", "expected", "shown"),
    [
        (0, None, None),
        (7, None, None),
        (0, 0, 100.0),
        (0, 3, 0.0),
        (1, 3, 33.33),
        (2, 3, 66.66),
        (99_999_999, 100_000_000, 99.99),
        (3, 3, 100.0),
        (4, 3, 100.0),
    ],
)
def test_a_percentage_is_never_rounded_up(current: int, expected: int | None, shown: float | None) -> None:
    assert compute_percentage(current, expected) == shown


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_only_the_last_byte_makes_100_percent(current: int, expected: int) -> None:
    shown = compute_percentage(current, expected)
    assert shown is not None
    assert 0 <= shown <= 100
    if expected < 10**15:
        assert (shown == 100) == (current >= expected)


@pytest.mark.parametrize("eta", [math.inf, math.nan])
def test_a_time_left_that_is_not_finite_is_unknown(eta: float) -> None:
    assert make_active_entry(Snapshot(download=sample_download(), eta=eta)).eta is None


@given(st.sampled_from(State), st.sampled_from([None, *ErrorCode]))
def test_an_answer_has_an_error_exactly_if_it_reports_no_success(state: State, error: ErrorCode | None) -> None:
    answer = make_start_response(sample_download(state=state, error=error))
    assert answer.success is (answer.error is None)
    assert answer.success is (state not in UNSUCCESSFUL)
    assert answer.message == STATES[state].message


def test_the_detail_is_part_of_an_answer_only_if_it_reports_no_success() -> None:
    failed, active = (sample_download(state=state, detail="why") for state in (State.FAILED, State.RETRYING))
    assert make_start_response(failed).detail == "why"
    assert make_start_response(active).detail is UNSET


def test_a_warning_is_part_of_every_answer_and_entry_that_has_one() -> None:
    warned, plain = (sample_download(state=State.COMPLETED, warning=warning) for warning in ("look", None))
    assert (make_start_response(warned).warning, make_start_response(plain).warning) == ("look", UNSET)
    assert (make_history_entry(warned).warning, make_history_entry(plain).warning) == ("look", None)
    active = sample_download(state=State.DOWNLOADING, warning="look")
    assert make_active_entry(Snapshot(download=active)).warning == "look"


def test_an_error_that_is_not_recorded_is_cancellation_or_an_internal_one() -> None:
    assert make_start_response(sample_download(state=State.CANCELLED)).error is ErrorCode.CANCELLED
    assert make_start_response(sample_download(state=State.FAILED)).error is ErrorCode.INTERNAL_ERROR


def test_an_entry_has_the_url_without_its_secrets() -> None:
    download = sample_download(url="https://u:s3cret@a.example/f", redacted_url="https://a.example/f", directory="d")
    for entry in (make_active_entry(Snapshot(download=download)), make_history_entry(download)):
        assert b"s3cret" not in msgspec.json.encode(entry)
        assert (entry.url, entry.file_path) == ("https://a.example/f", "d/a")


def test_speed_and_time_left_are_whole_numbers() -> None:
    entry = make_active_entry(Snapshot(download=sample_download(), speed=1.6, eta=0.2, reason="r"))
    assert (entry.speed, entry.eta, entry.reason) == (2, 1, "r")


def test_a_reason_is_for_people_and_for_programs() -> None:
    notice = WaitNotice(
        code=WaitReason.TOTAL_LIMIT, text="3 downloads are running", running=3, setting="max_concurrent"
    )
    entry = make_active_entry(Snapshot(download=sample_download(), reason=notice.text, wait=notice))
    document = msgspec.json.decode(msgspec.json.encode(entry))
    assert document["reason"] == "3 downloads are running"
    assert document["wait"] == {"code": "max_concurrent", "running": 3, "setting": "max_concurrent"}
    assert "wait" not in msgspec.json.decode(
        msgspec.json.encode(make_active_entry(Snapshot(download=sample_download())))
    )


def test_only_a_completed_download_has_a_size_in_the_history() -> None:
    sizes = [make_history_entry(sample_download(state=state, total=7)).total_bytes for state in State]
    assert sizes == [7 if state is State.COMPLETED else None for state in State]


def test_a_refused_download_ends_when_it_starts() -> None:
    assert make_history_entry(sample_download(state=State.FAILED, start_time=5)).end_time == 5


def test_the_answer_to_an_action_is_the_entry_with_its_message() -> None:
    snapshot = Snapshot(download=sample_download(operation="op"))
    active, ended = make_active_response(snapshot, "m"), make_history_response(snapshot.download, "m")
    assert (active.success, active.message, active.operation) == (True, "m", "op")
    assert (ended.success, ended.message, ended.operation) == (True, "m", "op")
