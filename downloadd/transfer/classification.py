"""Classification of the head of a response: use it, restart, or fail with a code (RFC 9110, sections 14 and 15).

The invariant: bytes of two versions of a representation are never in one part file. Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.download import OriginDigest
from downloadd.errors import FileTooLargeError, NetworkError, RemoteError, RemoteFileNotFoundError
from downloadd.media_types import parse_media_type
from downloadd.transfer import fields
from downloadd.transfer.content_disposition import parse_content_disposition
from downloadd.transfer.response_head import ResponseHead

COMPLETE_STATUSES: Final = frozenset({200, 203})
"""Statuses whose content is the representation, also if a proxy has transformed it (203)."""

NOT_FOUND_STATUSES: Final = frozenset({404, 410})
"""Statuses of a missing file."""


class RangeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request for the representation, or for a range of it.

    A request for a range has `Range` and `If-Range: <validator>`; without a validator it is a `ValueError`.
    """

    start: int = 0
    """Offset of the first requested byte; 0 without an `end` requests everything, without Range."""
    end: int | None = None
    """Offset behind the last requested byte; None for all from `start` on."""
    validator: str | None = None
    """Strong validator of the bytes before `start`."""
    total: int | None = None
    """Complete length received with those bytes; None if unknown."""
    coding: str | None = None
    """Content coding of those bytes; None for none."""
    content_type: str | None = None
    """Content-Type received with those bytes."""
    has_overlap: bool = False
    """True if the range begins with bytes that were received before, so that they can be compared."""
    is_comparison: bool = False
    """True if the range is only compared with bytes that were received before: no validator is needed."""

    def __post_init__(self) -> None:
        if self.start < 0 or (self.is_range and self.validator is None and not self.is_comparison):
            raise ValueError("a range request needs a start of at least 0 and a validator")

    @property
    def is_range(self) -> bool:
        """True if a range is requested."""
        return self.start > 0 or self.end is not None


class UseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The content belongs into the part file."""

    start: int
    """Offset of its first byte: `RangeRequest.start`, or 0 when the part file must be cleared first."""
    length: int | None
    """Bytes of this content; None if it ends with the message."""
    total: int | None
    """Complete length of the representation; None if the origin does not say. Never None in a resumed download."""
    validator: str | None
    """Strong validator for a resume; None if the bytes cannot be resumed."""
    last_modified: int | None
    """Last-Modified as Unix time."""
    content_type: str | None
    """Content-Type as sent, if it is printable."""
    suggested_filename: str | None
    """File name in Content-Disposition; not safe."""
    coding: str | None = None
    """Content coding of the bytes; None for none."""
    origin_digests: tuple[OriginDigest, ...] = ()
    """Digests of the representation that the origin sent."""
    is_partial: bool = False
    """True if the content is the requested range, and not the representation."""


class AlreadyComplete(msgspec.Struct, frozen=True, kw_only=True):
    """The representation ends at `RangeRequest.start`: the part file is complete."""


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """The part file cannot be continued: send a new request without Range. Never the result of such a request.

    The received bytes stay until that request is answered with the representation.
    """

    reason: str


def classify(
    request: RangeRequest, head: ResponseHead, *, now: float, max_size: int
) -> UseResponse | AlreadyComplete | Restart:
    """Classify the final response to a request by its head.

    A content coding is kept though it was not requested: the saved bytes are the representation as sent. Such a
    response is resumed under an entity tag only, since a date does not distinguish two codings (RFC 9110, section
    8.8.3.3).

    Args:
        request: the request.
        head: the response, after redirects.
        now: Unix time.
        max_size: bytes of the representation; 0 for no limit.

    Raises:
        RemoteFileNotFoundError: 404 or 410.
        RemoteError: any other response without a usable representation, redirects included; transient if a range
            request was answered with content that contradicts the known properties of the representation.
        NetworkError: the transfer coding is unknown.
        FileTooLargeError: the representation exceeds `max_size`.
    """
    if head.status in NOT_FOUND_STATUSES:
        raise RemoteFileNotFoundError(head.status)
    if head.has_unknown_transfer_coding:
        # RFC 9112, section 6.1: only chunked may be sent, and the end of content in another coding is unknown.
        raise NetworkError("the origin used a transfer coding that was not requested", permanent=True)
    classification: UseResponse | AlreadyComplete | Restart
    if head.status in COMPLETE_STATUSES:
        classification = (
            _classify_ignored_range(request, head, now) if request.is_range else _classify_complete(head, now)
        )
    elif not request.is_range:
        raise _remote_error(head, now)
    elif head.status == 206:
        classification = _classify_partial(request, head, now)
    elif head.status == 416:
        classification = _classify_unsatisfied(request, head, now)
    elif head.status == 412:
        classification = Restart(reason="the origin has another version (412)")
    else:
        raise _remote_error(head, now)
    if (
        isinstance(classification, UseResponse)
        and max_size
        and classification.total is not None
        and classification.total > max_size
    ):
        raise FileTooLargeError(max_size)
    return classification


def classify_sample(request: RangeRequest, head: ResponseHead, *, now: float) -> str | None:
    """Return the strong validator of a response whose content may be compared with the part file.

    Return None if it may not: it is not the requested range of the same complete length, or it cannot be resumed.
    """
    content_range = fields.parse_content_range(head.content_range)
    if (
        head.status != 206
        or content_range is None
        or request.end is None
        or head.is_multipart
        or head.coding is not None
    ):
        return None
    found = (content_range.first_pos, content_range.last_pos, content_range.complete_length)
    if found != (request.start, request.end - 1, request.total):
        return None
    return head.strong_validator(now=now)


def _classify_complete(head: ResponseHead, now: float) -> UseResponse:
    part = fields.parse_content_range(head.content_range)
    if head.is_multipart or (part is not None and part.is_partial):
        raise RemoteError(head.status, "only a part of the file, by its Content-Range or type")
    try:
        length = head.length
    except ValueError as error:
        raise RemoteError(head.status, str(error)) from error
    validator = head.strong_validator(now=now)
    if validator is not None and head.coding is not None and not fields.is_entity_tag(validator):
        validator = None
    return UseResponse(
        start=0,
        length=length,
        total=length,
        validator=validator,
        coding=head.coding,
        last_modified=fields.parse_http_date(head.last_modified, now=now),
        content_type=head.shown_content_type,
        suggested_filename=parse_content_disposition(head.content_disposition),
        # The content of a complete response is the representation.
        origin_digests=(
            *_origin_digests(head),
            *_origin_digest("Content-Digest", fields.parse_digest_field(head.content_digest)),
        ),
    )


def _classify_ignored_range(request: RangeRequest, head: ResponseHead, now: float) -> UseResponse | Restart:
    """Classify a 200 to a range request.

    Its content is used in two cases only: it has the known complete length under the known validator, or it is
    exactly the requested range under the known validator by its Content-Range. Some origins send the requested range
    under status 200; if nothing shows which of the two was sent, only a request without Range is safe.

    Raises:
        RemoteError: transient; the content contradicts the known properties, and is not a new version.
    """
    is_same = _is_same_version(request, head, now)
    if head.is_multipart:
        return Restart(reason="the origin answered a single range with multipart/byteranges")
    if is_same is None and _has_other_media_type(request, head):
        # A captive portal, or a proxy that requires a login, answers in place of the origin.
        known, received = parse_media_type(request.content_type), head.media_type
        raise RemoteError(head.status, f"{received} in place of the rest of {known}", transient=True)
    if is_same is None:
        return Restart(reason="the origin ignored the range, and sent no strong validator")
    if not is_same:
        return Restart(reason="the origin has another version (another validator)")
    content_range = fields.parse_content_range(head.content_range)
    if content_range is not None and content_range.is_partial:
        last = (content_range.last_pos or 0) + 1
        if content_range.complete_length is None or last != (request.end or content_range.complete_length):
            return Restart(reason="the origin sent another range than the requested one under status 200")
        return _classify_partial(request, head, now)
    try:
        length = head.length
    except ValueError:
        return Restart(reason="the origin ignored the range, and sent an invalid Content-Length")
    if length is None or request.total is None or head.coding != request.coding:
        return Restart(reason="the origin ignored the range, and nothing shows that it sent the complete file")
    if length == request.total:
        return _classify_complete(head, now)
    if length == (request.end or request.total) - request.start:
        return Restart(reason="the origin sent a part of the file under status 200")
    contradiction = f"the file has {length} bytes instead of {request.total} under the same validator"
    raise RemoteError(head.status, contradiction, transient=True)


def _classify_partial(request: RangeRequest, head: ResponseHead, now: float) -> UseResponse | Restart:
    assert request.validator is not None  # noqa: S101 - narrows the type; a range request has a validator
    content_range = fields.parse_content_range(head.content_range)
    if content_range is None or content_range.first_pos is None or content_range.last_pos is None:
        # For example multipart/byteranges, which a single range does not request.
        return Restart(reason="the origin answered 206 without a single range")
    if content_range.first_pos != request.start:
        return Restart(reason=f"the origin sent bytes from {content_range.first_pos} on in place of {request.start}")
    if head.is_multipart:
        return Restart(reason="the origin answered 206 with multipart/byteranges")
    end = content_range.last_pos + 1
    total = content_range.complete_length if content_range.complete_length is not None else request.total
    if total is None:
        # An origin may send less than the requested range; without a length, missing bytes would not be noticed.
        return Restart(reason="the origin did not send the length of the file")
    if end > total or request.total not in {None, total}:
        return Restart(reason="the origin has another version (of another length)")
    try:
        length = head.length
    except ValueError:
        return Restart(reason="the origin answered 206 with an invalid Content-Length")
    if length not in {None, end - request.start}:
        return Restart(reason="the origin answered 206 with a length other than that of its range")
    mismatch = _version_mismatch(request.validator, head, now)
    if (
        mismatch is None
        and head.coding != request.coding
        and not (request.has_overlap and head.content_encoding is None)
    ):
        # Common origins use the same entity tag for every coding (Apache's bug 39727). A 206 may leave the coding out
        # (RFC 9110, section 15.3.7): then the overlap decides.
        mismatch = "the origin has another version (in another content coding)"
    if mismatch is None and fields.is_entity_tag(request.validator) and head.etag is None:
        # RFC 9110, section 15.3.7, requires it. Without it, an origin that ignores If-Range would not be noticed.
        mismatch = "the origin answered 206 without its entity tag"
    if mismatch is not None:
        return Restart(reason=mismatch)
    modified = head.last_modified
    if modified is None and not fields.is_entity_tag(request.validator):
        modified = request.validator
    return UseResponse(
        start=request.start,
        length=end - request.start,
        total=total,
        validator=request.validator,
        coding=request.coding,
        last_modified=fields.parse_http_date(modified, now=now),
        content_type=head.shown_content_type,
        suggested_filename=parse_content_disposition(head.content_disposition),
        origin_digests=_origin_digests(head),
        is_partial=True,
    )


def _classify_unsatisfied(request: RangeRequest, head: ResponseHead, now: float) -> AlreadyComplete | Restart:
    assert request.validator is not None  # noqa: S101 - narrows the type; a range request has a validator
    content_range = fields.parse_content_range(head.content_range)
    if content_range is None or content_range.first_pos is not None:
        return Restart(reason="the origin refused the range (416)")
    if content_range.complete_length != request.start or request.total not in {None, request.start}:
        return Restart(reason="the origin has another version (of another length)")
    # An error page need not have the validator of the representation; without a match of If-Range it would be a 200.
    mismatch = _version_mismatch(request.validator, head, now)
    return AlreadyComplete() if mismatch is None else Restart(reason=mismatch)


def _version_mismatch(validator: str, head: ResponseHead, now: float) -> str | None:
    """Return the reason why the response is of another version than `validator`, or None if nothing shows that."""
    if fields.is_entity_tag(validator):
        # The strong comparison (RFC 9110, section 8.8.3.2): a weak tag matches no tag.
        same = head.etag is None or fields.parse_entity_tag(head.etag) == validator
        return None if same else "the origin has another version (another entity tag)"
    if head.coding is not None:
        return "the origin applied a content coding"
    modified, known = (fields.parse_http_date(text, now=now) for text in (head.last_modified, validator))
    same = head.last_modified is None or modified == known
    return None if same else "the origin has another version (another Last-Modified)"


def _is_same_version(request: RangeRequest, head: ResponseHead, now: float) -> bool | None:
    """Return True if a strong validator shows the requested version, False for another one, None without a validator.

    An entity tag is compared with an entity tag only. A date does not distinguish content codings.
    """
    assert request.validator is not None  # noqa: S101 - narrows the type; a range request has a validator
    found = head.strong_validator(now=now)
    if fields.is_entity_tag(request.validator):
        return found == request.validator if found is not None and fields.is_entity_tag(found) else None
    modified, known = (fields.parse_http_date(text, now=now) for text in (head.last_modified, request.validator))
    if modified is not None and modified == known:
        return None if head.coding is not None else True
    return None if found is None else False


def _has_other_media_type(request: RangeRequest, head: ResponseHead) -> bool:
    """Return True if both media types are known and differ, without regard to parameters."""
    known, received = parse_media_type(request.content_type), head.media_type
    return known != "" and received not in {"", known}


def _remote_error(head: ResponseHead, now: float) -> RemoteError:
    """Return the error for a response without a usable representation."""
    match head.status:
        case 206:
            explanation = "a part of the file, though the complete file was requested"
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
    # RFC 6585, section 4, and RFC 9110, section 15.6.4, define it for these statuses only.
    retry_after = fields.parse_retry_after(head.retry_after, now=now) if head.status in {429, 503} else None
    return RemoteError(head.status, explanation, retry_after=retry_after)


def _origin_digests(head: ResponseHead) -> tuple[OriginDigest, ...]:
    """Return the digests of the representation, whatever range of it the message has (RFC 9530, section 3)."""
    return (
        *_origin_digest("Repr-Digest", fields.parse_digest_field(head.repr_digest)),
        *_origin_digest("Digest", fields.parse_legacy_digest(head.digest)),
    )


def _origin_digest(source: str, checksum: str | None) -> tuple[OriginDigest, ...]:
    return () if checksum is None else (OriginDigest(source=source, checksum=checksum),)
