"""The installed files of the page, with their media types and entity tags."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import msgspec

INDEX: Final = "index.html"
"""The page itself; it refers to the other files."""

_MEDIA_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the page."""

    content: bytes
    media_type: str
    entity_tag: str
    """A strong validator in quotes (RFC 9110, section 8.8.3), made from the content."""


def load_assets() -> Mapping[str, Asset]:
    """Return all files of the page, by name. Blocks while it reads them."""
    assets = {}
    for file in files(__package__).joinpath("static").iterdir():
        media_type = _MEDIA_TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            content = file.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:32]
            assets[file.name] = Asset(content=content, media_type=media_type, entity_tag=f'"{digest}"')
    return assets
