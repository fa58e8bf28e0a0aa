"""Classification of the head of a response: use it, restart, or fail with a code.

The judgement of a response's head (RFC 9110, sections 14 and 15). Its one law: bytes of two versions of a
representation never meet in one part file. Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.download import OriginDigest
from downloadd.errors import FileTooLargeError, NetworkError, RemoteError, RemoteFileNotFoundError
from downloadd.transfer import fields

COMPLETE_STATUSES: Final = frozenset({200, 203})
"""Statuses whose content is the representation; a proxy that transformed it (203) is the only origin there is."""

NOT_FOUND_STATUSES: Final = frozenset({404, 410})


class RangeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for: the representation, or a range of it.

    A request for a range carries `Range` and `If-Range: <validator>`; one without a validator is a `ValueError`.
    """

    start: int = 0
    """The first byte that is wanted; 0 without an `end` asks for everything, without Range."""
    end: int | None = None
    """The first byte that is not wanted; None: all from `start` on are."""
    validator: str | None = None
    """The strong validator of the bytes before `start`."""
    total: int | None = None
    """The complete length that came with those bytes, if it did."""
    coding: str | None = None
    """The content coding that they came in."""
    content_type: str | None = None
    """The media type that they came with."""
    has_overlap: bool = False
    """Whether it begins with bytes that are there already, so that they can be compared."""
    is_comparison: bool = False
    """Whether the range is only compared with bytes that are there already, so that no validator is needed."""

    def __post_init__(self) -> None:
        if self.start < 0 or (self.is_range and self.validator is None and not self.is_comparison):
            raise ValueError("a range is asked for from a positive start, under a validator")

    @property
    def is_range(self) -> bool:
        """Whether a range is asked for."""
        return self.start > 0 or self.end is not None


class ResponseHead(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a response and the fields that matter, as they came."""

    status: int
    content_length: str | None = None
    content_range: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    date: str | None = None
    retry_after: str | None = None
    transfer_encoding: str | None = None
    content_digest: str | None = None
    repr_digest: str | None = None
    digest: str | None = None


class UseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The content is taken."""

    start: int
    """Where its first byte belongs: `RangeRequest.start`, or 0 when the part file has to be cleared first."""
    length: int | None
    """Bytes of this content; None when only the end of the message tells."""
    total: int | None
    """The complete length of the representation; None when the origin does not say. Never None in a resumed one."""
    validator: str | None
    """What the bytes can be resumed under; None: not at all."""
    last_modified: int | None
    """Unix time."""
    content_type: str | None
    suggested_filename: str | None
    """The file name in Content-Disposition; not safe."""
    coding: str | None = None
    """The content coding that the bytes are in; None: as they are."""
    origin_digests: tuple[OriginDigest, ...] = ()
    """What the origin says of the representation's bytes."""
    is_partial: bool = False
    """The content is the range that was asked for, and not the representation."""


class AlreadyComplete(msgspec.Struct, frozen=True, kw_only=True):
    """There is nothing after `RangeRequest.start`: the part file is whole."""


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """The part file cannot be continued: make a new request without Range. Never the answer to such a request.

    What was received stays until that request is answered with the representation.
    """

    reason: str


def classify(
    request: RangeRequest, head: ResponseHead, *, now: float, max_size: int
) -> UseResponse | AlreadyComplete | Restart:
    """What becomes of a download, given what it asked for and the head of the final response.

    A content coding that was not asked for is kept: the saved bytes are the representation as sent. Such a response is
    resumed under an entity tag only, since a date does not tell two codings apart (RFC 9110, section 8.8.3.3).

    Args:
        request: the request.
        head: the response, after redirects.
        now: Unix time.
        max_size: bytes of the whole representation; 0 for no limit.

    Raises:
        RemoteFileNotFoundError: 404 or 410.
        RemoteError: any other response that has no usable representation, redirects included; a transient one if a
            request for a range was answered with content that contradicts what is known of the representation.
        NetworkError: its transfer coding is not known.
        FileTooLargeError: the representation is over `max_size`.
    """
    if head.status in NOT_FOUND_STATUSES:
        raise RemoteFileNotFoundError(head.status)
    if head.transfer_encoding is not None and not _is_chunked(head.transfer_encoding):
        # RFC 9112, section 6.1: none but this one was asked for, and what is coded otherwise has no end that is known.
        raise NetworkError("the origin used a transfer coding that was not asked for", permanent=True)
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
    """The strong validator of a response whose content may be compared with what is in a part file.

    None when it may not: it is not the range that was asked for, of the same complete length, or cannot be resumed.
    """
    content_range = fields.parse_content_range(head.content_range)
    if (
        head.status != 206
        or content_range is None
        or request.end is None
        or _is_multipart(head)
        or _has_content_coding(head)
    ):
        return None
    found = (content_range.first_pos, content_range.last_pos, content_range.complete_length)
    if found != (request.start, request.end - 1, request.total):
        return None
    return fields.strong_validator(etag=head.etag, last_modified=head.last_modified, date=head.date, now=now)


def _classify_complete(head: ResponseHead, now: float) -> UseResponse:
    part = fields.parse_content_range(head.content_range)
    if _is_multipart(head) or (part is not None and part.is_partial):
        raise RemoteError(head.status, "a part of the file, by its own word")
    try:
        length = _content_length(head)
    except ValueError as error:
        raise RemoteError(head.status, str(error)) from error
    validator = fields.strong_validator(etag=head.etag, last_modified=head.last_modified, date=head.date, now=now)
    if validator is not None and _has_content_coding(head) and not fields.is_entity_tag(validator):
        validator = None
    return UseResponse(
        start=0,
        length=length,
        total=length,
        validator=validator,
        coding=_content_coding(head),
        last_modified=fields.parse_http_date(head.last_modified, now=now),
        content_type=_content_type(head),
        suggested_filename=fields.parse_content_disposition(head.content_disposition),
        # The content of a whole response is the representation.
        origin_digests=(
            *_origin_digests(head),
            *_origin_digest("Content-Digest", fields.parse_digest_field(head.content_digest)),
        ),
    )


def _classify_ignored_range(request: RangeRequest, head: ResponseHead, now: float) -> UseResponse | Restart:
    """Judge a 200 to a request for a range.

    Its content is taken in two cases only: it has the known complete length under the known validator, or it is
    exactly the requested range under the known validator by its own Content-Range. Some origins send the requested
    range under status 200; if nothing shows which of the two came, only a request without Range is safe.

    Raises:
        RemoteError: transient; the content contradicts what is known of the representation, and is not a new version.
    """
    is_same = _is_same_version(request, head, now)
    if _is_multipart(head):
        return Restart(reason="the origin answered a single range with multipart/byteranges")
    if is_same is None and _has_other_media_type(request, head):
        # A captive portal, or a proxy that wants a login, answers in the origin's place.
        known, came = _media_type(request.content_type), _media_type(head.content_type)
        raise RemoteError(head.status, f"{came} in place of the rest of {known}", transient=True)
    if is_same is None:
        return Restart(reason="the origin ignored the range, and does not say which version it has")
    if not is_same:
        return Restart(reason="the origin has another version (another validator)")
    content_range = fields.parse_content_range(head.content_range)
    if content_range is not None and content_range.is_partial:
        last = (content_range.last_pos or 0) + 1
        if content_range.complete_length is None or last != (request.end or content_range.complete_length):
            return Restart(reason="the origin sent another range than was asked for, under the status of the whole")
        return _classify_partial(request, head, now)
    try:
        length = _content_length(head)
    except ValueError:
        return Restart(reason="the origin ignored the range, and sent an invalid Content-Length")
    if length is None or request.total is None or _content_coding(head) != request.coding:
        return Restart(reason="the origin ignored the range, and nothing shows that it sent the whole file")
    if length == request.total:
        return _classify_complete(head, now)
    if length == (request.end or request.total) - request.start:
        return Restart(reason="the origin sent a part of the file under the status of the whole")
    contradiction = f"the file has {length} bytes instead of {request.total} under the same validator"
    raise RemoteError(head.status, contradiction, transient=True)


def _classify_partial(request: RangeRequest, head: ResponseHead, now: float) -> UseResponse | Restart:
    assert request.validator is not None  # noqa: S101 - narrows the type; a range is asked for under a validator
    content_range = fields.parse_content_range(head.content_range)
    if content_range is None or content_range.first_pos is None or content_range.last_pos is None:
        # Among them multipart/byteranges, which nobody asks for with a single range.
        return Restart(reason="the origin answered 206 without a single range")
    if content_range.first_pos != request.start:
        return Restart(reason=f"the origin sent bytes from {content_range.first_pos}, asked was {request.start}")
    if _is_multipart(head):
        return Restart(reason="the origin answered 206 with multipart/byteranges")
    end = content_range.last_pos + 1
    total = content_range.complete_length if content_range.complete_length is not None else request.total
    if total is None:
        # An origin may send less than the range it was asked for; then nothing would tell that bytes are missing.
        return Restart(reason="the origin does not say how long the file is")
    if end > total or request.total not in {None, total}:
        return Restart(reason="the origin has another version (of another length)")
    try:
        length = _content_length(head)
    except ValueError:
        return Restart(reason="the origin answered 206 with an invalid Content-Length")
    if length not in {None, end - request.start}:
        return Restart(reason="the origin answered 206 with a length that does not fit its range")
    mismatch = _version_mismatch(request.validator, head, now)
    if (
        mismatch is None
        and _content_coding(head) != request.coding
        and not (request.has_overlap and head.content_encoding is None)
    ):
        # Common origins give the same entity tag to every coding (Apache's bug 39727). To say nothing of it is right,
        # all the same (RFC 9110, section 15.3.7): then the bytes must tell.
        mismatch = "the origin has another version (in another content coding)"
    if mismatch is None and fields.is_entity_tag(request.validator) and head.etag is None:
        # RFC 9110, section 15.3.7: it has to be there. An origin that overlooks If-Range would go unnoticed.
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
        content_type=_content_type(head),
        suggested_filename=fields.parse_content_disposition(head.content_disposition),
        origin_digests=_origin_digests(head),
        is_partial=True,
    )


def _classify_unsatisfied(request: RangeRequest, head: ResponseHead, now: float) -> AlreadyComplete | Restart:
    assert request.validator is not None  # noqa: S101 - narrows the type; a range is asked for under a validator
    content_range = fields.parse_content_range(head.content_range)
    if content_range is None or content_range.first_pos is not None:
        return Restart(reason="the origin refused the range (416)")
    if content_range.complete_length != request.start or request.total not in {None, request.start}:
        return Restart(reason="the origin has another version (of another length)")
    # An error page need not carry the representation's validator; If-Range held, or the answer were 200.
    mismatch = _version_mismatch(request.validator, head, now)
    return AlreadyComplete() if mismatch is None else Restart(reason=mismatch)


def _version_mismatch(validator: str, head: ResponseHead, now: float) -> str | None:
    """Why the response belongs to other bytes than `validator`; None when nothing says so."""
    if fields.is_entity_tag(validator):
        # The strong comparison (RFC 9110, section 8.8.3.2): a weak tag equals none.
        same = head.etag is None or fields.parse_entity_tag(head.etag) == validator
        return None if same else "the origin has another version (another entity tag)"
    if _has_content_coding(head):
        return "the origin applied a content coding"
    modified, known = (fields.parse_http_date(text, now=now) for text in (head.last_modified, validator))
    same = head.last_modified is None or modified == known
    return None if same else "the origin has another version (another Last-Modified)"


def _is_same_version(request: RangeRequest, head: ResponseHead, now: float) -> bool | None:
    """Return True if a strong validator shows the version that was asked for, False for another one, None if none does.

    An entity tag is compared with an entity tag only. A date does not tell content codings apart.
    """
    assert request.validator is not None  # noqa: S101 - narrows the type; a range is asked for under a validator
    found = fields.strong_validator(etag=head.etag, last_modified=head.last_modified, date=head.date, now=now)
    if fields.is_entity_tag(request.validator):
        return found == request.validator if found is not None and fields.is_entity_tag(found) else None
    modified, known = (fields.parse_http_date(text, now=now) for text in (head.last_modified, request.validator))
    if modified is not None and modified == known:
        return None if _has_content_coding(head) else True
    return None if found is None else False


def _has_other_media_type(request: RangeRequest, head: ResponseHead) -> bool:
    """Return True if both media types are known and differ, parameters aside."""
    known, came = _media_type(request.content_type), _media_type(head.content_type)
    return known != "" and came not in {"", known}


def _remote_error(head: ResponseHead, now: float) -> RemoteError:
    """The error for a response that is no answer to the request."""
    match head.status:
        case 206:
            explanation = "a part of the file, when all of it was asked for"
        case 416:
            explanation = "a range is refused, when none was asked for"
        case 304:
            explanation = "not modified, when no condition was given"
        case status if 300 <= status < 400:
            explanation = "a redirect that leads nowhere"
        case status if 200 <= status < 300:
            explanation = "a success without the file"
        case _:
            explanation = ""
    # RFC 6585, section 4, and RFC 9110, section 15.6.4: elsewhere it is nobody's business to hold a host back.
    retry_after = fields.parse_retry_after(head.retry_after, now=now) if head.status in {429, 503} else None
    return RemoteError(head.status, explanation, retry_after=retry_after)


def _origin_digests(head: ResponseHead) -> tuple[OriginDigest, ...]:
    """What the fields say that mean the representation, whatever part of it the message holds (RFC 9530, section 3)."""
    return (
        *_origin_digest("Repr-Digest", fields.parse_digest_field(head.repr_digest)),
        *_origin_digest("Digest", fields.parse_legacy_digest(head.digest)),
    )


def _origin_digest(source: str, checksum: str | None) -> tuple[OriginDigest, ...]:
    return () if checksum is None else (OriginDigest(source=source, checksum=checksum),)


def _content_length(head: ResponseHead) -> int | None:
    """The length of the content.

    Raises:
        ValueError: Content-Length is not a length.
    """
    length = fields.parse_content_length(head.content_length)
    # RFC 9112, section 6.3, rule 3: Transfer-Encoding overrides Content-Length.
    return None if head.transfer_encoding is not None else length


def _is_chunked(transfer_encoding: str) -> bool:
    # In ASCII, as the client library's parser reads it: str would also strip a vertical tab and lower a Kelvin sign,
    # and what only one of the two takes for chunked is saved with its framing.
    return transfer_encoding.encode("ascii", "backslashreplace").strip(b" \t").lower() == b"chunked"


def _has_content_coding(head: ResponseHead) -> bool:
    return _content_coding(head) is not None


def _content_coding(head: ResponseHead) -> str | None:
    """The content codings, in the order in which they were applied; None for none."""
    codings = (coding.strip().lower() for coding in (head.content_encoding or "").split(","))
    return ",".join(coding for coding in codings if coding not in {"", "identity"}) or None


def _is_multipart(head: ResponseHead) -> bool:
    return (head.content_type or "").strip().lower().startswith("multipart/byteranges")


def _media_type(content_type: str | None) -> str:
    """Return the type and subtype in lower case; "" if there is none, or if it cannot be shown."""
    text = (content_type or "").partition(";")[0].strip().lower()
    return text if text.isascii() and text.isprintable() else ""


def _content_type(head: ResponseHead) -> str | None:
    """The media type as sent, if it can be shown."""
    text = (head.content_type or "").strip()
    return text if text and text.isascii() and text.isprintable() else None
