"""Generated texts about the settings: the example file, the tables of the reference page, help of flags.

Pure: no I/O and no clock.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import Any, Final

import msgspec

from downloadd.config.conversion import describe_expected
from downloadd.config.fields import Setting, element_type, read_settings
from downloadd.config.settings import Config
from downloadd.config.sources import iter_settings
from downloadd.sizes import format_size

_COMMENT_COLUMN: Final = 28
_WIDTH: Final = 120
_INTRODUCTION: Final = """\
The configuration of downloadd: every key with its default. Generated from the settings in downloadd/config.

Start with `downloadd --config config.toml`. A variable such as DOWNLOADD_SERVER__PORT=9000 overrides the file, a flag
overrides both. Sizes are bytes or texts such as "10 MiB" and "4 GB", durations are seconds. SIGHUP reloads users,
domains, certificate authorities, directories, limits and hooks.
"""
_FIXED_SPACE: Final = "\0"
"""Stands for a space at which no line is broken."""


def render_example() -> str:
    """Return the example file: tables with their defaults, lists of tables as commented examples."""
    blocks = [_comment(_INTRODUCTION.splitlines())]
    for field in msgspec.structs.fields(Config):
        struct = element_type(field.type)
        lines = _render_table(field.name, field.type) if struct is None else _render_list(field.name, struct)
        blocks.append(list(lines))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def render_tables() -> Iterator[str]:
    """Yield the sections of the reference page in Markdown, one for each table."""
    for field in msgspec.structs.fields(Config):
        struct = element_type(field.type) or field.type
        title, paragraphs = _read_docstring(struct)
        yield f"\n## {title}\n"
        yield from (f"{paragraph}\n" for paragraph in paragraphs)
        yield "| key | default | values | set by | meaning |\n| --- | --- | --- | --- | --- |"
        for setting in read_settings(field.name, struct).values():
            yield _render_row(setting, is_list=struct is not field.type)


def describe_flag(flag: str) -> Setting:
    """Return the setting that a flag such as `--port` sets.

    Raises:
        LookupError: none has this flag.
    """
    for setting in iter_settings():
        if setting.flag == flag:
            return setting
    raise LookupError(flag)


# -- the example file --------------------------------------------------------------------------------------------------


def _render_table(name: str, struct: type[msgspec.Struct]) -> Iterator[str]:
    yield f"[{name}]"
    for setting in read_settings(name, struct).values():
        example = f" Example: {_format(setting.examples[0])}." if setting.examples else ""
        text = setting.description + _unit_sentence(setting) + example.replace(" ", _FIXED_SPACE).replace("\0", " ", 1)
        yield from _render_line(setting, _size_text(setting, setting.default), text)


def _render_list(name: str, struct: type[msgspec.Struct]) -> Iterator[str]:
    title, paragraphs = _read_docstring(struct)
    subject = title.partition(": ")[2]
    yield from _comment([" ".join((f"{subject[0].upper()}{subject[1:]}.", *paragraphs))])
    settings = read_settings(name, struct)
    groups: Sequence[Sequence[str]] = getattr(struct, "EXAMPLES", (tuple(settings),))
    described: set[str] = set()
    for number, group in enumerate(groups):
        yield "#"
        yield f"#[[{name}]]"
        for field in group:
            setting = settings[field]
            text = "" if field in described else setting.description + _unit_sentence(setting)
            described.add(field)
            example = setting.examples[min(number, len(setting.examples) - 1)]
            yield from _render_line(setting, example, text, prefix="#")


def _render_line(setting: Setting, value: Any, text: str, *, prefix: str = "") -> Iterator[str]:
    """Yield a key with its value and `text` as a comment beside it; above it if the line would be too long."""
    assignment = f"{prefix}{setting.name} = {_format(value)}"
    left = max(_COMMENT_COLUMN, len(assignment) + 2)
    if left > _COMMENT_COLUMN and left + 2 + len(text) > _WIDTH:
        yield from _comment(text.splitlines())
        yield assignment
        return
    lines = [line for part in text.splitlines() for line in _wrap(part, _WIDTH - left - 2)] or [""]
    yield f"{assignment:<{left}}# {lines[0]}" if lines[0] else assignment
    yield from (f"{prefix:<{left}}# {line}" for line in lines[1:])


def _comment(paragraphs: Sequence[str]) -> list[str]:
    return [f"# {line}".rstrip() for paragraph in paragraphs for line in _wrap(paragraph, _WIDTH - 2) or [""]]


def _wrap(text: str, width: int) -> list[str]:
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_FIXED_SPACE, " ") for line in lines]


def _unit_sentence(setting: Setting) -> str:
    # The head of the file says that sizes are bytes.
    return f" In {setting.unit}." if setting.unit and setting.unit != "bytes" else ""


def _read_docstring(struct: type[msgspec.Struct]) -> tuple[str, list[str]]:
    """Return the title of a table and the paragraphs below it, each on one line."""
    title, *paragraphs = cleandoc(struct.__doc__ or "").split("\n\n")
    return title.rstrip("."), [" ".join(paragraph.split()) for paragraph in paragraphs]


# -- the reference page ------------------------------------------------------------------------------------------------


def _render_row(setting: Setting, *, is_list: bool) -> str:
    default = (
        ""
        if setting.is_required or setting.default is msgspec.UNSET
        else f"`{_format(_size_text(setting, setting.default))}`"
    )
    # A list of tables is set as a whole.
    ways = [] if is_list else [setting.variable, *([setting.flag] if setting.flag else [])]
    examples = "".join(f" Example: `{_format(example)}`." for example in setting.examples[:1])
    former = f" Until the next version also called `{setting.former_name}`." if setting.former_name else ""
    cells = (
        "required" if setting.is_required else default,
        describe_expected(setting) + ("" if setting.unit in ("", "bytes") else f", {setting.unit}"),
        ", ".join(f"`{way}`" for way in ways),
        f"{setting.description}{examples}{former}",
    )
    escaped = (" ".join(cell.replace("|", "\\|").split()) for cell in cells)
    return f"| `{setting.name}` | {' | '.join(escaped)} |"


def _size_text(setting: Setting, value: Any) -> Any:
    return format_size(value) if setting.is_size and value else value


def _format(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_format(item)}" for key, item in value.items()) + " }"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:_}" if value >= 100_000 else str(value)
    return json.dumps(list(value) if isinstance(value, tuple) else value)
