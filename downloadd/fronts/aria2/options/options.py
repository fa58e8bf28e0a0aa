"""Options of a call: read from its struct, checked by the table, and completed by the global ones.

Checked options are a mapping of names to canonical texts; the lines of `header` are one text. Pure: no I/O and no
clock.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from downloadd.fronts.aria2.errors import ErrorText, RpcError, make_error
from downloadd.fronts.aria2.options.option_table import INHERITED, OPTIONS, Option, Use
from downloadd.fronts.aria2.options.option_values import format_boolean

Options = Mapping[str, str]
"""Canonical texts of options by their names."""

DOWNLOAD_USES: Final = frozenset({Use.START, Use.DOWNLOAD, Use.IGNORED})
"""Uses of the options of one download."""
GLOBAL_USES: Final = frozenset({Use.DOWNLOAD, Use.DAEMON, Use.IGNORED})
"""Uses of the global options."""

HEADER: Final = "header"


def read_options(given: Mapping[str, Any], uses: Collection[Use]) -> dict[str, str]:
    """Return the options with an effect; unknown ones, other uses and values of other types are left out.

    Raises:
        RpcError: an option has an impossible value.
    """
    options: dict[str, str] = {}
    for name, value in given.items():
        option = OPTIONS.get(name)
        if option is None or option.use not in uses:
            continue
        text = _text_of(option, value)
        if text is None:
            continue
        try:
            options[name] = option.normalize(text)
        except ValueError:
            raise bad_option(name) from None
    return {name: text for name, text in options.items() if OPTIONS[name].use is not Use.IGNORED}


def inherit_options(own: Options, global_options: Options) -> dict[str, str]:
    """Return the options of a new download: its own, and global ones.

    Of the global header fields, those stay that its own ones do not name.
    """
    inherited = {name: text for name, text in global_options.items() if name in INHERITED}
    merged = {**inherited, **own}
    if HEADER in inherited and HEADER in own:
        lines = own[HEADER].split("\n")
        names = {_name_of(line) for line in lines}
        merged[HEADER] = _join_lines(
            [*(line for line in inherited[HEADER].split("\n") if _name_of(line) not in names), *lines]
        )
    return merged


def bad_option(name: str, reason: str = "") -> RpcError:
    """Return the error for an impossible value."""
    return make_error(ErrorText.BAD_OPTION, name=name, reason=reason)


def _name_of(line: str) -> str:
    return line.partition(":")[0].strip().lower()


def _text_of(option: Option, value: Any) -> str | None:
    match value:
        case str() if option.is_list:
            return _join_lines(value.split("\n"))
        case str():
            return value
        case bool():
            return format_boolean(value)
        case int():
            return str(value)
        case list() | tuple() if option.is_list:
            lines = [line for line in value if isinstance(line, str)]
            # Lines of one member would be further fields that nobody asked for.
            if any("\n" in line for line in lines):
                raise bad_option(option.name, "a header field may not hold a line break")
            return _join_lines(lines)
        case _:
            return None


def _join_lines(lines: Iterable[str]) -> str:
    return "\n".join(filter(str.strip, lines))
