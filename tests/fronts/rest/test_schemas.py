"""The structs of queries and bodies."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sample_downloads import sample_download

from downloadd.download import Snapshot
from downloadd.errors import ErrorCode, InvalidParameterError
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.schemas import (
    BatchBody,
    DirectoryListingQuery,
    HistoryQuery,
    QueryDecoder,
    StartQuery,
    compute_percentage,
    make_active_entry,
    make_start_response,
)
from downloadd.fronts.rest.target import parse_query
from downloadd.states import State


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
def test_progress_is_never_rounded_up(current: int, expected: int | None, shown: float | None) -> None:
    assert compute_percentage(current, expected) == shown


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_only_the_last_byte_makes_a_hundred_percent(current: int, expected: int) -> None:
    shown = compute_percentage(current, expected)
    assert shown is not None
    assert 0 <= shown <= 100
    if expected < 10**15:
        assert (shown == 100) == (current >= expected)


@pytest.mark.parametrize("eta", [math.inf, math.nan])
def test_a_time_that_is_no_number_is_unknown(eta: float) -> None:
    assert make_active_entry(Snapshot(download=sample_download(), eta=eta)).eta is None


@given(st.sampled_from(State), st.sampled_from([None, *ErrorCode]))
def test_an_answer_has_an_error_exactly_when_it_is_no_success(state: State, error: ErrorCode | None) -> None:
    answer = make_start_response(sample_download(state=state, error=error))
    assert answer.success is (answer.error is None)
    assert answer.success is (state not in {State.FAILED, State.CANCELLED})


@pytest.mark.parametrize("type", [StartQuery, DirectoryListingQuery, HistoryQuery])
@given(text=st.text())
def test_any_query_is_read_or_refused(type: type[StartQuery], text: str) -> None:
    decoder = QueryDecoder(type)
    try:
        decoder.decode(parse_query(text))
    except InvalidParameterError as error:
        error.detail.encode()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"downloads": [{"url": "a", "colour": 1}]}', "downloads[0]: object contains unknown field colour"),
        ('{"colour": 1}', "body: object contains unknown field colour"),
        (
            '{"downloads": [{"url": "a", "https://u:s3cret@h/?token=s3cret": 1}]}',
            "downloads[0]: object contains an unknown field with a name that is not repeated here",
        ),
        (
            '{"s3cret` - at `$.x`": 1}',
            "body: object contains an unknown field with a name that is not repeated here",
        ),
        (
            '{"downloads": [{"url": "a", "conflict": "https://u:s3cret@h/ - at `$.x`"}]}',
            "downloads[0].conflict: expected one of rename, overwrite, skip, error",
        ),
    ],
)
def test_what_a_body_holds_is_not_repeated_where_it_may_be_a_secret(body: str, detail: str) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        decode_body(body.encode(), BatchBody)
    assert refused.value.detail == detail
