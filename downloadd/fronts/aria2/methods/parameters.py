"""Typed reading of positional parameters, with the error texts of aria2.

A parameter that may be missing is None then. Null is a value of the wrong type, members of a wrong type in a list of
texts are left out, and a fraction is cut off, all as in aria2. Pure: no I/O and no clock.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from downloadd.fronts.aria2.errors import ErrorText, RpcError, make_error

MAX_INTEGER: Final = 2**62
"""Largest magnitude of an integer parameter; one beyond it is reduced to it."""


class Parameters:
    """Parameters of one call, without the token; their numbers count from 0."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def text(self, index: int) -> str:
        """Return a text."""
        value = self._required(index)
        if not isinstance(value, str):
            raise _wrong_type(index)
        return value

    def binary(self, index: int) -> bytes | str:
        """Return bytes, or the text of their Base64 form."""
        value = self._required(index)
        if not isinstance(value, bytes | str):
            raise _wrong_type(index)
        return value

    def integer(self, index: int, *, minimum: int | None = None) -> int:
        """Return an integer of at least `minimum`."""
        number = _integer(self._required(index), index)
        if minimum is not None and number < minimum:
            raise make_error(ErrorText.INTEGER_TOO_SMALL, index=index, minimum=minimum)
        return number

    def optional_integer(self, index: int) -> int | None:
        """Return an integer."""
        return self.integer(index) if self._has(index) else None

    def texts(self, index: int) -> list[str]:
        """Return the texts in a list."""
        value = self._required(index)
        if not isinstance(value, list | tuple):
            raise _wrong_type(index)
        return [member for member in value if isinstance(member, str)]

    def optional_texts(self, index: int) -> list[str] | None:
        """Return the texts in a list."""
        return self.texts(index) if self._has(index) else None

    def struct(self, index: int) -> Mapping[str, Any]:
        """Return a struct."""
        value = self._required(index)
        if not isinstance(value, dict):
            raise _wrong_type(index)
        return value

    def optional_struct(self, index: int) -> Mapping[str, Any]:
        """Return a struct, empty if it is missing."""
        return self.struct(index) if self._has(index) else {}

    def optional_position(self, index: int) -> int | None:
        """Return a position in a list."""
        position = self.optional_integer(index)
        if position is not None and position < 0:
            raise make_error(ErrorText.NEGATIVE_POSITION)
        return position

    def list_of_any(self, index: int) -> list[Any]:
        """Return a list with its members as they are."""
        value = self._required(index)
        if not isinstance(value, list | tuple):
            raise _wrong_type(index)
        return list(value)

    def _has(self, index: int) -> bool:
        return index < len(self._values)

    def _required(self, index: int) -> Any:
        if not self._has(index):
            raise make_error(ErrorText.PARAMETER_MISSING, index=index)
        return self._values[index]


def _integer(value: Any, index: int) -> int:
    # A boolean is an integer in Python alone.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong_type(index)
    return max(-MAX_INTEGER, min(int(value), MAX_INTEGER))


def _wrong_type(index: int) -> RpcError:
    return make_error(ErrorText.WRONG_TYPE, index=index)
