"""URLs of databases, as settings and options name them.

Pure: no I/O and no clock.
"""

import re
from typing import Final

_DATABASE_URL: Final = re.compile(r"postgres(?:ql)?://[^/?#\s]*/[^/?#\s]+(?:\?[^#\s]*)?")


def parse_database_url(text: str) -> str:
    """Return the URL of a database, or "".

    Raises:
        ValueError: it is something else; the message does not have it.
    """
    if text and not _DATABASE_URL.fullmatch(text):
        raise ValueError("expected postgresql://USER:PASSWORD@HOST:PORT/NAME, the URL of a database")
    return text
