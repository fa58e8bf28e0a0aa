"""Resume of a part file: the evidence that there is, and the request that asks for what is missing.

Evidence is tried from the strongest to the weakest. Pure: no I/O and no clock.
"""

from email.utils import formatdate
from enum import StrEnum
from typing import Final

import msgspec

from downloadd.download import Condition, ResumedBy
from downloadd.transfer.fields import format_range
from downloadd.transfer.representation import Representation

OVERLAP_BYTES: Final = 64 * 1024
"""Bytes at the end of the part file that are requested again and compared."""


class Evidence(StrEnum):
    """Evidence that a range belongs to the bytes in the part file; each kind makes another request."""

    IF_RANGE = "if-range"
    """The strong validator, as a precondition of the request."""
    VALIDATOR = "validator"
    """The strong validator, compared with the one of the response to a request without precondition."""
    DIGEST = "digest"
    """A digest, verified when the file is complete."""
    OVERLAP = "overlap"
    """Bytes that are received again and compared, at the end of the part file and further back."""

    @property
    def resumed_by(self) -> ResumedBy:
        """The name of the evidence in the history."""
        return _RESUMED_BY[self]


_RESUMED_BY: Final = {
    Evidence.IF_RANGE: ResumedBy.VALIDATOR,
    Evidence.VALIDATOR: ResumedBy.VALIDATOR,
    Evidence.DIGEST: ResumedBy.DIGEST,
    Evidence.OVERLAP: ResumedBy.OVERLAP,
}


class RangeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request for the representation, or for a range of it."""

    start: int = 0
    """Offset of the first requested byte; 0 without an `end` requests everything, without Range."""
    end: int | None = None
    """Offset behind the last requested byte; None for all from `start` on."""
    evidence: Evidence | None = None
    """The evidence for a range; None if everything is requested."""
    if_range: str | None = None
    """The strong validator that `If-Range` sends; None for no precondition."""
    has_overlap: bool = False
    """True if the range begins with bytes that were received before, so that they can be compared."""
    condition: Condition | None = None
    """Validators of an earlier download; not for a range. The origin answers 304 if it has the same version still."""

    def __post_init__(self) -> None:
        if self.start < 0 or (self.is_range and self.evidence is None):
            raise ValueError("a range request needs a start of at least 0 and evidence")
        if self.is_range and self.condition is not None:
            raise ValueError("a request for a range has no other condition")
        if (self.evidence is Evidence.IF_RANGE) is (self.if_range is None):
            raise ValueError("a precondition needs a validator")

    @property
    def is_range(self) -> bool:
        """True if a range is requested."""
        return self.start > 0 or self.end is not None


def format_range_fields(request: RangeRequest) -> list[tuple[str, str]]:
    """Return Range and If-Range of a request, or the fields of its condition if everything is requested."""
    if not request.is_range:
        return [] if request.condition is None else _format_condition(request.condition)
    fields = [("Range", format_range(request.start, request.end))]
    return fields if request.if_range is None else [*fields, ("If-Range", request.if_range)]


def _format_condition(condition: Condition) -> list[tuple[str, str]]:
    fields = []
    if condition.entity_tag is not None:
        fields.append(("If-None-Match", condition.entity_tag))
    if condition.last_modified is not None:
        # Ignored by origins that know If-None-Match (RFC 9110, section 13.1.3).
        fields.append(("If-Modified-Since", formatdate(condition.last_modified, usegmt=True)))
    return fields


class CompletePart(msgspec.Struct, frozen=True, kw_only=True):
    """The part file is complete: no request is needed."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Findings from the responses of an attempt, for its next request."""

    start_over: bool = False
    """Request everything; the received bytes stay until that request is answered."""
    after: Evidence | None = None
    """Evidence that the origin did not give: use weaker evidence."""
    compare: bool = False
    """Compare an overlap too: a validator does not identify the bytes of another URL."""
    is_single: bool = False
    """Use one connection."""
    has_gone_back: bool = False
    """The attempt has gone back to a superseded part file, and does not do so again."""

    def next(self) -> "Step":
        """Return the step after content was received, or the part file was changed."""
        return Step(is_single=self.is_single, has_gone_back=self.has_gone_back)


def list_evidence(known: Representation, *, allows_overlap: bool) -> list[Evidence]:
    """Return the kinds of evidence under which the bytes of a representation can be continued, strongest first.

    `allows_overlap` is False for `downloads.resume = "strict"`.
    """
    if not known.has_ranges:
        return []
    evidence = [Evidence.IF_RANGE, Evidence.VALIDATOR] if known.validator is not None else []
    if known.total is not None and not known.is_strict:
        # Without the complete length, another version and missing bytes would not be noticed.
        if known.has_digest:
            evidence.append(Evidence.DIGEST)
        if allows_overlap:
            evidence.append(Evidence.OVERLAP)
    return evidence


def is_resumable(known: Representation, *, received: int, allows_overlap: bool) -> bool:
    """Return True if a later attempt can continue the bytes of a part file."""
    request = plan_request(known, received=received, step=Step(), is_redirected=False, allows_overlap=allows_overlap)
    return isinstance(request, CompletePart) or request.is_range


def plan_request(
    known: Representation, *, received: int, step: Step, is_redirected: bool, allows_overlap: bool
) -> RangeRequest | CompletePart:
    """Return the request that resumes or starts over, or `CompletePart` if none is needed.

    An empty part file is not complete, even if the representation is empty; one longer than the representation is of
    another version.

    Args:
        known: the representation in the part file.
        received: bytes in the part file.
        step: what the attempt has learned.
        is_redirected: True if the bytes are those of a URL that redirects led to, which may lead elsewhere now.
        allows_overlap: False for `downloads.resume = "strict"`.
    """
    if received > 0 and received == known.total:
        return CompletePart()
    if step.start_over or received <= 0 or (known.total is not None and received > known.total):
        return RangeRequest()
    evidence = _next_evidence(known, after=step.after, allows_overlap=allows_overlap)
    if evidence is None:
        return RangeRequest()
    is_compared = step.compare or is_redirected or known.coding is not None
    overlap = OVERLAP_BYTES if is_compared or evidence in {Evidence.DIGEST, Evidence.OVERLAP} else 0
    if received <= overlap:
        return RangeRequest()
    return RangeRequest(
        start=received - overlap,
        evidence=evidence,
        if_range=known.validator if evidence is Evidence.IF_RANGE else None,
        has_overlap=overlap > 0,
    )


def _next_evidence(known: Representation, *, after: Evidence | None, allows_overlap: bool) -> Evidence | None:
    available = list_evidence(known, allows_overlap=allows_overlap)
    strength = list(Evidence)
    first = 0 if after is None else strength.index(after) + 1
    return next((evidence for evidence in available if evidence in strength[first:]), None)


def weakest_evidence(first: ResumedBy | None, second: ResumedBy | None) -> ResumedBy | None:
    """Return the weaker of two kinds of evidence; None is a transfer that was not resumed."""
    strength = [None, *ResumedBy]
    return max(first, second, key=strength.index)
