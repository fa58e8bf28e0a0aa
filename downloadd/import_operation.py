"""Import operations and the content of import files.

Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

DIRECT_MESSAGES_CHANNEL_ID: Final = "__directMessages__"
"""Id of the one channel that stands for all direct messages."""

FILES_CHANNEL_ID: Final = "__files__"
"""Id of the channel of files that belong to no channel."""

OPERATION_ID_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz"
OPERATION_ID_LENGTH: Final = 17


def is_operation_id(text: str) -> bool:
    """Return True if `text` has the form of an operation's id."""
    return len(text) == OPERATION_ID_LENGTH and set(OPERATION_ID_ALPHABET).issuperset(text)


class WorkspaceUser(msgspec.Struct, frozen=True, kw_only=True):
    """User of the exported workspace."""

    user_id: str
    username: str
    email: str = ""
    is_deleted: bool = False
    is_bot: bool = False
    avatar_url: str | None = None


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """Channel of the exported workspace."""

    channel_id: str
    name: str
    is_archived: bool = False
    is_private: bool = False
    is_direct: bool = False


class MessageCount(msgspec.Struct, frozen=True, kw_only=True):
    """Number of messages that were read since the last count."""

    count: int


class FileLink(msgspec.Struct, frozen=True, kw_only=True):
    """File that an import file names."""

    file_id: str
    """The same for the same file, wherever it is named."""
    url: str
    mirrors: tuple[str, ...] = ()
    name: str = ""
    """Name in the import file; unchecked."""
    directory: str = ""
    """Requested directory below that of the import; unchecked."""
    channel_id: str = ""
    user: str = ""
    """Id of the user who posted the file."""
    time: float | None = None
    """Unix time of the message."""
    size: int | None = None
    """Bytes."""
    content_type: str | None = None
    checksum: str | None = None
    """In the form of the `checksum` parameter."""


class SkippedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Entry that cannot be imported; reading continues after it."""

    reason: str


ImportItem = WorkspaceUser | Channel | MessageCount | FileLink | SkippedEntry
"""Item that an importer reads."""


class ImportState(StrEnum):
    """State of an import operation."""

    NEW = "new"
    UPLOADING = "uploading"
    FETCHING = "fetching"
    """The file is being downloaded from its URL."""
    UPLOADED = "uploaded"
    """The file is stored and not read yet."""
    READING = "reading"
    READING_USERS = "reading_users"
    READING_CHANNELS = "reading_channels"
    READING_FILES = "reading_files"
    READY = "ready"
    """The content is known, and a selection is expected."""
    SELECTING = "selecting"
    """A selection is being applied."""
    DOWNLOADING = "downloading"
    """Pending files are being downloaded."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINISHED_STATES: Final = frozenset({ImportState.DONE, ImportState.FAILED, ImportState.CANCELLED})
"""States that are never left."""
READING_STATES: Final = frozenset(
    {ImportState.READING, ImportState.READING_USERS, ImportState.READING_CHANNELS, ImportState.READING_FILES}
)
UNREAD_STATES: Final = READING_STATES | {
    ImportState.NEW,
    ImportState.UPLOADING,
    ImportState.FETCHING,
    ImportState.UPLOADED,
}
"""States in which the content of the file is not known."""


class ImportErrorCode(StrEnum):
    """Reason why an import was refused or failed."""

    UNKNOWN_IMPORTER = "unknown_importer"
    INVALID_PARAMETER = "invalid_parameter"
    INVALID_FILE = "invalid_file"
    FILE_TOO_LARGE = "file_too_large"
    WRONG_STATE = "wrong_state"
    NOTHING_SELECTED = "nothing_selected"


class PendingKind(StrEnum):
    """Kind of pending file."""

    FILE = "file"
    AVATAR = "avatar"


PENDING_FILES: Final = "pending-files"
PENDING_AVATARS: Final = "pending-avatars"

PENDING_KINDS: Final[Mapping[str, PendingKind]] = MappingProxyType(
    {PENDING_FILES: PendingKind.FILE, PENDING_AVATARS: PendingKind.AVATAR}
)
"""Kinds of operations that download pending files; all other kinds are keys of importers."""


class FileCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of files of an operation."""

    total: int = 0
    completed: int = 0
    failed: int = 0

    @property
    def is_finished(self) -> bool:
        """Return True if every file is completed or failed."""
        return self.completed + self.failed >= self.total


class ImportOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Import of one file, or one download of pending files."""

    id: str
    """17 letters and digits."""
    kind: str
    """Key of the importer, or one of `PENDING_KINDS`."""
    user: str
    started_at: int
    """Unix milliseconds."""
    updated_at: int
    """Unix milliseconds."""
    state: ImportState = ImportState.NEW
    valid: bool = True
    """False after a newer operation of the user replaced this one."""
    content_type: str | None = None
    name: str = ""
    """Name of the uploaded file."""
    download_id: str | None = None
    """Id of the download that fetches the import file."""
    message_count: int = 0
    skipped: int = 0
    """Number of entries that cannot be imported."""
    file_counts: FileCounts = FileCounts()
    """Files that the operation downloads, or has made pending."""
    reason: str | None = None
    """Reason of the failure, for people."""
    error_code: ImportErrorCode | None = None

    @property
    def pending_kind(self) -> PendingKind | None:
        """Return the kind of files that the operation downloads; None for the import of a file."""
        return PENDING_KINDS.get(self.kind)


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of the users and channels to import; None for all."""

    users: frozenset[str] | None
    channels: frozenset[str] | None


class PendingFile(msgspec.Struct, frozen=True, kw_only=True):
    """File of an import with the state of its download."""

    number: int
    """Number of the row."""
    link: FileLink
    channel: str
    """Name of the channel."""
    import_started_at: int
    """Start of its import, in Unix milliseconds."""
    import_name: str
    """Name of the uploaded file of its import."""
    download_id: str | None = None
    status: str = "pending"
    """`found`, `pending`, or the state of its download."""
    path: str | None = None
    """Path of the completed file, relative to the storage root."""
    saved_size: int | None = None
    """Bytes of the completed file."""
    saved_checksum: str | None = None
    error: str | None = None
    """Error code of the failed download."""
