"""Classification of a response by all that is known: use it, ask again, start over, or fail with a code.

The facts of a response are compared with the request and with the representation in the part file; the first row of a
table that matches them decides (RFC 9110, sections 13 to 15). Pure: no I/O and no clock.
"""

import msgspec

from downloadd.errors import FileTooLargeError, RemoteError, RemoteFileNotFoundError
from downloadd.transfer.representation import Representation
from downloadd.transfer.response_facts import NOT_FOUND_STATUSES, Facts, find_facts
from downloadd.transfer.response_head import ResponseHead
from downloadd.transfer.response_table import Outcome, Row, select_row
from downloadd.transfer.resume import Evidence, RangeRequest


class UseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The content belongs into the part file."""

    start: int
    """Offset of its first byte: `RangeRequest.start`, or 0 when a new part file must be begun."""
    length: int | None
    """Bytes of this content; None if it ends with the message."""
    found: Representation
    """The representation, as far as this response and the earlier ones say. A resumed one has a complete length."""
    content_type: str | None
    """Content-Type as sent, if it is printable."""
    suggested_filename: str | None
    """File name in Content-Disposition; not safe."""
    evidence: Evidence | None = None
    """Evidence that the content is the requested range; None if it is the representation."""

    @property
    def is_partial(self) -> bool:
        """True if the content is the requested range, and not the representation."""
        return self.evidence is not None

    @property
    def is_divisible(self) -> bool:
        """True if further connections can request parts of it: under a strong validator, of a known length."""
        is_proven = self.evidence in {None, Evidence.IF_RANGE, Evidence.VALIDATOR}
        return is_proven and self.found.total is not None and self.found.validator is not None


class AlreadyComplete(msgspec.Struct, frozen=True, kw_only=True):
    """The representation ends at `RangeRequest.start`: the part file is complete."""


class AskAgain(msgspec.Struct, frozen=True, kw_only=True):
    """The response does not have the evidence of the request: ask with the next weaker one."""

    reason: str


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """The part file cannot be continued: send a new request without Range. Never the result of such a request.

    The received bytes stay until that request is answered with the representation.
    """

    reason: str
    is_new_version: bool = False
    """True if the response shows that the representation has changed."""


class Unchanged(msgspec.Struct, frozen=True, kw_only=True):
    """The origin has the version of the condition still (304)."""

    entity_tag: str | None = None
    """Of the present version, if it is stated."""
    length: int | None = None
    """Content-Length as the representation would have it, if it is stated."""
    last_modified: int | None = None
    suggested_filename: str | None = None
    """File name in Content-Disposition; not safe."""


Classification = UseResponse | AlreadyComplete | AskAgain | Restart | Unchanged


def classify(request: RangeRequest, known: Representation, head: ResponseHead, *, max_size: int) -> Classification:
    """Classify the final response to a request by its head.

    A content coding is kept though it was not requested: the saved bytes are the representation as sent.

    Args:
        request: the request.
        known: the representation in the part file; if everything is requested, only a web page in place of another
            media type contradicts it.
        head: the response, after redirects.
        max_size: bytes of the representation; 0 for no limit.

    Raises:
        RemoteFileNotFoundError: 404 or 410.
        RemoteError: any other response without a usable representation, redirects included; transient if a range
            request was answered with content that contradicts the known properties of the representation.
        FileTooLargeError: the representation exceeds `max_size`.
    """
    if head.status in NOT_FOUND_STATUSES:
        raise RemoteFileNotFoundError(head.status)
    if head.status == 304 and request.condition is not None:
        return Unchanged(
            entity_tag=head.entity_tag,
            length=head.length,
            last_modified=head.last_modified,
            suggested_filename=head.suggested_filename,
        )
    facts = find_facts(request, known, head)
    row = select_row(facts)
    classification = _apply(row, facts, request, known, head)
    if isinstance(classification, UseResponse) and max_size and (classification.found.total or 0) > max_size:
        raise FileTooLargeError(max_size)
    return classification


def _apply(row: Row, facts: Facts, request: RangeRequest, known: Representation, head: ResponseHead) -> Classification:
    match row.outcome:
        case Outcome.USE_ALL:
            return _use_all(head)
        case Outcome.USE_RANGE:
            return _use_range(request, known, head)
        case Outcome.COMPLETE:
            return AlreadyComplete()
        case Outcome.ASK_AGAIN:
            return AskAgain(reason=row.reason)
        case Outcome.RESTART:
            return Restart(reason=row.reason)
        case Outcome.NEW_VERSION:
            return Restart(reason=row.reason, is_new_version=True)
        case Outcome.FAIL:
            raise RemoteError(head.status, _describe_contradiction(facts, known, head), transient=True)
        case Outcome.ERROR:
            raise _remote_error(head)


def _use_all(head: ResponseHead) -> UseResponse:
    return UseResponse(
        start=0,
        length=head.length,
        found=Representation(
            total=head.length,
            validator=head.validator,
            weak_tag=head.weak_tag,
            last_modified=head.last_modified,
            coding=head.coding,
            media_type=head.media_type,
            # The content of a complete response is the representation.
            origin_digests=(*head.representation_digests, *head.content_digests),
        ),
        content_type=head.content_type,
        suggested_filename=head.suggested_filename,
    )


def _use_range(request: RangeRequest, known: Representation, head: ResponseHead) -> UseResponse:
    """Return the use of a range, with what the responses together say of the representation.

    A 206 need not repeat the fields of the 200 before it (RFC 9110, section 15.3.7).
    """
    content_range = head.content_range
    assert content_range is not None and content_range.last_pos is not None  # noqa: S101, PT018 - of this answer
    digests = known.origin_digests
    return UseResponse(
        start=request.start,
        length=content_range.last_pos + 1 - request.start,
        found=msgspec.structs.replace(
            known,
            total=known.total if content_range.complete_length is None else content_range.complete_length,
            validator=known.validator or head.validator,
            weak_tag=known.weak_tag or head.weak_tag,
            last_modified=known.last_modified if head.last_modified is None else head.last_modified,
            origin_digests=(*digests, *(new for new in head.representation_digests if new not in digests)),
        ),
        content_type=head.content_type,
        suggested_filename=head.suggested_filename,
        evidence=request.evidence,
    )


def _describe_contradiction(facts: Facts, known: Representation, head: ResponseHead) -> str:
    if facts.has_other_media_type:
        # A captive portal, or a proxy that requires a login, answers in place of the origin.
        return f"{head.media_type} in place of {known.media_type}"
    return f"the file has {head.length} bytes instead of {known.total}"


def _remote_error(head: ResponseHead) -> RemoteError:
    """Return the error for a response without a usable representation."""
    match head.status:
        case 200 | 203:
            explanation = "only a part of the file, by its Content-Range or type"
        case 206:
            explanation = "a part of the file, though the complete file was requested"
        case 400 if head.is_encrypted:
            # nginx refuses the lack of a client certificate, or a wrong one, after the handshake.
            explanation = "if it demands a client certificate, set client_certificate for the host in [[hosts]]"
        case 416:
            explanation = "the range is refused, though none was requested"
        case 304:
            explanation = "not modified, though the request had no condition"
        case status if 300 <= status < 400:
            explanation = "a redirect without a usable location"
        case status if 200 <= status < 300:
            explanation = "success without the file"
        case _:
            explanation = ""
    return RemoteError(head.status, explanation, retry_after=head.retry_after)
