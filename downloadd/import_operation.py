"""Import operations, and what they find: the nouns of imports.

Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

DIRECT_MESSAGES_CHANNEL_ID: Final = "__directMessages__"
"""The id of the one channel that all direct messages are in."""

FILES_CHANNEL_ID: Final = "__files__"
"""The id of the one channel that files are in where there are no channels."""

OPERATION_ID_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz"
OPERATION_ID_LENGTH: Final = 17


def is_operation_id(text: str) -> bool:
    """Whether an operation could have this id."""
    return len(text) == OPERATION_ID_LENGTH and set(OPERATION_ID_ALPHABET).issuperset(text)


class WorkspaceUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the workspace."""

    user_id: str
    username: str
    email: str = ""
    is_deleted: bool = False
    is_bot: bool = False
    avatar_url: str | None = None


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel of the workspace."""

    channel_id: str
    name: str
    is_archived: bool = False
    is_private: bool = False
    is_direct: bool = False


class MessageCount(msgspec.Struct, frozen=True, kw_only=True):
    """So many messages were read."""

    count: int


class FileLink(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the import names, where it is, and what is known of it."""

    file_id: str
    """The same file has the same id wherever it is named."""
    url: str
    mirrors: tuple[str, ...] = ()
    name: str = ""
    """As it is called there; not safe."""
    directory: str = ""
    """Where it is wanted below the import's own directory; not judged yet."""
    channel_id: str = ""
    user: str = ""
    """Id of who posted it."""
    time: float | None = None
    """Unix time of the message."""
    size: int | None = None
    """Bytes."""
    content_type: str | None = None
    checksum: str | None = None
    """As in the `checksum` parameter."""


class SkippedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that cannot be taken; the rest goes on."""

    reason: str


ImportItem = WorkspaceUser | Channel | MessageCount | FileLink | SkippedEntry
"""What an importer finds."""


class ImportStatus(StrEnum):
    """How far an operation has come, in the words of Rocket.Chat."""

    NEW = "importer_new"
    UPLOADING = "importer_uploading"
    DOWNLOADING_FILE = "importer_downloading_file"
    FILE_LOADED = "importer_file_loaded"
    PREPARING_STARTED = "importer_preparing_started"
    PREPARING_USERS = "importer_preparing_users"
    PREPARING_CHANNELS = "importer_preparing_channels"
    PREPARING_MESSAGES = "importer_preparing_messages"
    USER_SELECTION = "importer_user_selection"
    IMPORTING_STARTED = "importer_importing_started"
    IMPORTING_USERS = "importer_importing_users"
    IMPORTING_CHANNELS = "importer_importing_channels"
    IMPORTING_MESSAGES = "importer_importing_messages"
    IMPORTING_FILES = "importer_importing_files"
    FINISHING = "importer_finishing"
    DONE = "importer_done"
    FAILED = "importer_import_failed"
    CANCELLED = "importer_import_cancelled"


FINISHED_STATUSES: Final = frozenset({ImportStatus.DONE, ImportStatus.FAILED, ImportStatus.CANCELLED})
"""Nothing happens any more."""
PREPARING_STATUSES: Final = frozenset(
    {
        ImportStatus.PREPARING_STARTED,
        ImportStatus.PREPARING_USERS,
        ImportStatus.PREPARING_CHANNELS,
        ImportStatus.PREPARING_MESSAGES,
    }
)
"""The file is being read."""
UNPREPARED_STATUSES: Final = frozenset(
    {
        ImportStatus.NEW,
        ImportStatus.UPLOADING,
        ImportStatus.DOWNLOADING_FILE,
        ImportStatus.FILE_LOADED,
        *PREPARING_STATUSES,
    }
)
"""What is in the file is not known yet."""


class ImportKind(StrEnum):
    """What an operation does; the `importerKey`."""

    SLACK = "slack"
    CSV = "csv"
    URLS = "urls"
    METALINK = "metalink"
    PENDING_FILES = "pending-files"
    PENDING_AVATARS = "pending-avatars"


KIND_TITLES: Final[Mapping[ImportKind, str]] = MappingProxyType(
    {
        ImportKind.SLACK: "Slack",
        ImportKind.CSV: "CSV",
        ImportKind.URLS: "URLs",
        ImportKind.METALINK: "Metalink",
        ImportKind.PENDING_FILES: "Pending Files",
        ImportKind.PENDING_AVATARS: "Pending Avatars",
    }
)
"""The `type` of an operation, for people."""


class FileCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many files of an operation there are."""

    total: int = 0
    completed: int = 0
    failed: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether every file has come to an end."""
        return self.completed + self.failed >= self.total


class ImportOperation(msgspec.Struct, frozen=True, kw_only=True):
    """One import, or one download of what imports have left pending, as it is written down."""

    id: str
    """17 letters and digits."""
    kind: ImportKind
    user: str
    ts: int
    """When it began, in Unix milliseconds."""
    updated_at: int
    """In Unix milliseconds."""
    status: ImportStatus = ImportStatus.NEW
    valid: bool = True
    """False once another one took its place."""
    content_type: str | None = None
    file: str | None = None
    """The name under which Rocket.Chat would keep the upload."""
    name: str = ""
    """What the uploaded file was called."""
    download_id: str | None = None
    """The download that fetches the file of this operation."""
    message_count: int = 0
    skipped: int = 0
    """Entries that could not be taken."""
    file_counts: FileCounts = FileCounts()
    """Files that it fetches, or has made pending."""
    reason: str | None = None
    """Why it failed."""
    error_code: str | None = None


class PendingKind(StrEnum):
    """What kind of file is pending."""

    FILE = "file"
    AVATAR = "avatar"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Who or what is to be imported; None: everything."""

    users: frozenset[str] | None
    channels: frozenset[str] | None


class PendingFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is to be fetched, and what has become of it."""

    number: int
    """Of the row."""
    link: FileLink
    channel: str
    """Name of the channel."""
    import_ts: int
    """When its import began, in Unix milliseconds."""
    import_name: str
    """What the uploaded file was called."""
    download_id: str | None = None
    status: str = "pending"
    """`found`, `pending`, or the state of its download."""
    path: str | None = None
    """Where it lies, relative to the storage root, once it does."""
    saved_size: int | None = None
    """Bytes."""
    saved_checksum: str | None = None
    error: str | None = None
    """Code of why its download failed."""
