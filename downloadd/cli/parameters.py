"""Types of option values."""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import click

from downloadd.sizes import parse_size

if TYPE_CHECKING:
    _SizeType = click.ParamType[int]
else:
    # Only the latest versions of click make it generic.
    _SizeType = click.ParamType


class Size(_SizeType):
    """Type of an option that takes a size in bytes, such as `10 MiB`."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the size in bytes."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


SIZE: Final = Size()


def one_of(members: Iterable[StrEnum]) -> "click.Choice[str]":
    """Return the type of an option that takes the value of one of these members.

    Of an enumeration, click before 8.2 takes the values, and click from 8.2 on the names.
    """
    return click.Choice([member.value for member in members])
