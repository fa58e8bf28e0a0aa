"""Where the files of an import go.

Pure: no I/O and no clock.
"""

from datetime import UTC, datetime
from typing import Final

from downloadd.import_operation import FILES_CHANNEL_ID, PendingFile, PendingKind
from downloadd.storage.names import parse_filename, sanitize_name

MANIFEST_NAME: Final = parse_filename("manifest.jsonl")
AVATARS_DIRECTORY: Final = "avatars"

_MAX_NAME_PART_CHARACTERS: Final = 120
"""Characters of a name that is part of a longer one."""


def format_import_directory(ts: int, name: str) -> str:
    """The directory of an import that began at `ts` (Unix milliseconds): when that was (UTC), and its file's name.

    To the second, so that an export which is uploaded twice a day does not get in its own way.
    """
    stem = name.rpartition("/")[2]
    stem = stem.rpartition(".")[0] or stem
    date = datetime.fromtimestamp(ts / 1000, UTC).strftime("%Y-%m-%d %H-%M-%S")
    return sanitize_name(f"{date} {sanitize_name(stem[:_MAX_NAME_PART_CHARACTERS])}") if stem else date


def resolve_destination(pending: PendingFile, pending_kind: PendingKind) -> tuple[str, str | None]:
    """Directory, relative to that of its import, and name; without a name the origin gives it one."""
    link = pending.link
    if pending_kind is PendingKind.AVATAR:
        return AVATARS_DIRECTORY, _format_file_name(link.file_id, link.name)
    if link.channel_id == FILES_CHANNEL_ID:
        return link.directory, link.name or None
    return sanitize_name((pending.channel or link.channel_id)[:_MAX_NAME_PART_CHARACTERS]), _format_file_name(
        link.file_id, link.name
    )


def _format_file_name(id: str, name: str) -> str:
    # Each by itself: a slash in one must not cut the other off.
    return sanitize_name(
        f"{sanitize_name(id[:_MAX_NAME_PART_CHARACTERS])}-{sanitize_name(name[-_MAX_NAME_PART_CHARACTERS:])}"
    )
