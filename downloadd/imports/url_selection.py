"""Selection of the URLs of one file that can be used, and reasons for the others.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterator
from typing import Final

from downloadd.import_operation import SkipReason
from downloadd.imports.skipping import shorten
from downloadd.policy.url import MAX_URL_BYTES, has_http_scheme

MAX_MIRRORS: Final = 15

# What precedes a colon alone may be a part of the credentials of a URL without its scheme.
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}(?=://|:\?)")
_NO_SCHEME: Final = "no scheme"
_MAX_KINDS: Final = 8
"""Kinds of URLs that a report names."""


class UrlSelection:
    """Selection of the URLs of one file; only numbers and kinds of those that cannot be used are kept."""

    def __init__(self) -> None:
        self._too_long = 0
        self._unsupported = 0
        self._kinds: dict[str, None] = {}

    def accept(self, url: str, *, kind: str = "") -> bool:
        """Return True if the URL can be used; else count it.

        Args:
            url: the URL.
            kind: the kind of a URL that is not one of the file itself, such as that of a torrent.
        """
        if kind or not has_http_scheme(url):
            self._unsupported += 1
            scheme = _SCHEME.match(url)
            if len(self._kinds) < _MAX_KINDS:
                self._kinds[shorten(kind) or (_NO_SCHEME if scheme is None else scheme[0].lower())] = None
            return False
        if len(url.encode("utf-8", "surrogatepass")) > MAX_URL_BYTES:
            self._too_long += 1
            return False
        return True

    def problems(self) -> Iterator[tuple[SkipReason, str]]:
        """Yield a reason and a clause for the URLs that cannot be used; of a URL, it holds the scheme only."""
        if self._unsupported:
            kinds = ", ".join(self._kinds)
            yield (
                SkipReason.UNSUPPORTED_URL,
                f"{_count(self._unsupported)} of a kind other than http and https ({kinds})",
            )
        if self._too_long:
            yield SkipReason.TOO_LONG, f"{_count(self._too_long)} longer than {MAX_URL_BYTES} bytes"


def _count(urls: int) -> str:
    return "one URL is" if urls == 1 else f"{urls} URLs are"
