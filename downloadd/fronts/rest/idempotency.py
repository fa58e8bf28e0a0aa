"""The `Idempotency-Key` field: a repeated request gets the response to the first one.

Pure: no I/O and no clock.
"""

import hashlib
from typing import Final

from multidict import CIMultiDictProxy

from downloadd.errors import InvalidParameterError
from downloadd.service import IdempotencyKey

IDEMPOTENCY_FIELD: Final = "Idempotency-Key"
"""Name of the field."""
MAX_KEY_CHARACTERS: Final = 255
"""Characters of a key."""


def read_key_field(headers: CIMultiDictProxy[str]) -> str | None:
    """Return the key of a request, None when it has none.

    Raises:
        InvalidParameterError: it is given twice, or is not 1 to 255 visible ASCII characters.
    """
    keys = headers.getall(IDEMPOTENCY_FIELD, ())
    if not keys:
        return None
    if len(keys) > 1:
        raise InvalidParameterError(IDEMPOTENCY_FIELD, "given more than once")
    key = keys[0]
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not all("!" <= character <= "~" for character in key):
        raise InvalidParameterError(IDEMPOTENCY_FIELD, f"expected 1 to {MAX_KEY_CHARACTERS} visible ASCII characters")
    return key


def read_idempotency_key(
    headers: CIMultiDictProxy[str], *, user: str, method: str, target: str, body: bytes = b""
) -> IdempotencyKey | None:
    """Return the key of a request with the fingerprint of the request, None when it has none.

    Raises:
        InvalidParameterError: it is given twice, or is not 1 to 255 visible ASCII characters.
    """
    key = read_key_field(headers)
    if key is None:
        return None
    digest = hashlib.sha256()
    for part in (user, method, target):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    digest.update(body)
    return IdempotencyKey(key=key, fingerprint=digest.digest())
