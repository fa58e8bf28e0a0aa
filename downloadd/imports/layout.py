"""Directories and names of the files of an import.

Pure: no I/O and no clock.
"""

from datetime import UTC, datetime
from typing import Final

from downloadd.import_operation import FILES_CHANNEL_ID, PendingFile, PendingKind
from downloadd.storage.names import parse_filename, sanitize_name

MANIFEST_NAME: Final = parse_filename("manifest.jsonl")
AVATARS_DIRECTORY: Final = "avatars"

_MAX_NAME_PART_CHARACTERS: Final = 120
"""Characters of a name that is part of a longer name."""


def format_import_directory(top: str, started_at: int, name: str) -> str:
    """Return the directory of an import, below the directory `top` of all imports.

    Its name is the start (`started_at`, Unix milliseconds) in UTC and the stem of the uploaded file's `name`. The
    start has seconds, so that an export that is uploaded twice a day gets two directories.
    """
    stem = name.rpartition("/")[2]
    stem = stem.rpartition(".")[0] or stem
    date = datetime.fromtimestamp(started_at / 1000, UTC).strftime("%Y-%m-%d %H-%M-%S")
    own = sanitize_name(f"{date} {sanitize_name(stem[:_MAX_NAME_PART_CHARACTERS])}") if stem else date
    return f"{top}/{own}"


def format_channel_directory(name: str, id: str) -> str:
    """Return the directory of a channel, relative to that of its import; channels of similar names have the same."""
    return sanitize_name((name or id)[:_MAX_NAME_PART_CHARACTERS])


def resolve_destination(file: PendingFile, kind: PendingKind) -> tuple[str, str | None]:
    """Return the directory of a file, relative to that of its import, and its name; None if the origin names it.

    Where several channels of an import have the same directory, the id of its channel is added.
    """
    link = file.link
    if kind is PendingKind.AVATAR:
        return AVATARS_DIRECTORY, _format_file_name(link.file_id, link.name)
    if link.channel_id == FILES_CHANNEL_ID:
        return link.directory, link.name or None
    directory = format_channel_directory(file.channel, link.channel_id)
    if file.shares_directory:
        # An id of Mattermost is the name of the team, a slash, and that of the channel; neither has blanks.
        id = link.channel_id[:_MAX_NAME_PART_CHARACTERS].replace("/", " ")
        directory = sanitize_name(f"{directory} ({id})")
    return directory, _format_file_name(link.file_id, link.name)


def _format_file_name(id: str, name: str) -> str:
    # Each part separately: a slash in one must not remove the other.
    return sanitize_name(
        f"{sanitize_name(id[:_MAX_NAME_PART_CHARACTERS])}-{sanitize_name(name[-_MAX_NAME_PART_CHARACTERS:])}"
    )
