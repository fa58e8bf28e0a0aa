"""Decoding of query strings into structs, and error messages for values that do not fit.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import inspect

from downloadd.bulk_actions import BulkAction
from downloadd.download import Conflict
from downloadd.errors import InvalidParameterError
from downloadd.fronts.rest.queue_schemas import MoveTo
from downloadd.fronts.rest.target import Query, decode_form, decode_percent

MAX_PROBLEM_CHARACTERS: Final = 300
"""Characters of a message about a value of a client, which it may quote."""

_PRINTABLE_NAME: Final = re.compile(r"[A-Za-z_]{1,32}")
"""Names of unknown parameters that a message may repeat: part of a URL that was not percent-encoded can be a secret."""

_REDACTED_NAME: Final = "a name that is not repeated here"

_UNKNOWN_FIELD: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)

_NUMBER: Final = re.compile(r"-?[0-9]{1,19}(?:\.[0-9]{1,19})?")

_Value = str | int | float | bool

_JSON_PATH: Final = re.compile(r" - at `\$([A-Za-z0-9_.\[\]]*)`\Z")
"""JSON path of the value, at the end of msgspec's message."""

_MESSAGE_REWRITES: Final = (
    (re.compile(r"^Expected `str` of length <= 0$"), "takes no value; leave it empty"),
    (re.compile(r"^Expected `(?:int|float)` >= (-?\d+)(?:\.0)?$"), r"must be at least \1"),
    (re.compile(r"^Expected `(?:int|float)` <= (\d+)(?:\.0)?$"), r"must be at most \1"),
    (re.compile(r"^Expected `array` of length >= (\d+)$"), r"must have at least \1 entry"),
    (re.compile(r"^Expected `array` of length <= (\d+)$"), r"must have at most \1 entries"),
)
"""Messages of msgspec about values out of range, and their replacements."""


_CHOICES: Final = (
    (".conflict", tuple(Conflict)),
    (".to", (*MoveTo, "an index")),
    (".action", tuple(BulkAction)),
)
"""Words that a field of a body takes, by the end of its JSON path."""


def describe_validation_error(
    error: msgspec.ValidationError, *, root: str = "", fields: Sequence[str] = ()
) -> InvalidParameterError:
    """Return the error about a value that does not fit.

    Args:
        error: the error of msgspec.
        root: the start of the JSON path.
        fields: the fields that are known at that place.
    """
    text = str(error)
    # The last match: text of a client may look like a JSON path, but stands before it.
    found = _JSON_PATH.search(text)
    problem, path = (text[: found.start()], found[1]) if found else (text, "")
    name = f"{root}{path}".lstrip(".")
    if unknown := _UNKNOWN_FIELD.match(problem):
        problem = f"object contains {_describe_unknown_field(unknown[1])}"
        if fields and not path:
            problem += f"; known are {', '.join(fields)}"
    elif problem.startswith("Invalid enum value"):
        problem = next((_describe_choices(words) for field, words in _CHOICES if path.endswith(field)), "invalid value")
    for pattern, replacement in _MESSAGE_REWRITES:
        problem = pattern.sub(replacement, problem)
    message = problem[:1].lower() + problem[1:].replace("`", "")
    return InvalidParameterError(name or "body", message[:MAX_PROBLEM_CHARACTERS])


def redact_parameter_name(name: str) -> str:
    """Return the name of an unknown parameter, or a replacement if it may be a secret."""
    return name if _PRINTABLE_NAME.fullmatch(name) else _REDACTED_NAME


def parameter_names(type: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the names of a query's parameters, required ones first."""
    fields = msgspec.structs.fields(type)
    return tuple(field.name for field in sorted(fields, key=lambda field: not field.required))


Q = TypeVar("Q", bound=msgspec.Struct)


class QueryDecoder(Generic[Q]):
    """Decoder of query strings into one type of struct."""

    def __init__(self, type: type[Q]) -> None:
        self.type = type
        self._names = parameter_names(type)
        kinds = {field.name: member_types(field.type) for field in msgspec.structs.fields(type)}
        self._lists = frozenset(name for name, kind in kinds.items() if _accepts(kind, inspect.ListType))
        self._integers = frozenset(name for name, kind in kinds.items() if _accepts(kind, inspect.IntType))
        self._numbers = frozenset(name for name, kind in kinds.items() if _accepts(kind, inspect.FloatType))
        self._booleans = frozenset(name for name, kind in kinds.items() if _accepts(kind, inspect.BoolType))
        self._choices = {name: choices for name, kind in kinds.items() if (choices := allowed_values(kind))}

    def decode(self, query: Query) -> Q:
        """Return the struct that a query stands for.

        Raises:
            InvalidParameterError: A parameter is unknown, repeated, missing, or has an invalid value.
        """
        values: dict[str, _Value | list[_Value]] = {}
        for name, text in query.values.items():
            value = self._decode_value(name, text)
            values[name] = [value] if name in self._lists else value
        for name, texts in query.repeated.items():
            if name not in self._lists:
                raise InvalidParameterError(redact_parameter_name(name), f"given more than once{self._encoding_hint()}")
            values[name] = [self._decode_value(name, text) for text in (query.values[name], *texts)]
        try:
            return msgspec.convert(values, self.type)
        except msgspec.ValidationError as error:
            raise describe_validation_error(error) from None

    def _decode_value(self, name: str, text: str) -> _Value:
        if name not in self._names:
            raise InvalidParameterError(
                redact_parameter_name(name),
                f"unknown parameter; known are {', '.join(self._names)}{self._encoding_hint()}",
            )
        try:
            # A URL contains no space, so a plus sign stands for itself.
            value = decode_percent(text) if name == "download" else decode_form(text)
        except UnicodeDecodeError:
            raise InvalidParameterError(name, "not UTF-8; percent-encode its UTF-8 bytes") from None
        if name in self._integers:
            return _parse_integer(name, value)
        if name in self._numbers:
            return _parse_number(name, value)
        if name in self._booleans:
            return _parse_boolean(name, value)
        if name in self._choices and value not in self._choices[name]:
            raise InvalidParameterError(name, _describe_choices(self._choices[name]))
        return value

    def _encoding_hint(self) -> str:
        if "download" not in self._names:
            return ""
        return "; if it belongs to the URL in download, percent-encode that URL"


def member_types(annotation: object) -> tuple[inspect.Type, ...]:
    """Return the types of a union, or the one type, without their metadata."""
    kind = inspect.type_info(annotation)
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return tuple(one.type if isinstance(one, inspect.Metadata) else one for one in kinds)


def allowed_values(kinds: tuple[inspect.Type, ...]) -> tuple[str, ...]:
    """Return the values of the enumeration or literal among these types; empty if there is none."""
    for kind in kinds:
        if isinstance(kind, inspect.EnumType):
            return tuple(str(member) for member in kind.cls)
        if isinstance(kind, inspect.LiteralType):
            return tuple(str(value) for value in kind.values)
    return ()


def _accepts(kinds: tuple[inspect.Type, ...], kind: type[inspect.Type]) -> bool:
    return any(isinstance(one, kind) for one in kinds)


def _describe_choices(choices: tuple[str, ...]) -> str:
    return f"expected one of {', '.join(choices)}"


def _describe_unknown_field(name: str) -> str:
    shown = redact_parameter_name(name)
    return f"an unknown field with {shown}" if shown == _REDACTED_NAME else f"unknown field {shown}"


def _parse_boolean(name: str, text: str) -> bool:
    if text not in {"true", "false"}:
        raise InvalidParameterError(name, _describe_choices(("true", "false")))
    return text == "true"


def _parse_integer(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise InvalidParameterError(name, "expected an integer in decimal digits")
    return int(text)


def _parse_number(name: str, text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise InvalidParameterError(name, "expected a number in decimal digits, such as 30 or 0.5")
    return float(text)
