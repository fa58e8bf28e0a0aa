"""Manual pages of the commands, made from the texts of `--help`.

Pure: no I/O and no clock.
"""

import inspect
from collections.abc import Iterator
from typing import Final

import click

from downloadd import __version__

_KEPT_AS_IT_IS: Final = "\b\n"
"""Beginning of a paragraph whose lines click does not join."""


def render_man_page(command: click.Group, name: str, *, see_also: str) -> str:
    """Return the page of a command in the language of man(7), with a section for each command below it."""
    context = click.Context(command, info_name=name)
    lines = [
        f'.\\" Made by `python -m downloadd.documentation` from the texts of {name} --help.',
        f'.TH {name.upper()} 1 "" "downloadd {__version__}" "User Commands"',
        ".SH NAME",
        f"{name} \\- {_escape(_first_sentence(command))}",
        ".SH SYNOPSIS",
        *_render_synopsis(command, context),
        ".SH DESCRIPTION",
        *_render_paragraphs(command.help or ""),
        ".SH OPTIONS",
        *_render_options(command, context),
        ".SH COMMANDS",
    ]
    for path, below, each in _walk(command, context, name):
        lines += [f'.SS "{_escape(path)}"', *_render_synopsis(below, each)]
        lines += [*_render_paragraphs(below.help or ""), *_render_options(below, each)]
    lines += [".SH NOTES", *_render_paragraphs(command.epilog or ""), ".SH SEE ALSO", see_also]
    return "\n".join(lines) + "\n"


def _walk(group: click.Group, context: click.Context, path: str) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in sorted(group.commands):
        command = group.commands[name]
        below = click.Context(command, info_name=name, parent=context)
        yield f"{path} {name}", command, below
        if isinstance(command, click.Group):
            yield from _walk(command, below, f"{path} {name}")


def _first_sentence(command: click.Command) -> str:
    text = " ".join((command.help or "").split("\n\n", maxsplit=1)[0].split()).rstrip(".")
    return text[:1].lower() + text[1:]


def _render_synopsis(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f".B {_escape(context.command_path)}"
    yield _escape(" ".join(command.collect_usage_pieces(context)))


def _render_options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield from (".TP", f".B {_escape(record[0])}", _escape(" ".join(record[1].split())))


def _render_paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a text of click; one that is kept as it is has the type of examples."""
    for paragraph in filter(None, (each.strip("\n") for each in inspect.cleandoc(text).split("\n\n"))):
        yield ".PP"
        if paragraph.startswith(_KEPT_AS_IT_IS):
            yield from (".nf", *map(_escape, paragraph.removeprefix(_KEPT_AS_IT_IS).splitlines()), ".fi")
        else:
            yield _escape(" ".join(paragraph.split()))


def _escape(text: str) -> str:
    """Return a text that has no meaning for the formatter; a line may not begin as a request does."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
