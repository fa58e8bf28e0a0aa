"""Head of a response: the fields that decide how a download continues, parsed once.

Pure: no I/O and no clock.
"""

import msgspec
from multidict import MultiMapping

from downloadd.download import OriginDigest
from downloadd.media_types import parse_media_type
from downloadd.transfer import fields
from downloadd.transfer.content_disposition import parse_content_disposition
from downloadd.transfer.fields import ContentRange


class ResponseHead(msgspec.Struct, frozen=True, kw_only=True):
    """Status of a response and the values of its relevant fields."""

    status: int
    is_encrypted: bool = False
    """True if it was received over TLS."""
    length: int | None = None
    """Bytes of the content; None if the head does not say."""
    content_range: ContentRange | None = None
    """None if Content-Range is absent or invalid."""
    content_type: str | None = None
    """Content-Type as sent, if it is printable ASCII."""
    media_type: str = ""
    """Type and subtype in lower case; "" if there is none, or if it is not printable ASCII."""
    is_multipart: bool = False
    """True if the content is multipart/byteranges."""
    coding: str | None = None
    """Content codings in lower case, in the order in which they were applied; None if there are none."""
    states_coding: bool = False
    """True if there is a Content-Encoding, even `identity`."""
    entity_tag: str | None = None
    """The entity tag, weak or strong; None if it is absent or malformed."""
    last_modified: int | None = None
    """Last-Modified as Unix time; None if it is absent or malformed."""
    has_malformed_tag: bool = False
    """True if there is an ETag that is no entity tag."""
    has_malformed_date: bool = False
    """True if there is a Last-Modified that is no date."""
    validator: str | None = None
    """Strong validator of the bytes, as `If-Range` sends it; None if there is none."""
    retry_after: float | None = None
    """Seconds that the origin asks to wait, measured from its own Date; at least 0."""
    representation_digests: tuple[OriginDigest, ...] = ()
    """Digests of the representation, whatever range of it the message has (RFC 9530, section 3)."""
    content_digests: tuple[OriginDigest, ...] = ()
    """Digests of the content of this message (RFC 9530, section 2)."""
    suggested_filename: str | None = None
    """File name in Content-Disposition; not safe."""

    @property
    def weak_tag(self) -> str | None:
        """The entity tag if it is weak, else None."""
        return self.entity_tag if self.entity_tag is not None and self.entity_tag.startswith("W/") else None


def parse_response_head(
    status: int, field_lines: MultiMapping[str], *, now: float, is_encrypted: bool = False
) -> ResponseHead:
    """Return the relevant parts of a head that was received at `now` (Unix time), over TLS if `is_encrypted`."""
    content_type = field_lines.get("Content-Type")
    content_coding = _joined_lines(field_lines, "Content-Encoding")
    coding = _parse_coding(content_coding)
    etag, last_modified = field_lines.get("ETag"), field_lines.get("Last-Modified")
    entity_tag, modified = fields.parse_entity_tag(etag), fields.parse_http_date(last_modified, now=now)
    date = field_lines.get("Date")
    validator = fields.strong_validator(etag=etag, last_modified=last_modified, date=date, now=now)
    if validator is not None and coding is not None and not fields.is_entity_tag(validator):
        # A date does not distinguish two codings (RFC 9110, section 8.8.3.3).
        validator = None
    sent_at = fields.parse_http_date(date, now=now)
    return ResponseHead(
        status=status,
        is_encrypted=is_encrypted,
        length=fields.parse_content_length(field_lines.get("Content-Length")),
        content_range=fields.parse_content_range(field_lines.get("Content-Range")),
        content_type=_parse_shown_type(content_type),
        media_type=parse_media_type(content_type),
        is_multipart=(content_type or "").strip().lower().startswith("multipart/byteranges"),
        coding=coding,
        states_coding=content_coding is not None,
        entity_tag=entity_tag,
        last_modified=modified,
        has_malformed_tag=etag is not None and entity_tag is None,
        has_malformed_date=last_modified is not None and modified is None,
        validator=validator,
        # The clock of the origin may differ from this one; the difference between its two dates does not.
        retry_after=fields.parse_retry_after(
            field_lines.get("Retry-After"), now=now if sent_at is None else float(sent_at)
        ),
        representation_digests=(
            *_parse_digest("Repr-Digest", fields.parse_digest_field(_joined_lines(field_lines, "Repr-Digest"))),
            *_parse_digest("Digest", fields.parse_legacy_digest(_joined_lines(field_lines, "Digest"))),
        ),
        content_digests=_parse_digest(
            "Content-Digest", fields.parse_digest_field(_joined_lines(field_lines, "Content-Digest"))
        ),
        suggested_filename=parse_content_disposition(field_lines.get("Content-Disposition")),
    )


def _joined_lines(field_lines: MultiMapping[str], name: str) -> str | None:
    # The lines of a list field are one list (RFC 9110, section 5.3); of other fields the first line is used.
    lines = field_lines.getall(name, None)
    return None if lines is None else ", ".join(lines)


def _parse_coding(text: str | None) -> str | None:
    codings = (coding.strip().lower() for coding in (text or "").split(","))
    return ",".join(coding for coding in codings if coding not in {"", "identity"}) or None


def _parse_shown_type(content_type: str | None) -> str | None:
    text = (content_type or "").strip()
    return text if text and text.isascii() and text.isprintable() else None


def _parse_digest(source: str, checksum: str | None) -> tuple[OriginDigest, ...]:
    return () if checksum is None else (OriginDigest(source=source, checksum=checksum),)
