"""Responses: JSON with the common header fields, and errors with the status of the error table."""

import math
from typing import Final

import msgspec
from aiohttp import web
from msgspec import UNSET
from multidict import CIMultiDict

from downloadd.errors import BodyTooSlowError, DownloadError, DownloadForbiddenError, MethodNotAllowedError
from downloadd.fronts.rest.schemas import ErrorResponse

SERVER: Final = "downloadd"
"""The `Server` field, without a version."""

PERMISSION_MISSING: Final = "User does not have the permissions required for this action [error-unauthorized]"
"""The `error` of a response to a user without the permission."""

COMMON_FIELDS: Final = (
    ("Server", SERVER),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Referrer-Policy", "no-referrer"),
)
"""Header fields of every response."""

_JSON_FIELDS: Final = (("Content-Type", "application/json"), *COMMON_FIELDS)
_encoder: Final = msgspec.json.Encoder()

encode: Final = _encoder.encode
"""Encoder of structs to JSON."""


def json_response(
    body: msgspec.Struct | bytes, *, status: int = 200, location: str = "", link: str = ""
) -> web.Response:
    """Return a JSON response; a body of bytes is JSON already."""
    fields = CIMultiDict(_JSON_FIELDS)
    if location:
        fields["Location"] = location
    if link:
        fields["Link"] = link
    return web.Response(body=body if isinstance(body, bytes) else encode(body), status=status, headers=fields)


def error_response(error: DownloadError, *, request_id: str = "") -> web.Response:
    """Return the response to an error, with the header fields of its code."""
    response = json_response(
        ErrorResponse(error=error.code, detail=error.detail, request_id=request_id or UNSET), status=error.status
    )
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, MethodNotAllowedError):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, BodyTooSlowError):
        # The rest of the body would be read before the next request (RFC 9110, section 15.5.9).
        response.force_close()
    return response


def unauthorized_response() -> web.Response:
    """Return the response to missing or wrong credentials (RFC 6750, section 3)."""
    response = json_response(ErrorResponse(error="unauthorized"), status=401)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def permission_missing_response() -> web.Response:
    """Return the response to a user without the permission."""
    return json_response(ErrorResponse(error=PERMISSION_MISSING), status=403)


def forbidden_response() -> web.Response:
    """Return the response of a daemon that was not started with `--allow-download`."""
    return json_response(ErrorResponse(error=DownloadForbiddenError.code), status=DownloadForbiddenError.status)
