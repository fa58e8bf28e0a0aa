"""Files of the page, loaded from the installed package, and the modules that are generated from tables."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Final

import msgspec

from downloadd.fronts.rocketchat.statuses import FINISHED_STATUSES, STATUS_LABELS
from downloadd.imports.importers import IMPORTERS
from downloadd.states import STATES

INDEX: Final = "index.html"
"""The file of the page itself; it refers to the others."""

STATES_MODULE: Final = "states.js"
"""Module that is generated from the table of states."""

IMPORTERS_MODULE: Final = "importers.js"
"""Module that is generated from the table of importers."""

IMPORT_STATUSES_MODULE: Final = "import_statuses.js"
"""Module that is generated from the statuses of an import operation."""

_MEDIA_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
}

LANGUAGES_MODULE: Final = "languages.js"
"""Module that is generated from the names of the files with texts."""

_TEXTS_NAME: Final = re.compile(r"texts\.([a-z]{2,3})\.json")
_NOT_SERVED: Final = frozenset({"package.json"})


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """Content of one file, with its header fields."""

    content: bytes
    media_type: str
    entity_tag: str
    """A strong validator in quotes (RFC 9110, section 8.8.3); changes with the content."""


def load_assets() -> Mapping[str, Asset]:
    """Return all files of the page by name. Blocks; call it once, when the daemon starts."""
    contents = {file.name: file.read_bytes() for file in files(__package__).joinpath("static").iterdir()}
    contents[LANGUAGES_MODULE] = render_languages_module(contents)
    contents[STATES_MODULE] = render_states_module()
    contents[IMPORTERS_MODULE] = render_importers_module()
    contents[IMPORT_STATUSES_MODULE] = render_import_statuses_module()
    return {
        name: _make_asset(content, media_type)
        for name, content in contents.items()
        if name not in _NOT_SERVED and (media_type := _MEDIA_TYPES.get(name.rpartition(".")[2])) is not None
    }


def render_languages_module(names: Iterable[str]) -> bytes:
    """Return the JavaScript module with the languages besides English, of which there are files with texts."""
    found = (_TEXTS_NAME.fullmatch(name) for name in names)
    return b"export const LANGUAGES = %b;\n" % msgspec.json.encode(sorted(each[1] for each in found if each))


def render_states_module() -> bytes:
    """Return the JavaScript module with the table of states, so that the page has no copy of it."""
    table = {
        state.value: {
            "title": row.label.capitalize(),
            "label": row.label,
            "group": row.group.value,
            "isSuccess": row.is_success,
        }
        for state, row in STATES.items()
    }
    return _render_module("STATES", table)


def render_importers_module() -> bytes:
    """Return the JavaScript module with the table of importers; the bytes of a signature are numbers."""
    table = {
        key: {
            "uploadHint": importer.upload_hint,
            "suffixes": importer.suffixes,
            "signatures": [list(signature) for signature in importer.signatures],
            "markup": [start.decode() for start in importer.markup],
            "acceptsText": importer.accepts_text,
        }
        for key, importer in IMPORTERS.items()
    }
    return _render_module("IMPORTERS", table)


def render_import_statuses_module() -> bytes:
    """Return the JavaScript module with the statuses of an import operation."""
    table = {
        status.value: {"label": label, "isFinished": status in FINISHED_STATUSES}
        for status, label in STATUS_LABELS.items()
    }
    return _render_module("IMPORT_STATUSES", table)


def _render_module(name: str, table: Mapping[str, object]) -> bytes:
    return b"export const %b = %b;\n" % (name.encode(), msgspec.json.encode(table))


def _make_asset(content: bytes, media_type: str) -> Asset:
    digest = hashlib.sha256(content).hexdigest()[:32]
    return Asset(content=content, media_type=media_type, entity_tag=f'"{digest}"')
