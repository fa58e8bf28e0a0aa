"""Conversion of values: what TOML and variables hold, as the type of a setting; messages about what they do not.

Pure: no I/O and no clock.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from downloadd.config.fields import Setting
from downloadd.sizes import parse_size

_INTEGER: Final = re.compile(r"[+-]?[0-9]+(_[0-9]+)*")
_MAX_INTEGER_CHARACTERS: Final = 100
_MAX_SHOWN_CHARACTERS: Final = 60
_BOOLEAN_WORDS: Final = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def convert(setting: Setting, value: object) -> Any:
    """Return a value of TOML or JSON as the type of the setting.

    Raises:
        ValueError: it has another type or is out of range; says what is expected, and never shows a secret.
    """
    try:
        if setting.is_size and isinstance(value, str):
            value = parse_size(value)
        return msgspec.convert(value, setting.type)
    except msgspec.ValidationError:
        is_hidden = setting.is_secret or isinstance(setting.value_type, inspect.DictType)
        got = "" if is_hidden else f", got {format_value(value)}"
        raise ValueError(f"expected {describe_expected(setting)}{got}") from None
    except ValueError as error:
        raise ValueError(f"{error}, got {format_value(value)}") from None


def check_choices(setting: Setting, value: object) -> Iterator[str]:
    """Yield a problem for each text of a list that is not among the choices of the setting."""
    for text in value if setting.choices and isinstance(value, tuple) else ():
        if text not in setting.choices:
            problem = describe_unknown(text, map_to_themselves(setting.choices), kind=setting.choice_name)
            yield f"{format_value(text)}: {problem}"


def parse_text(setting: Setting, text: str) -> object:
    """Return the value that the text of a variable stands for; the text itself if it does not fit the type.

    Raises:
        ValueError: a list in JSON is malformed.
    """
    match setting.value_type:
        case inspect.BoolType():
            return _BOOLEAN_WORDS.get(text.strip().lower(), text)
        case inspect.IntType() if _INTEGER.fullmatch(text.strip()):
            # A longer number is out of range, and Python refuses to parse one that is much longer.
            return int(text) if len(text) < _MAX_INTEGER_CHARACTERS else text
        case inspect.FloatType():
            try:
                return float(text)
            except ValueError:
                return text
        case inspect.VarTupleType() if text.lstrip().startswith("["):
            return parse_json_list(text)
        case inspect.VarTupleType():
            return [part.strip() for part in text.split(",") if part.strip()]
        case _:
            return text


def parse_json_list(text: str) -> object:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is malformed or nested too deeply.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("expected a list in JSON") from None


def describe_expected(setting: Setting) -> str:
    """Return a noun phrase for the values that a setting accepts."""
    if setting.expected:
        return setting.expected
    if setting.is_size:
        return 'a size in bytes, at most 4 EiB, or one such as "10 MiB"'
    match setting.value_type:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return f"an integer from {low} to {high}"
        case inspect.FloatType(ge=low, le=high):
            return f"a number from {low:g} to {high:.0f}"
        case inspect.StrType(min_length=None):
            return "a text in quotes"
        case inspect.StrType(max_length=None):
            return "a text in quotes that is not empty"
        case inspect.StrType(max_length=longest):
            return f"a text in quotes of 1 to {longest} characters"
        case inspect.DictType():
            return "a table of texts"
        case _:
            return "a list of texts"


def format_value(value: object) -> str:
    """Return a value for a message: texts and numbers as TOML writes them, others by their type."""
    match value:
        case bool() | str():
            text = json.dumps(value)
        case int() | float():
            text = str(value) if isinstance(value, float) or abs(value) < 10**60 else "a huge number"
        case list():
            return "a list" if all(isinstance(item, str) for item in value) else "a list of other things"
        case dict():
            return "a table"
        case _:
            return "a date or time"
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}…"


def describe_unknown(
    word: str, candidates: Mapping[str, str], fallbacks: Mapping[str, str] | None = None, *, kind: str = "key"
) -> str:
    """Return the problem with an unknown word: the most similar candidate or fallback, or all candidates.

    `candidates` and `fallbacks` map a word to its spelling in the message.
    """
    if fallbacks is not None and word in fallbacks and word not in candidates:
        return f"unknown {kind}; did you mean {fallbacks[word]}?"
    for known in (candidates, fallbacks or {}):
        found = difflib.get_close_matches(word, known, n=1)
        if found:
            return f"unknown {kind}; did you mean {known[found[0]]}?"
    return f"unknown {kind}; known ones: {', '.join(candidates.values())}"


def map_to_themselves(words: Iterable[str]) -> dict[str, str]:
    """Return each word with itself as its spelling."""
    return {word: word for word in words}
