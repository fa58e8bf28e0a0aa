"""Paths with placeholders for facts of a download, such as `/srv/archive/{year}-{month}`.

Pure: no I/O and no clock.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from string import Formatter
from typing import Final
from urllib.parse import urlsplit

from downloadd.storage.names import sanitize_directory, sanitize_name

PLACEHOLDERS: Final = ("directory", "user", "host", "year", "month", "day")

_MAX_CHANGED_CHARACTERS: Final = 48
"""Characters that are left of the id of a user that cannot be a name: at most 192 bytes, beside the digest."""


def check_path_template(template: str) -> None:
    """Check a template.

    Raises:
        ValueError: it has another placeholder, or a brace without its other one; the message says which.
    """
    for _ in _parse(template):
        pass


def fill_path_template(template: str, values: Mapping[str, str]) -> str:
    """Return the path; no value leads out of the directory that its placeholder stands in."""
    return "".join(literal + ("" if name is None else values[name]) for literal, name in _parse(template))


def template_values(*, directory: str, user: str, url: str, time: datetime) -> dict[str, str]:
    """Return the values of the placeholders for a download; `time` is that of its end."""
    return {
        "directory": sanitize_directory(directory),
        "user": _user_name(user),
        "host": sanitize_name(_host_of(url)),
        "year": f"{time:%Y}",
        "month": f"{time:%m}",
        "day": f"{time:%d}",
    }


def _parse(template: str) -> Iterator[tuple[str, str | None]]:
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        raise ValueError("a brace has no other one; write {{ and }} for braces") from None
    for literal, name, format, conversion in parts:
        if name is not None and (name not in PLACEHOLDERS or format or conversion):
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise ValueError(f"{{{name}}} is not a placeholder; the placeholders are {known}")
        yield literal, name


def _user_name(user: str) -> str:
    """Return a name for the id of a user that no other id has: a changed one has a digest of the id at its end."""
    name = sanitize_name(user)
    if name == user:
        return name
    return f"{name[:_MAX_CHANGED_CHARACTERS]}-{sha256(user.encode(errors='surrogatepass')).hexdigest()[:12]}"


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
