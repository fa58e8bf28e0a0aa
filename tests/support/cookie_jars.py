"""Cookie jars with the real list of public suffixes and a time that a test sets."""

from functools import cache

from downloadd.origin.cookies import CookieJar
from downloadd.origin.public_suffixes import PublicSuffixes

NOW = 1_700_000_000.0
"""Unix time of the jars."""

public_suffixes = cache(PublicSuffixes)
"""Returns the list, which is read once."""


def make_jar() -> CookieJar:
    """Return an empty jar."""
    return CookieJar(is_public_suffix=public_suffixes().is_public, now=lambda: NOW)
