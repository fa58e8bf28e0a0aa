"""Web pages of other origins that may call (Fetch standard, CORS protocol).

The token is a parameter that a browser never adds by itself, so that a page without it can do nothing here; the checks
of the REST API would only keep out pages such as AriaNg. Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from multidict import CIMultiDictProxy

from downloadd.errors import CrossSiteError

ALLOWED_METHODS: Final = ("POST", "GET", "OPTIONS")
PREFLIGHT_SECONDS: Final = 86_400
"""Seconds for which a browser may keep the answer to a preflight request."""
MAX_SHOWN_CHARACTERS: Final = 300
"""Characters of an origin in a message."""

_ANY: Final = "*"


class AllowedOrigins:
    """The origins of `aria2.allow_origins`."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def require(self, headers: CIMultiDictProxy[str]) -> None:
        """Return if a program or a page of an allowed origin sent the request.

        Raises:
            CrossSiteError: a page of another origin did.
        """
        for origin in headers.getall("Origin", ()):
            if not self._allows(origin):
                shown = origin.encode("utf-8", "replace").decode()[:MAX_SHOWN_CHARACTERS]
                raise CrossSiteError(f"Origin is {shown}; add it to aria2.allow_origins if it may call")

    def response_fields(self, headers: CIMultiDictProxy[str]) -> dict[str, str]:
        """Return the header fields that let an allowed page read the response."""
        # Without it, a script of another origin with a JSONP answer is not executed.
        fields = {"Cross-Origin-Resource-Policy": "cross-origin"}
        if _ANY in self._origins:
            return {**fields, "Access-Control-Allow-Origin": _ANY}
        origin = headers.get("Origin", "")
        if origin and self._allows(origin):
            fields["Access-Control-Allow-Origin"] = origin
        return {**fields, "Vary": "Origin"}

    def _allows(self, origin: str) -> bool:
        return _ANY in self._origins or origin.strip().lower() in self._origins


def preflight_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the header fields of the answer to a preflight request: every header field that it asks for is allowed."""
    fields = {
        "Access-Control-Allow-Methods": ", ".join(ALLOWED_METHODS),
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
    }
    if requested := headers.get("Access-Control-Request-Headers"):
        fields["Access-Control-Allow-Headers"] = requested
    # A public page that calls a server in a private network (Private Network Access).
    if headers.get("Access-Control-Request-Private-Network") == "true":
        fields["Access-Control-Allow-Private-Network"] = "true"
    return fields
