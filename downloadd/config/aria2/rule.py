"""Rules: options of aria2 that together become one setting, and the values of options.

Pure: no I/O and no clock.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from downloadd.aria2.values import expand_home, parse_boolean, parse_number, parse_size
from downloadd.config.aria2.syntax import ConfOption

T = TypeVar("T")

ARIA2: Final = "aria2"
"""Id of the user, and name of the proxy, that a file describes."""


class OptionError(ValueError):
    """The value of an option is impossible; the message holds no value."""

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(problem)
        self.option = option


class Conf:
    """Options of a file by name."""

    def __init__(self, options: Mapping[str, ConfOption], home: str) -> None:
        """Take the options, and the home directory; "" if it is not known."""
        self._options = options
        self._home = home

    def line(self, name: str) -> int:
        """Return the number of the line of an option; 0 if it is not given."""
        return self._options[name].line if name in self._options else 0

    def text(self, name: str) -> str:
        """Return the value of an option; "" if it is not given.

        Raises:
            OptionError: its line has no value.
        """
        return self._parse(name, str, "")

    def number(self, name: str, default: int, low: int = 0) -> int:
        """Return a number, or `default` if the option is not given.

        Raises:
            OptionError: it is not a number from `low` on.
        """
        return self._parse(name, lambda text: parse_number(text, low), default)

    def size(self, name: str) -> int:
        """Return a number of bytes, or 0 if the option is not given.

        Raises:
            OptionError: it is not a size.
        """
        return self._parse(name, parse_size, 0)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean, or `default` if the option is not given.

        Raises:
            OptionError: it is neither true nor false.
        """
        return self._parse(name, parse_boolean, default, needs_value=False)

    def path(self, name: str) -> str:
        """Return a path with the home directory in it; "" if the option is not given.

        Raises:
            OptionError: the home directory is not known.
        """
        return self._parse(name, lambda text: expand_home(text, self._home), "")

    def _parse(self, name: str, parse: Callable[[str], T], default: T, *, needs_value: bool = True) -> T:
        option = self._options.get(name)
        if option is None:
            return default
        if needs_value and not option.has_value:
            raise OptionError(name, f"the line has no =; write {name}=value")
        try:
            return parse(option.value)
        except ValueError as error:
            raise OptionError(name, str(error)) from None


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """Value for a setting; for a list of tables, the fields of one table."""

    value: Any
    note: str = ""


class Unused(msgspec.Struct, frozen=True):
    """The options have no effect, with the reason."""

    reason: str


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Options that together become one setting."""

    options: tuple[str, ...]
    """The rule applies if one of them is given."""
    setting: str = ""
    """`<table>.<key>`, or the name of a list of tables; "" if there is none."""
    derive: Callable[[Conf], Derived | Unused | None]
    """Returns None if the options do not concern the setting."""
    meaning: str
    """Derivation of the value from the options, for the reference (Markdown)."""
    replaced_by: tuple[str, ...] = ()
    """Further settings that replace this one if another source gives them."""
    unless_equal: str = ""
    """Setting that makes this one needless if both have the same value."""
