"""Tokens in calls and in messages that are not parsed yet.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import unescape
from itertools import islice
from typing import Any, Final

import msgspec

from downloadd.fronts.aria2.calls import Call

TOKEN_PREFIX: Final = "token:"  # noqa: S105 - begins a token, and is none
MULTICALL: Final = "system.multicall"

MAX_SCANNED_TOKENS: Final = 100
"""Tokens that are read from a message that is not parsed yet."""

_IN_JSON: Final = re.compile(rb'"token:((?:[^"\\]|\\.){1,1000})"')
_IN_XML: Final = re.compile(rb">\s*token:([^<]{1,1000})<")


def take_token(params: Sequence[Any]) -> tuple[str | None, Sequence[Any]]:
    """Return the token, "" for an empty one and None without one, and the parameters behind it."""
    if params and isinstance(params[0], str) and params[0].startswith(TOKEN_PREFIX):
        return params[0].removeprefix(TOKEN_PREFIX), params[1:]
    return None, params


def collect_tokens(calls: Iterable[Call]) -> frozenset[str]:
    """Return the tokens of calls, and of the calls within `system.multicall`, without empty ones."""
    return frozenset(token for call in calls for params in _iter_params(call) if (token := take_token(params)[0]))


def scan_json(head: bytes) -> frozenset[str]:
    """Return texts in the beginning of a JSON message that may be tokens."""
    found = islice(_IN_JSON.finditer(head), MAX_SCANNED_TOKENS)
    return frozenset(text for match in found if (text := _decode_json_text(match[1])))


def scan_xml(head: bytes) -> frozenset[str]:
    """Return texts in the beginning of an XML document that may be tokens."""
    found = islice(_IN_XML.finditer(head), MAX_SCANNED_TOKENS)
    return frozenset(unescape(match[1].decode("utf-8", "replace")) for match in found)


def _iter_params(call: Call) -> Iterator[list[Any]]:
    yield call.params
    if call.method == MULTICALL:
        for param in call.params[:2]:
            for inner in param if isinstance(param, list) else ():
                params = inner.get("params") if isinstance(inner, dict) else None
                if isinstance(params, list):
                    yield params


def _decode_json_text(text: bytes) -> str:
    try:
        return msgspec.json.decode(b'"%b"' % text, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
