"""Web pages of other origins that may call (Fetch standard, CORS protocol).

A token is a parameter or a header field that a browser never adds by itself, so that a page without it can do nothing
here. Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from multidict import CIMultiDictProxy

from downloadd.errors import CrossSiteError

EXPOSED_FIELDS: Final = (
    *("Link", "Location", "Retry-After", "X-Request-Id", "ETag"),
    *("Accept-Ranges", "Content-Range", "Content-Disposition", "Repr-Digest"),
)
"""Header fields of responses that pages may read, besides those that they always may."""
PREFLIGHT_SECONDS: Final = 86_400
"""Seconds for which a browser may keep the answer to a preflight request."""
MAX_SHOWN_CHARACTERS: Final = 300
"""Characters of an origin in a message."""

_ANY: Final = "*"


class AllowedOrigins:
    """The origins of a setting."""

    def __init__(self, origins: Iterable[str], *, setting: str = "aria2.allow_origins") -> None:
        """Take the origins; `setting` is the name of the setting, for messages."""
        self._origins = frozenset(origins)
        self._setting = setting

    def __bool__(self) -> bool:
        """Return True if any origin is allowed."""
        return bool(self._origins)

    def has_sent(self, headers: CIMultiDictProxy[str]) -> bool:
        """Return True if a page of an allowed origin sent the request."""
        origins = headers.getall("Origin", ())
        return bool(origins) and all(self._allows(origin) for origin in origins)

    def require(self, headers: CIMultiDictProxy[str]) -> None:
        """Return if a program or a page of an allowed origin sent the request.

        Raises:
            CrossSiteError: a page of another origin did.
        """
        for origin in headers.getall("Origin", ()):
            if not self._allows(origin):
                shown = origin.encode("utf-8", "replace").decode()[:MAX_SHOWN_CHARACTERS]
                raise CrossSiteError(f"Origin is {shown}; add it to {self._setting} if it may call")

    def response_fields(self, headers: CIMultiDictProxy[str]) -> dict[str, str]:
        """Return the header fields that let an allowed page read the response."""
        # Without it, a script of another origin with a JSONP answer is not executed.
        fields = {
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Access-Control-Expose-Headers": ", ".join(EXPOSED_FIELDS),
        }
        if _ANY in self._origins:
            return {**fields, "Access-Control-Allow-Origin": _ANY}
        origin = headers.get("Origin", "")
        if origin and self._allows(origin):
            fields["Access-Control-Allow-Origin"] = origin
        return {**fields, "Vary": "Origin"}

    def _allows(self, origin: str) -> bool:
        return _ANY in self._origins or origin.strip().lower() in self._origins


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Return True if a browser asks, before it sends the request of a page of another origin."""
    return method == "OPTIONS" and "Origin" in headers and "Access-Control-Request-Method" in headers


def preflight_fields(headers: Mapping[str, str], methods: Iterable[str]) -> dict[str, str]:
    """Return the header fields of the answer to a preflight request: every header field that it asks for is allowed."""
    fields = {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
    }
    if requested := headers.get("Access-Control-Request-Headers"):
        fields["Access-Control-Allow-Headers"] = requested
    # A public page that calls a server in a private network (Private Network Access).
    if headers.get("Access-Control-Request-Private-Network") == "true":
        fields["Access-Control-Allow-Private-Network"] = "true"
    return fields
