"""Links in pasted text.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable
from typing import Final

_LINK_PATTERN: Final = re.compile(r"""\bhttps?://[^\s<>"'`\\^{|}\x00-\x1f]+""", re.IGNORECASE)
_BRACKET_PAIRS: Final = (("(", ")"), ("[", "]"))
_TRAILING_PUNCTUATION: Final = ".,;:!?…*_"
"""Punctuation that follows a link in a sentence and does not belong to it."""


def find_links(lines: Iterable[str]) -> list[str]:
    """Return the distinct links of a text, in order."""
    return list(dict.fromkeys(_trim_link(link) for line in lines for link in _LINK_PATTERN.findall(line)))


def _trim_link(link: str) -> str:
    while True:
        shorter = link.rstrip(_TRAILING_PUNCTUATION)
        for opening, closing in _BRACKET_PAIRS:
            if shorter.endswith(closing) and shorter.count(closing) > shorter.count(opening):
                shorter = shorter[:-1]
        if shorter == link:
            return link
        link = shorter
