"""Syntax of an `aria2.conf`: lines to options.

https://aria2.github.io/manual/en/html/aria2c.html#aria2-conf describes it. Pure: no I/O and no clock.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_BYTE_ORDER_MARK: Final = "\ufeff"


class ConfOption(msgspec.Struct, frozen=True, kw_only=True):
    """One option of the file."""

    line: int
    name: str
    value: str
    has_value: bool = True
    """False if the line has no `=`; aria2 takes that for true, where it expects true or false."""


def parse_options(text: str) -> Sequence[ConfOption]:
    """Return the options of a file in their order; a line that is none has "" as its name, since it may be a secret."""
    options = []
    for number, line in enumerate(text.removeprefix(_BYTE_ORDER_MARK).split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            name, separator, value = stripped.partition("=")
            name = name.strip() if _NAME.fullmatch(name.strip()) else ""
            options.append(ConfOption(line=number, name=name, value=value.strip(), has_value=separator != ""))
    return options
