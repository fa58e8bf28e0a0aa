import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.transfer.classification import RangeRequest
from downloadd.transfer.request_planning import CompletePart, plan_request


@pytest.mark.parametrize(
    ("received", "validator", "total", "expected"),
    [
        pytest.param(0, None, None, RangeRequest(), id="fresh"),
        pytest.param(0, '"v1"', 1000, RangeRequest(), id="nothing received"),
        pytest.param(0, '"v1"', 0, RangeRequest(), id="an empty part vouches for nothing"),
        pytest.param(400, None, 1000, RangeRequest(), id="no validator"),
        pytest.param(400, '"v1"', 1000, RangeRequest(start=400, validator='"v1"', total=1000), id="resumes"),
        pytest.param(400, '"v1"', None, RangeRequest(start=400, validator='"v1"'), id="resumes, length unknown"),
        pytest.param(1000, '"v1"', 1000, CompletePart(), id="complete"),
        pytest.param(1000, None, 1000, CompletePart(), id="complete, without validator"),
        pytest.param(1001, '"v1"', 1000, RangeRequest(), id="too long"),
    ],
)
def test_the_missing_bytes_are_requested(
    received: int, validator: str | None, total: int | None, expected: object
) -> None:
    assert plan_request(received=received, validator=validator, total=total) == expected


@given(
    received=st.integers(0, 2**62),
    validator=st.none() | st.just('"v1"'),
    total=st.none() | st.integers(0, 2**62),
)
def test_no_request_resumes_without_a_validator_or_past_the_end(
    received: int, validator: str | None, total: int | None
) -> None:
    match plan_request(received=received, validator=validator, total=total):
        case CompletePart():
            assert received == total
        case RangeRequest(start=start, validator=request_validator):
            assert start in {0, received}
            assert start == 0 or request_validator == validator is not None
            assert start == 0 or total is None or start < total
