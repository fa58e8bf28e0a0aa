"""Elements of JSON arrays in archives, decoded to structs.

An element that is malformed is None, and does not hide the elements after it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from downloadd.imports.json_array import read_elements

T = TypeVar("T")

MAX_DECODED_BYTES: Final = 1 << 20
"""Bytes of an array that is decoded at once; the objects take up to 50 times its length."""

DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Exceptions of the JSON parser."""
_ESCAPE_SEQUENCE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone_surrogate>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


class Entries(Protocol):
    """The part of an archive that is read here."""

    def size(self, name: str) -> int:
        """Return the declared length of an entry in bytes."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content of an entry."""
        ...

    def pieces(self, name: str) -> Iterable[bytes]:
        """Yield the content of an entry."""
        ...


class StructDecoder(Generic[T]):
    """Decoder of elements of one kind."""

    def __init__(self, kind: type[T]) -> None:
        self._one = msgspec.json.Decoder(kind)
        # A variable is no type for the checker, though the decoder takes it as one.
        self._many: msgspec.json.Decoder[list[T] | None] = msgspec.json.Decoder(list[kind] | None)  # type: ignore[valid-type]

    def decode(self, raw: bytes | msgspec.Raw) -> T | None:
        """Return an element; None if it is malformed."""
        try:
            return self._one.decode(raw)
        except DECODE_ERRORS:
            pass
        try:
            return self._one.decode(_normalize_json(bytes(raw)))
        except DECODE_ERRORS:
            return None

    def read_array(self, archive: Entries, name: str) -> Iterator[T | None]:
        """Yield the elements of an array in an archive; None for each that is malformed or too long.

        Raises:
            InvalidArrayError: the entry is not an array, or is truncated; after the elements before the error.
            ImportRefusedError: the archive cannot be read.
        """
        if archive.size(name) > MAX_DECODED_BYTES:
            return self._decode_each(archive.pieces(name))
        data = archive.read(name)
        try:
            return iter(self._many.decode(data) or ())
        except DECODE_ERRORS:
            return self._decode_each((data,))

    def _decode_each(self, pieces: Iterable[bytes]) -> Iterator[T | None]:
        return (None if raw is None else self.decode(raw) for raw in read_elements(pieces))


def _normalize_json(data: bytes) -> bytes:
    """Return the JSON with U+FFFD in place of each unpaired surrogate and of bytes that are not UTF-8.

    A program that truncates a text within an emoji writes an unpaired surrogate.
    """
    text = data.decode(errors="replace")
    pieces: list[str] = []
    at = 0
    for match in _ESCAPE_SEQUENCE.finditer(text):
        if match["lone_surrogate"]:
            pieces += (text[at : match.start()], "\\ufffd")
            at = match.end()
    return "".join((*pieces, text[at:])).encode()
