"""Options of aria2's input files that become parameters of a download.

https://aria2.github.io/manual/en/html/aria2c.html#input-file. Pure: no I/O and no clock.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from downloadd.aria2.unused import UNUSED
from downloadd.aria2.values import parse_boolean, parse_number, parse_size
from downloadd.download import Conflict
from downloadd.import_operation import FileParameters

MAX_SEGMENTS: Final = 16
MAX_RETRIES: Final = 1000
MAX_SECONDS: Final = 86_400

_DEFAULT_SPLIT: Final = 5
_GID: Final = re.compile(r"(?!0{16})[0-9a-f]{16}")
_PROXY: Final = re.compile(r"(?:all|http|https)-proxy(?:-user|-passwd)?|no-proxy")


def _parse_gid(text: str) -> str:
    if not _GID.fullmatch(text.lower()):
        raise ValueError("expected 16 hexadecimal digits, not all of them 0")
    return text.lower()


def _parse_count(text: str) -> int:
    return parse_number(text, 1)


def _parse_seconds(text: str) -> int:
    return parse_number(text, 0, MAX_SECONDS)


PARSERS: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {
        "allow-overwrite": parse_boolean,
        "auto-file-renaming": parse_boolean,
        "conditional-get": parse_boolean,
        "connect-timeout": _parse_seconds,
        "gid": _parse_gid,
        "lowest-speed-limit": parse_size,
        "max-connection-per-server": _parse_count,
        "max-download-limit": parse_size,
        "max-tries": parse_number,
        "pause": parse_boolean,
        "retry-wait": _parse_seconds,
        "split": _parse_count,
        "timeout": _parse_seconds,
    }
)
"""Functions that parse the values of the options, by name; they raise ValueError with what is expected."""


def make_parameters(values: Mapping[str, Any]) -> FileParameters | None:
    """Return the parameters that parsed options stand for; None if there are none."""
    parameters = FileParameters(
        segments=_segments(values),
        conflict=_conflict(values),
        skip_same=values.get("conditional-get"),
        speed_limit=values.get("max-download-limit", 0),
        max_retries=_max_retries(values),
        retry_wait=values.get("retry-wait"),
        stall_timeout=values.get("timeout"),
        connect_timeout=values.get("connect-timeout"),
        min_speed=values.get("lowest-speed-limit") or None,
        paused=values.get("pause", False),
        gid=values.get("gid"),
    )
    return None if parameters == FileParameters() else parameters


def describe_unused(name: str) -> str:
    """Return the end of a sentence about an option that is left out."""
    if _PROXY.fullmatch(name):
        return "is left out: proxies are those that the configuration names"
    return f"is left out: {UNUSED[name]}" if name in UNUSED else "is not a supported option"


def _segments(values: Mapping[str, Any]) -> int | None:
    if not {"split", "max-connection-per-server"} & values.keys():
        return None
    split: int = values.get("split", _DEFAULT_SPLIT)
    per_server: int = values.get("max-connection-per-server", split)
    return min(split, per_server, MAX_SEGMENTS)


def _conflict(values: Mapping[str, Any]) -> Conflict | None:
    """Return the policy for a taken name; None for that of the directory."""
    if not {"allow-overwrite", "auto-file-renaming"} & values.keys():
        return None
    if values.get("allow-overwrite", False):
        return Conflict.OVERWRITE
    return Conflict.RENAME if values.get("auto-file-renaming", True) else Conflict.ERROR


def _max_retries(values: Mapping[str, Any]) -> int | None:
    """Return the attempts after the first one; 0 in aria2 stands for no limit."""
    tries = values.get("max-tries")
    return None if tries is None else min(tries - 1, MAX_RETRIES) if tries else MAX_RETRIES
