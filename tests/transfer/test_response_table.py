"""Table of responses: every combination of facts has a row, and every row decides about a real response."""

import itertools
from collections import Counter

import pytest
from multidict import CIMultiDict

from downloadd.transfer.representation import Representation
from downloadd.transfer.response_facts import Answer, Facts, Length, Version, find_facts
from downloadd.transfer.response_head import ResponseHead, parse_response_head
from downloadd.transfer.response_table import ROWS, Outcome, select_row
from downloadd.transfer.resume import Evidence, RangeRequest

NOW = 1_700_000_000.0
TAG = '"v1"'
STRONG = Representation(total=1000, validator=TAG, media_type="application/zip")
WEAK = Representation(total=1000, weak_tag='W/"v1"')
EVERYTHING = RangeRequest()
IF_RANGE = RangeRequest(start=400, evidence=Evidence.IF_RANGE, if_range=TAG)
BY_VALIDATOR = RangeRequest(start=400, evidence=Evidence.VALIDATOR)
BY_DIGEST = RangeRequest(start=400, evidence=Evidence.DIGEST, has_overlap=True)
BY_OVERLAP = RangeRequest(start=400, evidence=Evidence.OVERLAP, has_overlap=True)


def response(status: int, **fields: str) -> ResponseHead:
    lines = CIMultiDict((name.replace("_", "-"), value) for name, value in fields.items())
    return parse_response_head(status, lines, now=NOW)


def whole(**fields: str) -> ResponseHead:
    return response(200, **{"Content_Length": "1000", **fields})


def rest(**fields: str) -> ResponseHead:
    return response(206, **{"Content_Range": "bytes 400-999/1000", **fields})


EXAMPLES: dict[str, tuple[RangeRequest, Representation, ResponseHead, Outcome]] = {
    "a page in place of everything": (EVERYTHING, STRONG, whole(Content_Type="text/html"), Outcome.FAIL),
    "everything": (EVERYTHING, Representation(), whole(), Outcome.USE_ALL),
    "everything, refused": (EVERYTHING, Representation(), rest(), Outcome.ERROR),
    "an error": (IF_RANGE, STRONG, response(503), Outcome.ERROR),
    "precondition failed": (IF_RANGE, STRONG, response(412), Outcome.NEW_VERSION),
    "the end was reached": (
        IF_RANGE,
        Representation(validator=TAG),
        response(416, Content_Range="bytes */400"),
        Outcome.COMPLETE,
    ),
    "range refused": (IF_RANGE, STRONG, response(416, Content_Range="bytes */400"), Outcome.RESTART),
    "another range": (IF_RANGE, STRONG, rest(Content_Range="bytes 0-999/1000"), Outcome.RESTART),
    "another media type under 200": (IF_RANGE, STRONG, whole(Content_Type="text/html"), Outcome.FAIL),
    "another coding": (IF_RANGE, STRONG, rest(ETag=TAG, Content_Encoding="gzip"), Outcome.RESTART),
    "another length without a validator under 200": (IF_RANGE, STRONG, whole(Content_Length="94"), Outcome.FAIL),
    "another version under 200": (IF_RANGE, STRONG, whole(ETag='"v2"'), Outcome.NEW_VERSION),
    "a version that is not proven under 200": (BY_OVERLAP, WEAK, whole(), Outcome.RESTART),
    "another length under the same validator": (IF_RANGE, STRONG, whole(ETag=TAG, Content_Length="94"), Outcome.FAIL),
    "an unclear length under 200": (IF_RANGE, STRONG, whole(ETag=TAG, Content_Length="600"), Outcome.RESTART),
    "a precondition that is not supported": (IF_RANGE, STRONG, whole(ETag=TAG), Outcome.ASK_AGAIN),
    "ranges that are not supported": (BY_VALIDATOR, STRONG, whole(ETag=TAG), Outcome.USE_ALL),
    "a range of another length": (BY_OVERLAP, WEAK, rest(Content_Range="bytes 400-999/1001"), Outcome.NEW_VERSION),
    "a range of unknown length": (
        IF_RANGE,
        Representation(validator=TAG),
        rest(ETag=TAG, Content_Range="bytes 400-999/*"),
        Outcome.RESTART,
    ),
    "a range of another version": (IF_RANGE, STRONG, rest(ETag='"v2"'), Outcome.NEW_VERSION),
    "a range under the same validator": (IF_RANGE, STRONG, rest(ETag=TAG), Outcome.USE_RANGE),
    "a range that a digest verifies": (BY_DIGEST, WEAK, rest(), Outcome.USE_RANGE),
    "a range under another weak validator": (BY_OVERLAP, WEAK, rest(ETag='W/"v2"'), Outcome.NEW_VERSION),
    "a range that is compared": (BY_OVERLAP, WEAK, rest(ETag='W/"v1"'), Outcome.USE_RANGE),
    "a range without the validator": (IF_RANGE, STRONG, rest(), Outcome.ASK_AGAIN),
}
"""A request, what is known, a response, and the outcome, for each row."""


def test_every_row_has_an_example_and_a_name_of_its_own() -> None:
    assert [row.name for row in ROWS] == list(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_real_response_reaches_the_row(name: str) -> None:
    request, known, head, outcome = EXAMPLES[name]
    row = select_row(find_facts(request, known, head))
    assert (row.name, row.outcome) == (name, outcome)
    assert bool(row.reason) is (outcome not in {Outcome.USE_ALL, Outcome.USE_RANGE, Outcome.COMPLETE, Outcome.ERROR})


ALL_FACTS = [
    Facts(
        evidence=evidence,
        answer=answer,
        version=version,
        length=length,
        has_other_coding=other_coding,
        has_other_media_type=other_type,
    )
    for evidence, answer, version, length, other_coding, other_type in itertools.product(
        [None, *Evidence], Answer, Version, Length, [False, True], [False, True]
    )
]


def test_every_combination_of_facts_has_a_row_and_every_row_is_needed() -> None:
    rows = Counter(select_row(facts).name for facts in ALL_FACTS)
    assert set(rows) == {row.name for row in ROWS}


def test_bytes_are_continued_only_without_a_contradiction() -> None:
    for facts in ALL_FACTS:
        check_invariants(facts)


def check_invariants(facts: Facts) -> None:
    if select_row(facts).outcome is Outcome.USE_RANGE:
        assert facts.answer in {Answer.RANGE, Answer.RANGE_UNDER_200}
        assert facts.length is Length.SAME
        assert not facts.has_other_coding
        assert facts.version is not Version.OTHER
        assert facts.evidence is not None
        if facts.evidence in {Evidence.IF_RANGE, Evidence.VALIDATOR}:
            assert facts.version is Version.SAME
        if facts.evidence is Evidence.OVERLAP:
            assert facts.version is not Version.OTHER_WEAK
        if facts.answer is Answer.RANGE_UNDER_200:
            assert facts.version is Version.SAME
    if select_row(facts).outcome is Outcome.USE_ALL:
        assert facts.answer is Answer.COMPLETE
