"""Options of the daemon's command, made from the settings that they set."""

from collections.abc import Callable
from typing import Any

import click
from msgspec import inspect

from downloadd.config.fields import Setting
from downloadd.config.reference import describe_flag

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def setting_option(flag: str) -> Decorator:
    """Return the decorator that adds the option of a setting; its help is the description of the field."""
    setting = describe_flag(flag)
    help_text = _describe(setting)
    match setting.value_type:
        case inspect.BoolType():
            return click.option(flag, is_flag=True, help=help_text)
        case inspect.VarTupleType():
            return click.option(flag, metavar=setting.metavar, multiple=True, help=help_text)
        case inspect.IntType():
            return click.option(flag, metavar=setting.metavar, type=int, help=help_text)
        case _:
            return click.option(flag, metavar=setting.metavar, help=help_text)


def _describe(setting: Setting) -> str:
    match setting.value_type:
        case inspect.VarTupleType():
            return f"{setting.description} Repeatable; replaces the list of the file."
        case inspect.BoolType():
            return setting.description
        case _:
            return f"{setting.description}  [default: {setting.default}]" if setting.default else setting.description
