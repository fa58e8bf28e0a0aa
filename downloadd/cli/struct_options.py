"""Options of a command, made from the fields of an API struct: type, limits and description are those of the field."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar

import click
import msgspec
from msgspec import inspect

from downloadd.cli.parameters import INSTANT, INSTANT_HELP, SIZE, one_of
from downloadd.download_request import BYTES_PER_SECOND, SECONDS

F = TypeVar("F", bound=Callable[..., Any])

FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "filename": ("-n", "--name"),
    "directory": ("-d", "--dir"),
    "timeout": ("-t", "--timeout"),
    "segments": ("-s", "--segments"),
    "checksum": ("-c", "--checksum"),
    "priority": ("-p", "--priority"),
    "speed_limit": ("-l", "--limit"),
    "url": ("-u", "--from"),
    "not_before": ("--at", "--not-before"),
}
"""Flags of fields of a download with a short letter or another name; any other field `a_b` has `--a-b`."""


def struct_options(
    struct: type[msgspec.Struct], *, exclude: Collection[str] = (), flags: Mapping[str, tuple[str, ...]] = FLAGS
) -> Callable[[F], F]:
    """Return a decorator that adds an option for each field; a value that is not given is None.

    Args:
        struct: the struct.
        exclude: fields without an option.
        flags: flags of fields that have others than their name.
    """
    fields = [field for field in msgspec.structs.fields(struct) if field.name not in exclude]

    def decorate(function: F) -> F:
        # The help lists options in the order in which decorators stand, the innermost last.
        for field in reversed(fields):
            names = flags.get(field.name, (f"--{field.name.replace('_', '-')}",))
            function = _make_option(names, field.name, field.type)(function)
        return function

    return decorate


def given_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _make_option(flags: tuple[str, ...], name: str, annotation: object) -> Callable[[F], F]:
    kind, description, unit = _describe(annotation)
    if name == "not_before":
        return click.option(*flags, name, type=INSTANT, metavar="TIME", help=INSTANT_HELP)
    help_text = f"{description} Example: '2 MiB'." if unit == BYTES_PER_SECOND else description
    metavar = "SECONDS" if unit == SECONDS else None
    if isinstance(kind, inspect.BoolType):
        return click.option(*flags, name, is_flag=True, default=None, help=help_text)
    return click.option(*flags, name, type=_option_type(kind, unit), metavar=metavar, help=help_text)


def _describe(annotation: object) -> tuple[inspect.Type, str, Mapping[str, Any]]:
    """Return the type of a field, its description, and its unit."""
    kind = inspect.type_info(annotation)
    members = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    [member] = [one for one in members if not isinstance(one, inspect.NoneType)]
    if not isinstance(member, inspect.Metadata):
        return member, "", {}
    return member.type, (member.extra_json_schema or {}).get("description", ""), member.extra or {}


def _option_type(kind: inspect.Type, unit: Mapping[str, Any]) -> "click.ParamType[Any]":
    match kind:
        case inspect.IntType() if unit == BYTES_PER_SECOND:
            return SIZE
        case inspect.IntType(ge=minimum, le=maximum):
            return click.IntRange(minimum, maximum)
        case inspect.FloatType(ge=minimum, le=maximum):
            return click.FloatRange(minimum, maximum)
        case inspect.EnumType(cls=members):
            return one_of(members)
        case _:
            return click.STRING
