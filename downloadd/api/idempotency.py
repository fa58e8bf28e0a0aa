"""The `Idempotency-Key` field: a repeated request gets the first one's answer.

Pure: no I/O and no clock.
"""

import hashlib
from typing import Final

import msgspec
from multidict import CIMultiDictProxy

from downloadd.errors import InvalidParameterError
from downloadd.records.protocol import StoredAnswer

FIELD: Final = "Idempotency-Key"
LONGEST: Final = 255
"""Characters."""


class RepeatKey(msgspec.Struct, frozen=True, kw_only=True):
    """A request's key, with what makes the request the same one."""

    user: str
    key: str
    fingerprint: bytes

    def keep(self, status: int, body: bytes, *, created: float) -> StoredAnswer:
        """The answer in the form in which it is kept."""
        return StoredAnswer(
            user=self.user, key=self.key, fingerprint=self.fingerprint, status=status, body=body, created=created
        )


def read_key(headers: CIMultiDictProxy[str]) -> str | None:
    """What a request gives for a key, whether it does anything with it or not.

    Raises:
        InvalidParameterError: it is given twice, or is not 1 to 255 visible ASCII characters.
    """
    keys = headers.getall(FIELD, ())
    if not keys:
        return None
    if len(keys) > 1:
        raise InvalidParameterError(FIELD, "given more than once")
    key = keys[0]
    if not 1 <= len(key) <= LONGEST or not all("!" <= character <= "~" for character in key):
        raise InvalidParameterError(FIELD, f"expected 1 to {LONGEST} visible ASCII characters")
    return key


def read_repeat_key(
    headers: CIMultiDictProxy[str], *, user: str, method: str, target: str, body: bytes = b""
) -> RepeatKey | None:
    """The key of a request, None when it has none. Keys of different users are different keys.

    Raises:
        InvalidParameterError: it is given twice, or is not 1 to 255 visible ASCII characters.
    """
    key = read_key(headers)
    if key is None:
        return None
    digest = hashlib.sha256()
    for part in (user, method, target):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    digest.update(body)
    return RepeatKey(user=user, key=key, fingerprint=digest.digest())
