"""Facts of a response: what it is, compared with the request and with the representation in the part file.

Pure: no I/O and no clock.
"""

from enum import StrEnum
from typing import Final

import msgspec

from downloadd.media_types import HTML_TYPES
from downloadd.transfer.fields import parse_http_date
from downloadd.transfer.representation import Representation, have_other_digest
from downloadd.transfer.response_head import ResponseHead
from downloadd.transfer.resume import Evidence, RangeRequest

COMPLETE_STATUSES: Final = frozenset({200, 203})
"""Statuses whose content is the representation, also if a proxy has transformed it (203)."""

NOT_FOUND_STATUSES: Final = frozenset({404, 410})
"""Statuses of a missing file."""


class Answer(StrEnum):
    """Kind of a response, by its status and its framing fields."""

    COMPLETE = "200 or 203"
    """The representation, or something in its place."""
    RANGE = "206 with the range"
    """A single range that begins where the request does."""
    RANGE_UNDER_200 = "200 with the range"
    """The same under status 200, and exactly the requested range by its Content-Range."""
    OTHER_RANGE = "206 or 200 with another range"
    """A 206 or 200 with another range, several ranges, or a length other than that of its range."""
    END_REACHED = "416 at the end of the part file"
    """The representation ends where the request begins."""
    REFUSED_RANGE = "416"
    PRECONDITION_FAILED = "412"
    ERROR = "any other status"
    """Any other status; for a request for everything, a part of it too."""


class Version(StrEnum):
    """Comparison of the validators of a response with the known ones."""

    SAME = "the same strong validator"
    """The same strong validator."""
    UNCHANGED = "the same weak validators, or none known"
    """The same weak validators; or none was known, so that nothing can be compared."""
    MISSING = "a known validator is missing"
    """A validator is known, and the response has none to compare."""
    OTHER_WEAK = "another weak validator"
    """Another validator, and the response has no strong one."""
    OTHER = "another strong or malformed validator, or another digest"
    """Another strong validator, a malformed one, or another digest."""


class Length(StrEnum):
    """Comparison of the complete length with the known one."""

    SAME = "the same"
    REST = "that of the range"
    """A 200 with the length of the requested range."""
    OTHER = "another"
    UNKNOWN = "unknown"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that decide about a response."""

    evidence: Evidence | None
    """The evidence of the request; None for a request without Range."""
    answer: Answer
    version: Version
    length: Length
    has_other_coding: bool
    has_other_media_type: bool
    """True if both media types are known and differ, without regard to parameters.

    Of a response to a request for everything, only if it is a web page and the received bytes are not: what was
    received may itself be a page that the file replaces.
    """


def find_facts(request: RangeRequest, known: Representation, head: ResponseHead) -> Facts:
    """Return the facts of a response."""
    answer = _find_answer(request, head)
    return Facts(
        evidence=request.evidence if request.is_range else None,
        answer=answer,
        version=_compare_version(request, known, head),
        length=_compare_length(request, known, head, answer),
        # Common origins use the same entity tag for every coding (Apache's bug 39727). A 206 may leave the coding out
        # (RFC 9110, section 15.3.7): then the overlap decides.
        has_other_coding=head.coding != known.coding and not (request.has_overlap and not head.states_coding),
        has_other_media_type=_has_other_media_type(request, known, head),
    )


def _find_answer(request: RangeRequest, head: ResponseHead) -> Answer:
    if head.status in COMPLETE_STATUSES:
        return _find_complete_answer(request, head)
    if not request.is_range:
        return Answer.ERROR
    if head.status == 206:
        return Answer.RANGE if _is_consistent_range(request, head) else Answer.OTHER_RANGE
    if head.status == 416:
        return Answer.END_REACHED if _is_end_reached(request, head) else Answer.REFUSED_RANGE
    return Answer.PRECONDITION_FAILED if head.status == 412 else Answer.ERROR


def _find_complete_answer(request: RangeRequest, head: ResponseHead) -> Answer:
    content_range = head.content_range
    is_partial = content_range is not None and content_range.is_partial
    if not request.is_range:
        return Answer.ERROR if head.is_multipart or is_partial else Answer.COMPLETE
    if head.is_multipart:
        return Answer.OTHER_RANGE
    if content_range is None or not is_partial:
        return Answer.COMPLETE
    # Some origins send the requested range under status 200.
    last = (content_range.last_pos or 0) + 1
    is_exact = content_range.complete_length is not None and last == (request.end or content_range.complete_length)
    return Answer.RANGE_UNDER_200 if is_exact and _is_consistent_range(request, head) else Answer.OTHER_RANGE


def _is_consistent_range(request: RangeRequest, head: ResponseHead) -> bool:
    """Return True if a response has a single range from the requested position on, of the length that it states."""
    content_range = head.content_range
    if head.is_multipart or content_range is None or content_range.last_pos is None:
        return False
    if content_range.first_pos != request.start:
        return False
    return head.length in {None, content_range.last_pos + 1 - request.start}


def _is_end_reached(request: RangeRequest, head: ResponseHead) -> bool:
    content_range = head.content_range
    if content_range is None or content_range.first_pos is not None:
        return False
    return content_range.complete_length == request.start


def _compare_length(request: RangeRequest, known: Representation, head: ResponseHead, answer: Answer) -> Length:
    if answer in {Answer.RANGE, Answer.RANGE_UNDER_200, Answer.END_REACHED, Answer.REFUSED_RANGE}:
        return _compare_complete_length(known, head)
    if head.length is None or known.total is None:
        return Length.UNKNOWN
    if head.length == known.total:
        return Length.SAME
    is_rest = request.is_range and head.length == (request.end or known.total) - request.start
    return Length.REST if is_rest else Length.OTHER


def _compare_complete_length(known: Representation, head: ResponseHead) -> Length:
    content_range = head.content_range
    if content_range is None:
        return Length.UNKNOWN
    # An origin may send less than the requested range; without a length, missing bytes would not be noticed.
    total = known.total if content_range.complete_length is None else content_range.complete_length
    if total is None:
        return Length.UNKNOWN
    is_beyond = content_range.last_pos is not None and content_range.last_pos >= total
    return Length.SAME if known.total in {None, total} and not is_beyond else Length.OTHER


def _has_other_media_type(request: RangeRequest, known: Representation, head: ResponseHead) -> bool:
    if "" in {known.media_type, head.media_type} or head.media_type == known.media_type:
        return False
    return request.is_range or (head.media_type in HTML_TYPES and known.media_type not in HTML_TYPES)


def _compare_version(request: RangeRequest, known: Representation, head: ResponseHead) -> Version:
    if have_other_digest(known.origin_digests, head.representation_digests):
        return Version.OTHER
    if known.validator is None:
        return _compare_weak_validators(known, head)
    if known.has_strong_tag:
        return _compare_strong_tag(known.validator, head)
    return _compare_strong_date(request, known.validator, head)


def _compare_strong_tag(validator: str, head: ResponseHead) -> Version:
    # The strong comparison (RFC 9110, section 8.8.3.2): a weak tag matches no tag.
    if head.entity_tag == validator:
        return Version.SAME
    if head.has_malformed_tag:
        return Version.OTHER
    if head.entity_tag is None:
        return Version.MISSING
    if head.weak_tag is None:
        return Version.OTHER
    return Version.MISSING if _opaque_tag(head.weak_tag) == validator else Version.OTHER_WEAK


def _compare_strong_date(request: RangeRequest, validator: str, head: ResponseHead) -> Version:
    if head.has_malformed_date:
        return Version.OTHER
    if head.last_modified is None:
        # A 206 or a 416 is sent only if the precondition was met, and need not repeat the date.
        is_met = request.evidence is Evidence.IF_RANGE and head.status in {206, 416}
        return Version.SAME if is_met and head.entity_tag is None else Version.MISSING
    if head.last_modified == parse_http_date(validator, now=head.last_modified):
        return Version.SAME
    return Version.OTHER_WEAK if head.validator is None else Version.OTHER


def _compare_weak_validators(known: Representation, head: ResponseHead) -> Version:
    if known.weak_tag is not None and head.entity_tag is not None:
        if _opaque_tag(head.entity_tag) != _opaque_tag(known.weak_tag):
            return Version.OTHER_WEAK if head.validator is None else Version.OTHER
    elif known.weak_tag is not None:
        return Version.OTHER if head.has_malformed_tag else Version.MISSING
    if known.last_modified is not None and head.last_modified is not None:
        if head.last_modified != known.last_modified:
            return Version.OTHER_WEAK if head.validator is None else Version.OTHER
    elif known.last_modified is not None and known.weak_tag is None:
        return Version.OTHER if head.has_malformed_date else Version.MISSING
    return Version.UNCHANGED


def _opaque_tag(entity_tag: str) -> str:
    return entity_tag.removeprefix("W/")
