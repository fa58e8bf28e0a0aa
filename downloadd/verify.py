"""Verification of length and checksum before a file is published.

A checksum is written `<algorithm>=<lower-case hex>`; the algorithms have the names of the IANA registry of hash
algorithms (RFC 9530, section 7.2). Pure: no I/O and no clock.
"""

import hashlib
import re
import string
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from downloadd.errors import ChecksumMismatchError, InvalidParameterError, NetworkError, UnexpectedContentError
from downloadd.media_types import describe_expected, describe_type, matches_type, parse_media_type

ALGORITHMS: Final[Mapping[str, str]] = MappingProxyType(
    {"sha-256": "sha256", "sha-512": "sha512", "sha-384": "sha384", "sha-1": "sha1", "md5": "md5"}
)
"""Names of the algorithms in the API, and in `hashlib`."""

STRONGEST_FIRST: Final = ("sha-512", "sha-384", "sha-256", "sha-1", "md5")
"""The algorithms, by their resistance to forgery."""

_SHA2: Final = re.compile(r"^sha2(?=(?:256|384|512)$)")

DEFAULT_ALGORITHM: Final = "sha-256"
"""Algorithm of the checksums in the history, unless a user expects another one."""


def parse_checksum(text: str) -> str:
    """Return the checksum in its normal form, `<algorithm>=<lower-case hex>`.

    Upper case, surrounding spaces and other spellings of the algorithm (`find_algorithm`) are accepted.

    Raises:
        InvalidParameterError: the algorithm is unknown, or the number of hex digits is not that of the algorithm.
    """
    name, equals, digest = text.strip().partition("=")
    algorithm, digest = find_algorithm(name), digest.strip().lower()
    if not equals:
        raise InvalidParameterError("checksum", "write it as <algorithm>=<hex>, for example sha-256=9f86d0…")
    if algorithm is None:
        raise InvalidParameterError("checksum", f"unknown algorithm; use one of {', '.join(ALGORITHMS)}")
    length = _hex_length(algorithm)
    if len(digest) != length or not set(string.hexdigits).issuperset(digest):
        raise InvalidParameterError("checksum", f"{algorithm} has exactly {length} hex digits")
    return format_checksum(algorithm, digest)


def find_algorithm(name: str) -> str | None:
    """Return the algorithm that a name in any spelling stands for; None if unknown.

    Examples are `SHA256`, `sha_256` and the `SHA2-256` of OpenSSL 3.
    """
    plain = _SHA2.sub("sha", name.strip().lower().replace("-", "").replace("_", ""))
    return next((algorithm for algorithm, known in ALGORITHMS.items() if plain == known), None)


def format_checksum(algorithm: str, digest: str) -> str:
    """Return the normal form of a hex `digest`."""
    return f"{algorithm}={digest}"


def checksum_algorithm(checksum: str) -> str:
    """Return the algorithm (a key of `ALGORITHMS`) of a checksum in its normal form."""
    return checksum.partition("=")[0]


def strongest(*checksums: str) -> str:
    """Return the checksum with the strongest algorithm, the first one of equals; all are in their normal form."""
    return min(checksums, key=lambda checksum: STRONGEST_FIRST.index(checksum_algorithm(checksum)))


def check_length(received: int, total: int | None) -> None:
    """Raise unless `received` is the complete length `total`; None is an unknown length, which accepts any.

    Raises:
        NetworkError: bytes are missing, or there are too many.
    """
    if total is None or received == total:
        return
    if received < total:
        raise NetworkError(f"the transfer ended after {received} of {total} bytes")
    raise NetworkError(f"the origin sent {received} bytes, but announced {total}")


def check_digest(expected: str, actual: str, *, source: str | None = None) -> None:
    """Raise unless `actual` is the checksum that a user expects, or that the origin sent in the field `source`.

    Both are in their normal form.

    Raises:
        ChecksumMismatchError: the checksums differ.
    """
    if expected != actual:
        raise ChecksumMismatchError(expected, actual, source=source)


_SIZE_HINT: Final = "the origin has another version of the file, or sent an error page in its place"


def check_size_and_type(
    *, size: int | None, content_type: str | None, expected_size: int | None, expected_type: str | None
) -> None:
    """Raise if size or media type show that the content is not the described file; None is unknown.

    Many origins answer 200 with a login page when a token is missing or expired. Such a page has another media type
    or size than the file.

    Raises:
        UnexpectedContentError: the content is not the file.
    """
    received = parse_media_type(content_type)
    if expected_type is not None and not matches_type(received, expected_type):
        raise UnexpectedContentError(
            f"received {describe_type(received)} instead of {describe_expected(expected_type)}"
        )
    if expected_size is not None and size is not None and size != expected_size:
        raise UnexpectedContentError(f"received {size} bytes instead of {expected_size}", hint=_SIZE_HINT)


def _hex_length(algorithm: str) -> int:
    return 2 * hashlib.new(ALGORITHMS[algorithm], usedforsecurity=False).digest_size
