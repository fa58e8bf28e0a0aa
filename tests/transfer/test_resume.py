import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.download import Condition, ResumedBy
from downloadd.transfer.representation import Representation
from downloadd.transfer.resume import (
    OVERLAP_BYTES,
    CompletePart,
    Evidence,
    RangeRequest,
    Step,
    format_range_fields,
    is_resumable,
    list_evidence,
    plan_request,
    weakest_evidence,
)

SIZE = 1_000_000
RECEIVED = 400_000
STRONG = Representation(validator='"v"', total=SIZE)
DIGEST = Representation(has_digest=True, total=SIZE)
WEAK = Representation(total=SIZE)


@pytest.mark.parametrize(
    ("known", "allows_overlap", "evidence"),
    [
        (STRONG, True, [Evidence.IF_RANGE, Evidence.VALIDATOR, Evidence.OVERLAP]),
        (STRONG, False, [Evidence.IF_RANGE, Evidence.VALIDATOR]),
        (Representation(validator='"v"'), True, [Evidence.IF_RANGE, Evidence.VALIDATOR]),
        (DIGEST, True, [Evidence.DIGEST, Evidence.OVERLAP]),
        (DIGEST, False, [Evidence.DIGEST]),
        (Representation(has_digest=True), True, []),
        (Representation(has_digest=True, total=SIZE, is_strict=True), True, []),
        (WEAK, True, [Evidence.OVERLAP]),
        (WEAK, False, []),
        (Representation(), True, []),
        (Representation(validator='"v"', total=SIZE, has_digest=True, has_ranges=False), True, []),
    ],
)
def test_evidence_is_listed_from_the_strongest_to_the_weakest(
    known: Representation, allows_overlap: bool, evidence: list[Evidence]
) -> None:
    assert list_evidence(known, allows_overlap=allows_overlap) == evidence


def planned(
    known: Representation, received: int = RECEIVED, step: Step | None = None, *, is_redirected: bool = False
) -> RangeRequest | CompletePart:
    return plan_request(known, received=received, step=step or Step(), is_redirected=is_redirected, allows_overlap=True)


COMPARED = RangeRequest(start=RECEIVED - OVERLAP_BYTES, evidence=Evidence.IF_RANGE, if_range='"v"', has_overlap=True)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(
            planned(STRONG), RangeRequest(start=RECEIVED, evidence=Evidence.IF_RANGE, if_range='"v"'), id="strong"
        ),
        pytest.param(
            planned(STRONG, step=Step(after=Evidence.IF_RANGE)),
            RangeRequest(start=RECEIVED, evidence=Evidence.VALIDATOR),
            id="without a precondition",
        ),
        pytest.param(
            planned(STRONG, step=Step(after=Evidence.VALIDATOR)),
            RangeRequest(start=RECEIVED - OVERLAP_BYTES, evidence=Evidence.OVERLAP, has_overlap=True),
            id="without a validator",
        ),
        pytest.param(planned(STRONG, step=Step(after=Evidence.OVERLAP)), RangeRequest(), id="without evidence"),
        pytest.param(planned(STRONG, step=Step(start_over=True)), RangeRequest(), id="start over"),
        pytest.param(planned(STRONG, step=Step(compare=True)), COMPARED, id="compared"),
        pytest.param(planned(STRONG, is_redirected=True), COMPARED, id="redirected"),
        pytest.param(
            planned(Representation(validator='"v"', total=SIZE, coding="gzip")), COMPARED, id="content coding"
        ),
        pytest.param(
            planned(DIGEST),
            RangeRequest(start=RECEIVED - OVERLAP_BYTES, evidence=Evidence.DIGEST, has_overlap=True),
            id="digest",
        ),
        pytest.param(
            planned(WEAK),
            RangeRequest(start=RECEIVED - OVERLAP_BYTES, evidence=Evidence.OVERLAP, has_overlap=True),
            id="overlap",
        ),
        pytest.param(planned(WEAK, OVERLAP_BYTES), RangeRequest(), id="nothing beside the overlap"),
        pytest.param(planned(STRONG, 0), RangeRequest(), id="nothing received"),
        pytest.param(planned(Representation(total=0), 0), RangeRequest(), id="an empty part vouches for nothing"),
        pytest.param(planned(STRONG, SIZE), CompletePart(), id="complete"),
        pytest.param(planned(WEAK, SIZE), CompletePart(), id="complete, without validator"),
        pytest.param(planned(STRONG, SIZE + 1), RangeRequest(), id="too long"),
    ],
)
def test_the_missing_bytes_are_requested(
    request_: RangeRequest | CompletePart, expected: RangeRequest | CompletePart
) -> None:
    assert request_ == expected


@given(
    received=st.integers(0, 2**62),
    known=st.builds(
        Representation,
        total=st.none() | st.integers(0, 2**62),
        validator=st.none() | st.just('"v"'),
        has_digest=st.booleans(),
        is_strict=st.booleans(),
    ),
    after=st.none() | st.sampled_from(Evidence),
    allows_overlap=st.booleans(),
)
def test_no_request_resumes_without_evidence_or_past_the_end(
    received: int, known: Representation, after: Evidence | None, allows_overlap: bool
) -> None:
    got = plan_request(
        known, received=received, step=Step(after=after), is_redirected=False, allows_overlap=allows_overlap
    )
    match got:
        case CompletePart():
            assert received == known.total
        case RangeRequest(start=start, evidence=None):
            assert start == 0
        case RangeRequest(start=start, evidence=evidence):
            assert evidence in list_evidence(known, allows_overlap=allows_overlap)
            assert 0 < start <= received
            assert known.total is None or start < known.total
            assert evidence in {Evidence.IF_RANGE, Evidence.VALIDATOR} or start == received - OVERLAP_BYTES


@pytest.mark.parametrize(("known", "resumable"), [(STRONG, True), (WEAK, True), (Representation(), False)])
def test_a_part_file_is_resumable_under_any_evidence(known: Representation, resumable: bool) -> None:
    assert is_resumable(known, received=RECEIVED, allows_overlap=True) is resumable
    assert not is_resumable(known, received=0, allows_overlap=True)


@pytest.mark.parametrize(
    ("start", "evidence", "if_range"),
    [(1, None, None), (-1, Evidence.VALIDATOR, None), (1, Evidence.IF_RANGE, None), (1, Evidence.VALIDATOR, '"v"')],
)
def test_a_range_is_never_requested_without_evidence(
    start: int, evidence: Evidence | None, if_range: str | None
) -> None:
    with pytest.raises(ValueError, match="needs"):
        RangeRequest(start=start, evidence=evidence, if_range=if_range)


def test_the_weakest_evidence_is_recorded() -> None:
    assert weakest_evidence(None, ResumedBy.VALIDATOR) is ResumedBy.VALIDATOR
    assert weakest_evidence(ResumedBy.OVERLAP, ResumedBy.VALIDATOR) is ResumedBy.OVERLAP
    assert weakest_evidence(ResumedBy.DIGEST, ResumedBy.OVERLAP) is ResumedBy.OVERLAP
    assert weakest_evidence(None, None) is None
    assert [evidence.resumed_by for evidence in Evidence] == ["validator", "validator", "digest", "overlap"]


def test_what_an_attempt_has_learned_of_a_response_is_forgotten_after_it() -> None:
    step = Step(start_over=True, after=Evidence.OVERLAP, compare=True, is_single=True, has_gone_back=True)
    assert step.next() == Step(is_single=True, has_gone_back=True)


def test_the_range_fields_are_those_of_the_request() -> None:
    assert format_range_fields(RangeRequest()) == []
    request = RangeRequest(start=5, end=9, evidence=Evidence.IF_RANGE, if_range='"v"')
    assert format_range_fields(request) == [("Range", "bytes=5-8"), ("If-Range", '"v"')]
    assert format_range_fields(RangeRequest(start=5, evidence=Evidence.OVERLAP)) == [("Range", "bytes=5-")]


def test_a_condition_is_part_of_a_request_for_everything_alone() -> None:
    condition = Condition(entity_tag='W/"v"', last_modified=784_111_777)
    assert format_range_fields(RangeRequest(condition=condition)) == [
        ("If-None-Match", 'W/"v"'),
        ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ]
    with pytest.raises(ValueError, match="condition"):
        RangeRequest(start=1, evidence=Evidence.OVERLAP, condition=condition)
