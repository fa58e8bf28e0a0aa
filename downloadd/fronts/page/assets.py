"""The files of the page, as they were installed, ready to be sent."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import msgspec

INDEX: Final = "index.html"
"""The file that is the page; it refers to the others."""

_MEDIA_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One file, with what a browser has to know of it."""

    content: bytes
    media_type: str
    entity_tag: str
    """A strong validator in its quotes (RFC 9110, section 8.8.3): another release has another one."""


def load_assets() -> Mapping[str, Asset]:
    """Every file of the page by its name. Blocks, once, when the daemon starts."""
    assets = {}
    for file in files(__package__).joinpath("static").iterdir():
        media_type = _MEDIA_TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            content = file.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:32]
            assets[file.name] = Asset(content=content, media_type=media_type, entity_tag=f'"{digest}"')
    return assets
