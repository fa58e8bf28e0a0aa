"""Table that decides about a response by its facts; `docs/reference/resume.md` is made from it.

The invariant: a part file never has bytes that contradict a known length, validator, digest or coding. Pure: no I/O and
no clock.
"""

from enum import StrEnum
from typing import Final

import msgspec

from downloadd.transfer.response_facts import Answer, Facts, Length, Version
from downloadd.transfer.resume import Evidence


class Outcome(StrEnum):
    """Decision about a response."""

    USE_ALL = "use all"
    """The content is the representation: use it from the first byte on; received bytes are superseded."""
    USE_RANGE = "continue"
    """The content continues the part file."""
    COMPLETE = "complete"
    """The part file has every byte."""
    ASK_AGAIN = "ask again"
    """Ask again with the next weaker evidence; start over if there is none."""
    RESTART = "start over"
    """Ask again for everything; received bytes stay until that request is answered."""
    NEW_VERSION = "start over, another version"
    """The same, and the response shows that the representation has changed."""
    FAIL = "fail, retry"
    """Fail with a transient error; received bytes stay."""
    ERROR = "fail"
    """Fail with the error of the status."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Row of the table; None stands for every value of a fact."""

    name: str
    outcome: Outcome
    reason: str = ""
    evidence: frozenset[Evidence | None] | None = None
    answer: frozenset[Answer] | None = None
    version: frozenset[Version] | None = None
    length: frozenset[Length] | None = None
    has_other_coding: bool | None = None
    has_other_media_type: bool | None = None

    def matches(self, facts: Facts) -> bool:
        """Return True if the row applies to these facts."""
        return (
            (self.evidence is None or facts.evidence in self.evidence)
            and (self.answer is None or facts.answer in self.answer)
            and (self.version is None or facts.version in self.version)
            and (self.length is None or facts.length in self.length)
            and self.has_other_coding in {None, facts.has_other_coding}
            and self.has_other_media_type in {None, facts.has_other_media_type}
        )


def select_row(facts: Facts) -> Row:
    """Return the first row that applies to these facts."""
    return next(row for row in ROWS if row.matches(facts))


_ALL: Final = frozenset[Evidence | None]({None})
_COMPLETE: Final = frozenset({Answer.COMPLETE})
_UNDER_200: Final = frozenset({Answer.COMPLETE, Answer.RANGE_UNDER_200})
_NOT_STRONG: Final = frozenset({Version.UNCHANGED, Version.MISSING, Version.OTHER_WEAK})
_SAME: Final = frozenset({Version.SAME})
_MISSING: Final = frozenset({Version.MISSING})
_OTHER: Final = frozenset({Version.OTHER})

ROWS: Final = (
    Row(
        # A captive portal answers a request for everything too, as the first one after a break may be.
        name="a page in place of everything",
        evidence=_ALL,
        answer=_COMPLETE,
        version=_NOT_STRONG,
        has_other_media_type=True,
        outcome=Outcome.FAIL,
        reason="a web page in place of a file of another media type, and no strong validator of a new version",
    ),
    Row(name="everything", evidence=_ALL, answer=_COMPLETE, outcome=Outcome.USE_ALL),
    Row(name="everything, refused", evidence=_ALL, outcome=Outcome.ERROR),
    Row(name="an error", answer=frozenset({Answer.ERROR}), outcome=Outcome.ERROR),
    Row(
        name="precondition failed",
        answer=frozenset({Answer.PRECONDITION_FAILED}),
        outcome=Outcome.NEW_VERSION,
        reason="the origin has another version (412)",
    ),
    Row(
        # An error page need not have the validator of the representation: without a match of If-Range, a 200 is sent.
        name="the end was reached",
        answer=frozenset({Answer.END_REACHED}),
        evidence=frozenset({Evidence.IF_RANGE}),
        version=_SAME | _MISSING,
        length=frozenset({Length.SAME}),
        outcome=Outcome.COMPLETE,
    ),
    Row(
        name="range refused",
        answer=frozenset({Answer.END_REACHED, Answer.REFUSED_RANGE}),
        outcome=Outcome.RESTART,
        reason="the origin refused the range, or has another length (416)",
    ),
    Row(
        name="another range",
        answer=frozenset({Answer.OTHER_RANGE}),
        outcome=Outcome.RESTART,
        reason="the origin did not send the single range that was requested",
    ),
    Row(
        # A captive portal, or a proxy that requires a login.
        name="another media type under 200",
        answer=_UNDER_200,
        version=_NOT_STRONG,
        has_other_media_type=True,
        outcome=Outcome.FAIL,
        reason="another media type, and no strong validator of a new version",
    ),
    Row(
        name="another coding",
        has_other_coding=True,
        outcome=Outcome.RESTART,
        reason="the origin has another version (in another content coding)",
    ),
    Row(
        name="another length without a validator under 200",
        answer=_COMPLETE,
        version=_MISSING,
        length=frozenset({Length.OTHER}),
        outcome=Outcome.FAIL,
        reason="another length, and no validator of a new version",
    ),
    Row(
        name="another version under 200",
        answer=_UNDER_200,
        version=_OTHER,
        outcome=Outcome.NEW_VERSION,
        reason="the origin has another version (another validator)",
    ),
    Row(
        name="a version that is not proven under 200",
        answer=_UNDER_200,
        version=_NOT_STRONG,
        outcome=Outcome.RESTART,
        reason="the origin ignored the range, and sent no strong validator",
    ),
    Row(
        name="another length under the same validator",
        answer=_COMPLETE,
        version=_SAME,
        length=frozenset({Length.OTHER}),
        outcome=Outcome.FAIL,
        reason="another length under the same validator",
    ),
    Row(
        # Some origins send the requested range under status 200; only a request without Range is safe.
        name="an unclear length under 200",
        answer=_COMPLETE,
        version=_SAME,
        length=frozenset({Length.REST, Length.UNKNOWN}),
        outcome=Outcome.RESTART,
        reason="nothing shows if the origin sent the complete file or a part of it",
    ),
    Row(
        name="a precondition that is not supported",
        answer=_COMPLETE,
        evidence=frozenset({Evidence.IF_RANGE}),
        version=_SAME,
        length=frozenset({Length.SAME}),
        outcome=Outcome.ASK_AGAIN,
        reason="the origin sends no range for a precondition",
    ),
    Row(
        name="ranges that are not supported",
        answer=_COMPLETE,
        version=_SAME,
        length=frozenset({Length.SAME}),
        outcome=Outcome.USE_ALL,
    ),
    Row(
        name="a range of another length",
        length=frozenset({Length.OTHER, Length.REST}),
        outcome=Outcome.NEW_VERSION,
        reason="the origin has another version (of another length)",
    ),
    Row(
        # An origin may send less than the requested range; without a length, missing bytes would not be noticed.
        name="a range of unknown length",
        length=frozenset({Length.UNKNOWN}),
        outcome=Outcome.RESTART,
        reason="the origin did not send the length of the file",
    ),
    Row(
        name="a range of another version",
        version=_OTHER,
        outcome=Outcome.NEW_VERSION,
        reason="the origin has another version (another validator or digest)",
    ),
    Row(name="a range under the same validator", version=_SAME, outcome=Outcome.USE_RANGE),
    Row(
        name="a range that a digest verifies",
        evidence=frozenset({Evidence.DIGEST}),
        outcome=Outcome.USE_RANGE,
    ),
    Row(
        name="a range under another weak validator",
        version=frozenset({Version.OTHER_WEAK}),
        outcome=Outcome.NEW_VERSION,
        reason="the origin has another version (another weak validator)",
    ),
    Row(
        name="a range that is compared",
        evidence=frozenset({Evidence.OVERLAP}),
        outcome=Outcome.USE_RANGE,
    ),
    Row(
        # RFC 9110, section 15.3.7, requires the validator. Without it, an origin that ignores If-Range would not be
        # noticed.
        name="a range without the validator",
        outcome=Outcome.ASK_AGAIN,
        reason="the origin sent a range without its validator",
    ),
)
"""The rows in the order of their precedence; the last one applies to everything else."""
