"""Place of objects: bucket, prefix of the keys, and server.

Pure: no I/O and no clock.
"""

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

MAX_KEY_BYTES: Final = 1024
"""Bytes of a key in UTF-8 (Amazon S3 User Guide, "Naming Amazon S3 objects")."""

_URL: Final = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9._-]{1,61}[a-z0-9])(?:/(?P<prefix>[^\x00-\x1f\x7f]*))?")
_REGION: Final = re.compile(r"[a-z0-9-]{1,64}")


class ObjectLocation(msgspec.Struct, frozen=True, kw_only=True):
    """Bucket of a server, and how its objects are addressed."""

    bucket: str
    prefix: str = ""
    """Beginning of all keys, with a slash at its end; "" for none."""
    region: str
    origin: str
    """Scheme and authority of the requests."""
    is_path_style: bool
    """The bucket is the first segment of the path, not a part of the host."""

    @property
    def host(self) -> str:
        """Value of the field `Host`."""
        return self.origin.partition("://")[2]

    @property
    def hostname(self) -> str:
        """The host without a port."""
        return urlsplit(self.origin).hostname or ""

    @property
    def url(self) -> str:
        """The URL with the scheme s3."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def path_of(self, key: str) -> str:
        """Return the path of an object, not encoded; of the bucket for ""."""
        return f"/{self.bucket}/{key}" if self.is_path_style else f"/{key}"

    def key_of(self, path: str) -> str:
        """Return the key for a path below the directory of the storage."""
        return f"{self.prefix}{path}"


def parse_object_url(text: str) -> tuple[str, str]:
    """Return bucket and prefix of a URL with the scheme s3; the prefix ends with a slash unless it is empty.

    Raises:
        ValueError: it is malformed; the message says how it must be.
    """
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError("expected s3://BUCKET or s3://BUCKET/PREFIX, where BUCKET has 3 to 63 of a-z, 0-9, . and -")
    segments = [segment for segment in (match["prefix"] or "").split("/") if segment]
    if not {".", ".."}.isdisjoint(segments):
        raise ValueError("the prefix may not have the segments . and ..")
    prefix = "".join(f"{segment}/" for segment in segments)
    if len(prefix.encode()) > MAX_KEY_BYTES // 2:
        raise ValueError(f"the prefix is longer than {MAX_KEY_BYTES // 2} bytes")
    return match["bucket"], prefix


def parse_endpoint(text: str) -> str:
    """Return an endpoint as scheme and authority.

    Raises:
        ValueError: it is something else.
    """
    problem = "expected an http:// or https:// URL of a server, without user, path and query"
    try:
        parts = urlsplit(text)
        has_port = parts.port != 0
    except ValueError:
        raise ValueError(problem) from None
    is_server = parts.scheme in {"http", "https"} and parts.hostname and has_port and "@" not in parts.netloc
    if not is_server or parts.path.strip("/") or parts.query or parts.fragment or re.search(r"[\x00-\x20\x7f]", text):
        raise ValueError(problem)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def parse_region(text: str) -> str:
    """Return a region.

    Raises:
        ValueError: it is malformed.
    """
    if not _REGION.fullmatch(text):
        raise ValueError("expected a region, such as eu-central-1")
    return text


def locate(url: str, *, region: str, endpoint: str = "") -> ObjectLocation:
    """Return the location for a URL with the scheme s3; without `endpoint`, that of Amazon S3 in the region.

    Raises:
        ValueError: `url` or `endpoint` is malformed.
    """
    bucket, prefix = parse_object_url(url)
    if endpoint:
        origin, is_path_style = parse_endpoint(endpoint), True
    elif "." in bucket:
        # The certificate of the server has a wildcard for one label.
        origin, is_path_style = f"https://s3.{region}.amazonaws.com", True
    else:
        origin, is_path_style = f"https://{bucket}.s3.{region}.amazonaws.com", False
    return ObjectLocation(bucket=bucket, prefix=prefix, region=region, origin=origin, is_path_style=is_path_style)
