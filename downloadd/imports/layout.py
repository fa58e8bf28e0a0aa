"""Where the files of an import go.

Pure: no I/O and no clock.
"""

from datetime import UTC, datetime
from typing import Final

from downloadd.operation import FILES, PendingFile, Wanted
from downloadd.storage.names import safe_name

MANIFEST: Final = "manifest.jsonl"
AVATARS: Final = "avatars"

_LONGEST: Final = 120
"""Characters of a name that is part of a longer one."""


def folder_of(ts: int, name: str) -> str:
    """The directory of an import that began at `ts` (Unix milliseconds): when that was (UTC), and its file's name.

    To the second, so that an export which is uploaded twice a day does not get in its own way.
    """
    stem = name.rpartition("/")[2]
    stem = stem.rpartition(".")[0] or stem
    date = datetime.fromtimestamp(ts / 1000, UTC).strftime("%Y-%m-%d %H-%M-%S")
    return safe_name(f"{date} {safe_name(stem[:_LONGEST])}") if stem else date


def place_of(pending: PendingFile, wanted: Wanted) -> tuple[str, str | None]:
    """Directory, relative to that of its import, and name; without a name the origin gives it one."""
    link = pending.link
    if wanted is Wanted.AVATAR:
        return AVATARS, _named(link.file_id, link.name)
    if link.channel_id == FILES:
        return link.directory, link.name or None
    return safe_name((pending.channel or link.channel_id)[:_LONGEST]), _named(link.file_id, link.name)


def _named(id: str, name: str) -> str:
    # Each by itself: a slash in one must not cut the other off.
    return safe_name(f"{safe_name(id[:_LONGEST])}-{safe_name(name[-_LONGEST:])}")
