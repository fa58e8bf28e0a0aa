"""The `Idempotency-Key` field: a repeated request gets the first one's answer.

Pure: no I/O and no clock.
"""

import hashlib
from typing import Final

import msgspec
from multidict import CIMultiDictProxy

from downloadd.errors import InvalidParameterError
from downloadd.records.protocol import StoredResponse

IDEMPOTENCY_FIELD: Final = "Idempotency-Key"
MAX_KEY_CHARACTERS: Final = 255
"""Characters."""


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """A request's key, with what makes the request the same one."""

    user: str
    key: str
    fingerprint: bytes

    def to_stored_response(self, status: int, body: bytes, *, created: float) -> StoredResponse:
        """The answer in the form in which it is kept."""
        return StoredResponse(
            user=self.user, key=self.key, fingerprint=self.fingerprint, status=status, body=body, created=created
        )


def read_key_field(headers: CIMultiDictProxy[str]) -> str | None:
    """What a request gives for a key, whether it does anything with it or not.

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
    """The key of a request, None when it has none. Keys of different users are different keys.

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
    return IdempotencyKey(user=user, key=key, fingerprint=digest.digest())
