"""Parser of challenges: the fields WWW-Authenticate and Proxy-Authenticate (RFC 9110, section 11.6.1).

A comma separates challenges as well as the parameters of one: a token is a parameter if an equals sign follows, else
the scheme of the next challenge. Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from downloadd.request_fields import HTTP_TOKEN

MAX_CHALLENGES: Final = 20
"""Challenges of one response that are considered."""

_SEPARATORS: Final = re.compile(r"[ \t,]*")
_EQUALS: Final = re.compile(r"[ \t]*=[ \t]*")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_TOKEN68: Final = re.compile(r"[ \t]+([A-Za-z0-9._~+/-]+=*)(?=[ \t]*(?:,|\Z))")
_ESCAPED: Final = re.compile(r"\\(.)")


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """One challenge of a response."""

    scheme: str
    """In lower case."""
    parameters: Mapping[str, str] = {}
    """Values by name in lower case, without quotes and escapes."""
    token68: str | None = None
    """The data of schemes without parameters, such as Negotiate."""


def parse_challenges(lines: Iterable[str]) -> list[Challenge]:
    """Return the challenges of all lines of the field, in their order.

    What follows a malformed part of a line is not used; a challenge that states a parameter twice is left out.
    """
    found: list[Challenge] = []
    for line in lines:
        for challenge in _parse_line(line):
            if len(found) == MAX_CHALLENGES:
                return found
            found.append(challenge)
    return found


def parse_parameters(text: str) -> dict[str, str]:
    """Return the parameters of a list without a scheme, as Authentication-Info has one (RFC 7615, section 3)."""
    parameters: dict[str, str] = {}
    position = _skip(_SEPARATORS, text, 0)
    while (parameter := _parse_parameter(text, position)) is not None:
        name, value, position = parameter
        parameters.setdefault(name, value)
        position = _skip(_SEPARATORS, text, position)
    return parameters


def _parse_line(line: str) -> Iterator[Challenge]:
    position = _skip(_SEPARATORS, line, 0)
    while (scheme := HTTP_TOKEN.match(line, position)) is not None:
        position = scheme.end()
        if _EQUALS.match(line, position) is not None:
            # A parameter whose value is malformed.
            return
        token68 = _TOKEN68.match(line, position)
        if token68 is not None:
            yield Challenge(scheme=scheme[0].lower(), token68=token68[1])
            position = _skip(_SEPARATORS, line, token68.end())
            continue
        pairs: list[tuple[str, str]] = []
        position = _skip(_SEPARATORS, line, position)
        while (parameter := _parse_parameter(line, position)) is not None:
            pairs.append(parameter[:2])
            position = _skip(_SEPARATORS, line, parameter[2])
        parameters = dict(pairs)
        if len(parameters) == len(pairs):
            yield Challenge(scheme=scheme[0].lower(), parameters=parameters)


def _parse_parameter(text: str, position: int) -> tuple[str, str, int] | None:
    """Return name, value and end of the parameter at a position; None if there is none."""
    name = HTTP_TOKEN.match(text, position)
    equals = None if name is None else _EQUALS.match(text, name.end())
    if name is None or equals is None:
        return None
    quoted = _QUOTED.match(text, equals.end())
    if quoted is not None:
        return name[0].lower(), _ESCAPED.sub(r"\1", quoted[1]), quoted.end()
    token = HTTP_TOKEN.match(text, equals.end())
    return None if token is None else (name[0].lower(), token[0], token.end())


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return position if found is None else found.end()
