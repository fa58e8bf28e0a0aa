"""Metadata of uploaded files: what tells later whose file an object is, and where it came from."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from downloadd.storage.objects.client import ObjectHead
from downloadd.storage.remote.remote_storage import FileDescription, FoundFile

DOWNLOAD: Final = "download-id"
SHA256: Final = "sha256"
DEFAULT_TYPE: Final = "application/octet-stream"
MAX_URL_BYTES: Final = 1500
"""Bytes of a source URL; all metadata of an object may have 2 KiB (Amazon S3 User Guide, "Object metadata")."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IDENTITY: Final = "object:"


def make_metadata(
    description: FileDescription, *, download_id: str, sha256: str, last_modified: int | None
) -> dict[str, str]:
    """Return the metadata of an object; names and values are ASCII without control characters."""
    metadata = {DOWNLOAD: download_id, SHA256: sha256}
    source = quote(description.source_url, safe="!#$%&'()*+,/:;=?@[]~")
    if source and len(source) <= MAX_URL_BYTES:
        metadata["source-url"] = source
    if last_modified is not None:
        # The first is for people, the second what rclone takes as the time of a file.
        try:
            metadata["last-modified"] = (_EPOCH + timedelta(seconds=last_modified)).isoformat().replace("+00:00", "Z")
        except OverflowError:
            return metadata
        metadata["mtime"] = str(last_modified)
    return metadata


def make_content_type(description: FileDescription) -> str:
    """Return the media type for an object; a general one if the origin sent none that can be a field."""
    given = description.content_type
    return given if given and given.isascii() and given.isprintable() else DEFAULT_TYPE


def is_own(metadata: Mapping[str, str], *, download_id: str, sha256: str | None = None) -> bool:
    """Return True if an object was uploaded for a download, with the digest if that is given."""
    return metadata.get(DOWNLOAD) == download_id and (sha256 is None or metadata.get(SHA256) == sha256)


def format_identity(etag: str) -> str:
    """Return the identity of an uploaded file, as it is recorded; empty, which is none, without an entity tag."""
    return f"{_IDENTITY}{etag}" if etag else ""


def parse_identity(identity: str) -> str | None:
    """Return the entity tag in the identity of an uploaded file; None if it has none."""
    return identity.removeprefix(_IDENTITY) or None


def describe_found(head: ObjectHead) -> FoundFile:
    """Return an object as what a storage says of a file."""
    return FoundFile(
        size=head.size,
        modified=head.modified,
        identity=format_identity(head.etag),
        sha256=head.metadata.get(SHA256, ""),
    )
