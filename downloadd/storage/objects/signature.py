"""Signatures of requests to S3: AWS Signature Version 4.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. Pure: no I/O and no clock.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

ALGORITHM: Final = "AWS4-HMAC-SHA256"
EMPTY_DIGEST: Final = hashlib.sha256(b"").hexdigest()
"""SHA-256 of no content."""

_UNRESERVED: Final = "-._~"


class ObjectCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials of an account of object storage."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        """Return no value, so that no log or traceback shows a secret."""
        return "ObjectCredentials(...)"


class SignableRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of a request that its signature covers."""

    method: str
    path: str
    """Encoded, as it is sent."""
    query: Sequence[tuple[str, str]] = ()
    """Names and values, not encoded."""
    headers: Mapping[str, str]
    """All fields that are signed, with `Host` among them."""
    content_sha256: str = EMPTY_DIGEST
    """Lower-case hex digest of the content."""


def encode_path(path: str) -> str:
    """Return a path with all characters encoded but those that are unreserved, and slashes (RFC 3986)."""
    return quote(path, safe=f"/{_UNRESERVED}")


def encode_query(query: Sequence[tuple[str, str]]) -> str:
    """Return the query in the form that is signed, which is also sent: encoded and sorted."""
    encoded = sorted((quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in encoded)


def canonical_request(request: SignableRequest) -> str:
    """Return the text whose digest is signed."""
    headers = _canonical_headers(request.headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers)
    signed = ";".join(name for name, _ in headers)
    query = encode_query(request.query)
    return f"{request.method}\n{request.path}\n{query}\n{lines}\n{signed}\n{request.content_sha256}"


def authorize(
    request: SignableRequest, credentials: ObjectCredentials, *, region: str, timestamp: str, service: str = "s3"
) -> str:
    """Return the value of `Authorization`; `timestamp` is that of `x-amz-date`, such as `20130524T000000Z`."""
    day = timestamp[:8]
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical_request(request).encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = _hmac(key, part)
    signature = _hmac(key, to_sign).hex()
    names = ";".join(name for name, _ in _canonical_headers(request.headers))
    return f"{ALGORITHM} Credential={credentials.access_key_id}/{scope},SignedHeaders={names},Signature={signature}"


def _canonical_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted((name.lower(), " ".join(value.split())) for name, value in headers.items())


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
