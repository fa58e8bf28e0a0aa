"""Head of a response: the fields that decide how a download continues.

Pure: no I/O and no clock.
"""

import msgspec
from multidict import MultiMapping

from downloadd.media_types import parse_media_type
from downloadd.transfer import fields


class ResponseHead(msgspec.Struct, frozen=True, kw_only=True):
    """Status of a response and the values of its relevant fields, as sent."""

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

    @property
    def length(self) -> int | None:
        """Bytes of the content; None if the head does not say.

        Raises:
            ValueError: Content-Length is not a length.
        """
        length = fields.parse_content_length(self.content_length)
        # RFC 9112, section 6.3, rule 3: Transfer-Encoding overrides Content-Length.
        return None if self.transfer_encoding is not None else length

    @property
    def has_unknown_transfer_coding(self) -> bool:
        """True if there is a transfer coding other than chunked."""
        # Compared as bytes, like the client library's parser does: str methods would also strip a vertical tab and
        # lower a Kelvin sign, and content that only one of the two reads as chunked is saved with its framing.
        coding = self.transfer_encoding
        return coding is not None and coding.encode("ascii", "backslashreplace").strip(b" \t").lower() != b"chunked"

    @property
    def coding(self) -> str | None:
        """Content codings in lower case, in the order in which they were applied; None if there are none."""
        codings = (coding.strip().lower() for coding in (self.content_encoding or "").split(","))
        return ",".join(coding for coding in codings if coding not in {"", "identity"}) or None

    @property
    def is_multipart(self) -> bool:
        """True if the content is multipart/byteranges."""
        return (self.content_type or "").strip().lower().startswith("multipart/byteranges")

    @property
    def shown_content_type(self) -> str | None:
        """Content-Type as sent, if it is printable ASCII."""
        text = (self.content_type or "").strip()
        return text if text and text.isascii() and text.isprintable() else None

    @property
    def media_type(self) -> str:
        """Type and subtype in lower case; "" if there is none, or if it is not printable ASCII."""
        return parse_media_type(self.content_type)

    def strong_validator(self, *, now: float) -> str | None:
        """Return the strong validator of the representation, or None if there is none; `now` is Unix time."""
        return fields.strong_validator(etag=self.etag, last_modified=self.last_modified, date=self.date, now=now)


def parse_response_head(status: int, field_lines: MultiMapping[str]) -> ResponseHead:
    """Return the relevant parts of a head."""
    # The lines of a list field are one list (RFC 9110, section 5.3); of other fields the first line is used.
    return ResponseHead(
        status=status,
        content_length=field_lines.get("Content-Length"),
        content_range=field_lines.get("Content-Range"),
        content_type=field_lines.get("Content-Type"),
        content_encoding=_joined_lines(field_lines, "Content-Encoding"),
        content_disposition=field_lines.get("Content-Disposition"),
        etag=field_lines.get("ETag"),
        last_modified=field_lines.get("Last-Modified"),
        date=field_lines.get("Date"),
        retry_after=field_lines.get("Retry-After"),
        transfer_encoding=_joined_lines(field_lines, "Transfer-Encoding"),
        content_digest=_joined_lines(field_lines, "Content-Digest"),
        repr_digest=_joined_lines(field_lines, "Repr-Digest"),
        digest=_joined_lines(field_lines, "Digest"),
    )


def _joined_lines(field_lines: MultiMapping[str], name: str) -> str | None:
    lines = field_lines.getall(name, None)
    return None if lines is None else ", ".join(lines)
