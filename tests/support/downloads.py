"""Downloads for tests, made from fields that need not name the part of `Download` they belong to."""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from downloadd.download import Control, Download, Progress, Request, Result

_PARTS: Final[dict[str, type[msgspec.Struct]]] = {
    "request": Request,
    "control": Control,
    "progress": Progress,
    "result": Result,
}
_PART_OF: Final = {field.name: part for part, kind in _PARTS.items() for field in msgspec.structs.fields(kind)}


def make_download(**fields: Any) -> Download:
    """Return a download with these fields, each in the part that has it."""
    flat, parts = _split(fields)
    made: dict[str, Any] = {part: kind(**parts.get(part, {})) for part, kind in _PARTS.items()}
    return Download(**flat, **made)


def with_fields(download: Download, **changes: Any) -> Download:
    """Return the download with these fields changed, each in the part that has it."""
    flat, parts = _split(changes)
    return replace(
        download, **flat, **{part: replace(getattr(download, part), **changed) for part, changed in parts.items()}
    )


def _split(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    flat: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for name, value in fields.items():
        part = _PART_OF.get(name)
        (flat if part is None else parts.setdefault(part, {}))[name] = value
    return flat, parts
