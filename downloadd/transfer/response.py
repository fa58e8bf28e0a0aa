"""Asked this, got that: go on, start over, or fail with a code.

The judgement of a response's head (RFC 9110, sections 14 and 15). Its one law: bytes of two versions of a
representation never meet in one part file. Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.download import OriginDigest
from downloadd.errors import FileTooLargeError, NetworkError, RemoteError, RemoteFileNotFoundError
from downloadd.transfer import fields

WHOLE_STATUSES: Final = frozenset({200, 203})
"""Statuses whose content is the representation; a proxy that transformed it (203) is the only origin there is."""

ABSENT_STATUSES: Final = frozenset({404, 410})


class Asked(msgspec.Struct, frozen=True, kw_only=True):
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
    overlaps: bool = False
    """Whether it begins with bytes that are there already, so that they can be compared."""
    to_compare: bool = False
    """Whether the range is only compared with bytes that are there already, so that no validator is needed."""

    def __post_init__(self) -> None:
        if self.start < 0 or (self.ranged and self.validator is None and not self.to_compare):
            raise ValueError("a range is asked for from a positive start, under a validator")

    @property
    def ranged(self) -> bool:
        """Whether a range is asked for."""
        return self.start > 0 or self.end is not None


class Head(msgspec.Struct, frozen=True, kw_only=True):
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


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The content is taken."""

    start: int
    """Where its first byte belongs: `Asked.start`, or 0 when the part file has to be cleared first."""
    length: int | None
    """Bytes of this content; None when only the end of the message tells."""
    total: int | None
    """The complete length of the representation; None when the origin does not say. Never None in a resumed one."""
    validator: str | None
    """What the bytes can be resumed under; None: not at all."""
    last_modified: int | None
    """Unix time."""
    content_type: str | None
    name_hint: str | None
    """The file name in Content-Disposition; not safe."""
    coding: str | None = None
    """The content coding that the bytes are in; None: as they are."""
    origin_digests: tuple[OriginDigest, ...] = ()
    """What the origin says of the representation's bytes."""
    partial: bool = False
    """The content is the range that was asked for, and not the representation."""


class AlreadyComplete(msgspec.Struct, frozen=True, kw_only=True):
    """There is nothing after `Asked.start`: the part file is whole."""


class StartOver(msgspec.Struct, frozen=True, kw_only=True):
    """The part file cannot be continued: make a new request without Range. Never the answer to such a request.

    What was received stays until that request is answered with the representation.
    """

    reason: str


def judge(asked: Asked, head: Head, *, now: float, max_size: int) -> Accepted | AlreadyComplete | StartOver:
    """What becomes of a download, given what it asked for and the head of the final response.

    A content coding that was not asked for is kept: the saved bytes are the representation as sent. Such a response is
    resumed under an entity tag only, since a date does not tell two codings apart (RFC 9110, section 8.8.3.3).

    Args:
        asked: the request.
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
    if head.status in ABSENT_STATUSES:
        raise RemoteFileNotFoundError(head.status)
    if head.transfer_encoding is not None and not _is_chunked(head.transfer_encoding):
        # RFC 9112, section 6.1: none but this one was asked for, and what is coded otherwise has no end that is known.
        raise NetworkError("the origin used a transfer coding that was not asked for", lasting=True)
    verdict: Accepted | AlreadyComplete | StartOver
    if head.status in WHOLE_STATUSES:
        verdict = _judge_range_ignored(asked, head, now) if asked.ranged else _judge_whole(head, now)
    elif not asked.ranged:
        raise _refusal(head, now)
    elif head.status == 206:
        verdict = _judge_part(asked, head, now)
    elif head.status == 416:
        verdict = _judge_unsatisfied(asked, head, now)
    elif head.status == 412:
        verdict = StartOver(reason="the origin has another version (412)")
    else:
        raise _refusal(head, now)
    if isinstance(verdict, Accepted) and max_size and verdict.total is not None and verdict.total > max_size:
        raise FileTooLargeError(max_size)
    return verdict


def judge_sample(asked: Asked, head: Head, *, now: float) -> str | None:
    """The strong validator of a response whose content may be compared with what is in a part file.

    None when it may not: it is not the range that was asked for, of the same complete length, or cannot be resumed.
    """
    content_range = fields.parse_content_range(head.content_range)
    if head.status != 206 or content_range is None or asked.end is None or _is_multipart(head) or _is_coded(head):
        return None
    found = (content_range.first_pos, content_range.last_pos, content_range.complete_length)
    if found != (asked.start, asked.end - 1, asked.total):
        return None
    return fields.strong_validator(etag=head.etag, last_modified=head.last_modified, date=head.date, now=now)


def _judge_whole(head: Head, now: float) -> Accepted:
    part = fields.parse_content_range(head.content_range)
    if _is_multipart(head) or (part is not None and part.is_partial):
        raise RemoteError(head.status, "a part of the file, by its own word")
    try:
        length = _length(head)
    except ValueError as error:
        raise RemoteError(head.status, str(error)) from error
    validator = fields.strong_validator(etag=head.etag, last_modified=head.last_modified, date=head.date, now=now)
    if validator is not None and _is_coded(head) and not fields.is_entity_tag(validator):
        validator = None
    return Accepted(
        start=0,
        length=length,
        total=length,
        validator=validator,
        coding=_coding(head),
        last_modified=fields.parse_http_date(head.last_modified, now=now),
        content_type=_content_type(head),
        name_hint=fields.parse_content_disposition(head.content_disposition),
        # The content of a whole response is the representation.
        origin_digests=(
            *_origin_digests(head),
            *_named("Content-Digest", fields.parse_digest_field(head.content_digest)),
        ),
    )


def _judge_range_ignored(asked: Asked, head: Head, now: float) -> Accepted | StartOver:
    """Judge a 200 to a request for a range.

    Its content is taken in two cases only: it has the known complete length under the known validator, or it is
    exactly the requested range under the known validator by its own Content-Range. Some origins send the requested
    range under status 200; if nothing shows which of the two came, only a request without Range is safe.

    Raises:
        RemoteError: transient; the content contradicts what is known of the representation, and is not a new version.
    """
    is_same = _is_same_version(asked, head, now)
    if _is_multipart(head):
        return StartOver(reason="the origin answered a single range with multipart/byteranges")
    if is_same is None and _has_other_media_type(asked, head):
        # A captive portal, or a proxy that wants a login, answers in the origin's place.
        known, came = _essence(asked.content_type), _essence(head.content_type)
        raise RemoteError(head.status, f"{came} in place of the rest of {known}", passing=True)
    if is_same is None:
        return StartOver(reason="the origin ignored the range, and does not say which version it has")
    if not is_same:
        return StartOver(reason="the origin has another version (another validator)")
    content_range = fields.parse_content_range(head.content_range)
    if content_range is not None and content_range.is_partial:
        last = (content_range.last_pos or 0) + 1
        if content_range.complete_length is None or last != (asked.end or content_range.complete_length):
            return StartOver(reason="the origin sent another range than was asked for, under the status of the whole")
        return _judge_part(asked, head, now)
    try:
        length = _length(head)
    except ValueError:
        return StartOver(reason="the origin ignored the range, and sent an invalid Content-Length")
    if length is None or asked.total is None or _coding(head) != asked.coding:
        return StartOver(reason="the origin ignored the range, and nothing shows that it sent the whole file")
    if length == asked.total:
        return _judge_whole(head, now)
    if length == (asked.end or asked.total) - asked.start:
        return StartOver(reason="the origin sent a part of the file under the status of the whole")
    contradiction = f"the file has {length} bytes instead of {asked.total} under the same validator"
    raise RemoteError(head.status, contradiction, passing=True)


def _judge_part(asked: Asked, head: Head, now: float) -> Accepted | StartOver:
    assert asked.validator is not None  # noqa: S101 - narrows the type; a range is asked for under a validator
    content_range = fields.parse_content_range(head.content_range)
    if content_range is None or content_range.first_pos is None or content_range.last_pos is None:
        # Among them multipart/byteranges, which nobody asks for with a single range.
        return StartOver(reason="the origin answered 206 without a single range")
    if content_range.first_pos != asked.start:
        return StartOver(reason=f"the origin sent bytes from {content_range.first_pos}, asked was {asked.start}")
    if _is_multipart(head):
        return StartOver(reason="the origin answered 206 with multipart/byteranges")
    end = content_range.last_pos + 1
    total = content_range.complete_length if content_range.complete_length is not None else asked.total
    if total is None:
        # An origin may send less than the range it was asked for; then nothing would tell that bytes are missing.
        return StartOver(reason="the origin does not say how long the file is")
    if end > total or asked.total not in {None, total}:
        return StartOver(reason="the origin has another version (of another length)")
    try:
        length = _length(head)
    except ValueError:
        return StartOver(reason="the origin answered 206 with an invalid Content-Length")
    if length not in {None, end - asked.start}:
        return StartOver(reason="the origin answered 206 with a length that does not fit its range")
    changed = _changed(asked.validator, head, now)
    if changed is None and _coding(head) != asked.coding and not (asked.overlaps and head.content_encoding is None):
        # Common origins give the same entity tag to every coding (Apache's bug 39727). To say nothing of it is right,
        # all the same (RFC 9110, section 15.3.7): then the bytes must tell.
        changed = "the origin has another version (in another content coding)"
    if changed is None and fields.is_entity_tag(asked.validator) and head.etag is None:
        # RFC 9110, section 15.3.7: it has to be there. An origin that overlooks If-Range would go unnoticed.
        changed = "the origin answered 206 without its entity tag"
    if changed is not None:
        return StartOver(reason=changed)
    modified = head.last_modified
    if modified is None and not fields.is_entity_tag(asked.validator):
        modified = asked.validator
    return Accepted(
        start=asked.start,
        length=end - asked.start,
        total=total,
        validator=asked.validator,
        coding=asked.coding,
        last_modified=fields.parse_http_date(modified, now=now),
        content_type=_content_type(head),
        name_hint=fields.parse_content_disposition(head.content_disposition),
        origin_digests=_origin_digests(head),
        partial=True,
    )


def _judge_unsatisfied(asked: Asked, head: Head, now: float) -> AlreadyComplete | StartOver:
    assert asked.validator is not None  # noqa: S101 - narrows the type; a range is asked for under a validator
    content_range = fields.parse_content_range(head.content_range)
    if content_range is None or content_range.first_pos is not None:
        return StartOver(reason="the origin refused the range (416)")
    if content_range.complete_length != asked.start or asked.total not in {None, asked.start}:
        return StartOver(reason="the origin has another version (of another length)")
    # An error page need not carry the representation's validator; If-Range held, or the answer were 200.
    changed = _changed(asked.validator, head, now)
    return AlreadyComplete() if changed is None else StartOver(reason=changed)


def _changed(validator: str, head: Head, now: float) -> str | None:
    """Why the response belongs to other bytes than `validator`; None when nothing says so."""
    if fields.is_entity_tag(validator):
        # The strong comparison (RFC 9110, section 8.8.3.2): a weak tag equals none.
        same = head.etag is None or fields.parse_entity_tag(head.etag) == validator
        return None if same else "the origin has another version (another entity tag)"
    if _is_coded(head):
        return "the origin applied a content coding"
    modified, known = (fields.parse_http_date(text, now=now) for text in (head.last_modified, validator))
    same = head.last_modified is None or modified == known
    return None if same else "the origin has another version (another Last-Modified)"


def _is_same_version(asked: Asked, head: Head, now: float) -> bool | None:
    """Return True if a strong validator shows the version that was asked for, False for another one, None if none does.

    An entity tag is compared with an entity tag only. A date does not tell content codings apart.
    """
    assert asked.validator is not None  # noqa: S101 - narrows the type; a range is asked for under a validator
    found = fields.strong_validator(etag=head.etag, last_modified=head.last_modified, date=head.date, now=now)
    if fields.is_entity_tag(asked.validator):
        return found == asked.validator if found is not None and fields.is_entity_tag(found) else None
    modified, known = (fields.parse_http_date(text, now=now) for text in (head.last_modified, asked.validator))
    if modified is not None and modified == known:
        return None if _is_coded(head) else True
    return None if found is None else False


def _has_other_media_type(asked: Asked, head: Head) -> bool:
    """Return True if both media types are known and differ, parameters aside."""
    known, came = _essence(asked.content_type), _essence(head.content_type)
    return known != "" and came not in {"", known}


def _refusal(head: Head, now: float) -> RemoteError:
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
    asked = fields.parse_retry_after(head.retry_after, now=now) if head.status in {429, 503} else None
    return RemoteError(head.status, explanation, retry_after=asked)


def _origin_digests(head: Head) -> tuple[OriginDigest, ...]:
    """What the fields say that mean the representation, whatever part of it the message holds (RFC 9530, section 3)."""
    return (
        *_named("Repr-Digest", fields.parse_digest_field(head.repr_digest)),
        *_named("Digest", fields.parse_legacy_digest(head.digest)),
    )


def _named(source: str, checksum: str | None) -> tuple[OriginDigest, ...]:
    return () if checksum is None else (OriginDigest(source=source, checksum=checksum),)


def _length(head: Head) -> int | None:
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


def _is_coded(head: Head) -> bool:
    return _coding(head) is not None


def _coding(head: Head) -> str | None:
    """The content codings, in the order in which they were applied; None for none."""
    codings = (coding.strip().lower() for coding in (head.content_encoding or "").split(","))
    return ",".join(coding for coding in codings if coding not in {"", "identity"}) or None


def _is_multipart(head: Head) -> bool:
    return (head.content_type or "").strip().lower().startswith("multipart/byteranges")


def _essence(content_type: str | None) -> str:
    """Return the type and subtype in lower case; "" if there is none, or if it cannot be shown."""
    text = (content_type or "").partition(";")[0].strip().lower()
    return text if text.isascii() and text.isprintable() else ""


def _content_type(head: Head) -> str | None:
    """The media type as sent, if it can be shown."""
    text = (head.content_type or "").strip()
    return text if text and text.isascii() and text.isprintable() else None
