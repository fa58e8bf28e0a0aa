"""Representation whose bytes are in a part file, as far as it is known.

Pure: no I/O and no clock.
"""

from collections.abc import Sequence
from typing import Self

import msgspec

from downloadd.download import Download, OriginDigest, Progress
from downloadd.media_types import parse_media_type
from downloadd.request_fields import Method
from downloadd.transfer.fields import is_entity_tag


class Representation(msgspec.Struct, frozen=True, kw_only=True):
    """Properties of the representation that responses are compared with."""

    total: int | None = None
    """Complete length in bytes."""
    validator: str | None = None
    """Strong validator, as `If-Range` sends it."""
    weak_tag: str | None = None
    """Weak entity tag."""
    last_modified: int | None = None
    """Unix time."""
    coding: str | None = None
    """Content coding of the bytes."""
    media_type: str = ""
    """Type and subtype in lower case; "" if unknown."""
    origin_digests: tuple[OriginDigest, ...] = ()
    """Digests that the origin has stated."""
    has_digest: bool = False
    """True if the complete file is verified with a digest, of the user or of the origin."""
    is_strict: bool = False
    """True if only a strong validator is enough to continue, after a failed verification."""
    has_ranges: bool = True
    """False for the response to a POST: ranges are defined for GET alone (RFC 9110, section 14.2)."""

    @property
    def has_strong_tag(self) -> bool:
        """True if the strong validator is an entity tag, and not a date."""
        return self.validator is not None and is_entity_tag(self.validator)

    @classmethod
    def of(cls, download: Download) -> Self:
        """Return what the row knows of the bytes in its part file."""
        progress = download.progress
        return cls(
            total=progress.total,
            validator=progress.validator,
            weak_tag=progress.weak_tag,
            last_modified=progress.last_modified,
            coding=progress.coding,
            media_type=parse_media_type(download.result.content_type),
            origin_digests=progress.origin_digests,
            has_digest=download.request.requested_checksum is not None or bool(progress.origin_digests),
            is_strict=progress.strict_resume,
            has_ranges=download.request.method is Method.GET,
        )


def is_superseded_version(download: Download, found: Representation, *, received: int) -> bool:
    """Return True if a representation is proven to be that of a superseded part file, which is worth continuing.

    The complete length and a strong validator, or a digest, must be equal. It is not worth it if the part file has the
    same version and as many bytes.

    Args:
        download: the row.
        found: the representation that the origin has now.
        received: bytes in the part file.
    """
    superseded = download.progress.superseded
    if superseded is None or found.total is None or found.total != superseded.total:
        return False
    if found.coding != superseded.coding:
        return False
    has_validator = found.validator is not None and found.validator == superseded.validator
    if not has_validator and not {*found.origin_digests} & {*superseded.origin_digests}:
        return False
    is_current = found.validator is not None and found.validator == download.progress.validator
    return not is_current or superseded.received > received


def has_larger_superseded_copy(progress: Progress) -> bool:
    """Return True if a superseded part file is of the same version and has more bytes."""
    superseded = progress.superseded
    return (
        superseded is not None
        and progress.validator is not None
        and (superseded.validator, superseded.total) == (progress.validator, progress.total)
        and superseded.received > progress.received
    )


def have_other_digest(known: Sequence[OriginDigest], found: Sequence[OriginDigest]) -> bool:
    """Return True if a digest by the same algorithm differs from a known one."""
    values = {_algorithm(digest): digest.checksum for digest in known}
    return any(values.get(_algorithm(digest), digest.checksum) != digest.checksum for digest in found)


def _algorithm(digest: OriginDigest) -> str:
    return digest.checksum.partition("=")[0]
