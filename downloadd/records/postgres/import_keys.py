"""Ids that import files name, as they are stored.

An entry of an index of PostgreSQL has 2704 bytes at most, and ids of import files may be longer.

Pure: no I/O and no clock.
"""

import hashlib
from typing import Final

MAX_ID_CHARACTERS: Final = 255
"""Characters of an id that is stored unchanged; two of them and the id of an operation fit into an entry."""


def import_key(id: str) -> str:
    """Return the id as it is stored: itself, or the digest of a long one."""
    if len(id) <= MAX_ID_CHARACTERS:
        return id
    return f"sha256:{hashlib.sha256(id.encode(errors='surrogatepass')).hexdigest()}"
