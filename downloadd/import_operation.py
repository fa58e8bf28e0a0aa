"""Import operations and the content of import files.

Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from downloadd.download_request import StartParameters
from downloadd.request_fields import RequestFields

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
    avatar_member: str = ""
    """Name of the entry of the archive that is the avatar."""


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """Channel of the exported workspace."""

    channel_id: str
    name: str
    is_archived: bool = False
    is_private: bool = False
    is_direct: bool = False
    directory: str = ""
    """Directory of its files, unless another channel of the import has the same; set when the channel is recorded."""


class MessageCount(msgspec.Struct, frozen=True, kw_only=True):
    """Number of messages that were read since the last count."""

    count: int


class FileParameters(StartParameters, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters of the download of a file, as a list states them."""

    gid: str | None = None


class FileLink(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """File that an import file names."""

    file_id: str
    """The same for the same file, wherever it is named."""
    url: str = ""
    """Source of the file; "" if the archive contains it."""
    member: str = ""
    """Name of the entry of the archive that is the file; "" if it has a URL."""
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
    is_checksum_list: bool = False
    """True for a list of checksums of the files beside it, such as `SHA256SUMS`."""
    checksum_list: str = ""
    """URL of the list that has the checksum of the file."""
    line: int | None = None
    """Number of its line in a list."""
    request_fields: RequestFields | None = None
    parameters: FileParameters | None = None


class SkipReason(StrEnum):
    """Reason why a part of an import file is not imported; `SKIP_REASONS` describes each."""

    DELETED = "deleted"
    HIDDEN_BY_LIMIT = "hidden_by_limit"
    NOT_VISIBLE = "not_visible"
    EXTERNAL = "external"
    NO_LINK = "no_link"
    NOT_IN_ARCHIVE = "not_in_archive"
    UNREFERENCED = "unreferenced"
    UNKNOWN_ENTRY = "unknown_entry"
    DUPLICATE_ENTRY = "duplicate_entry"
    UNKNOWN_LINE = "unknown_line"
    UNKNOWN_CHANNEL = "unknown_channel"
    UNKNOWN_USER = "unknown_user"
    DAMAGED_ENTRY = "damaged_entry"
    MALFORMED = "malformed"
    TOO_LONG = "too_long"
    NO_URL = "no_url"
    TOO_MANY_CELLS = "too_many_cells"
    TOO_MANY_MIRRORS = "too_many_mirrors"
    UNSUPPORTED_URL = "unsupported_url"
    UNKNOWN_OPTION = "unknown_option"
    INVALID_OPTION = "invalid_option"
    UNKNOWN_CHECKSUM = "unknown_checksum"
    INVALID_NAME = "invalid_name"
    UNUSABLE_LIST = "unusable_list"


SKIP_REASONS: Final[Mapping[SkipReason, str]] = MappingProxyType(
    {
        SkipReason.DELETED: "the file was deleted before the export was made",
        SkipReason.HIDDEN_BY_LIMIT: "the file is hidden by a limit of the workspace's plan",
        SkipReason.NOT_VISIBLE: "the file belongs to another workspace, or is not visible to the one that exported it",
        SkipReason.EXTERNAL: "the file is stored at another service, such as Google Drive",
        SkipReason.NO_LINK: "the file has no link to download it from, or no id",
        SkipReason.NOT_IN_ARCHIVE: "the archive does not contain the file that a message names",
        SkipReason.UNREFERENCED: "no message or list names this file of the archive",
        SkipReason.UNKNOWN_ENTRY: "the entry of the archive is not part of the format",
        SkipReason.DUPLICATE_ENTRY: "the archive has a later entry of the same name or purpose, which is used",
        SkipReason.UNKNOWN_LINE: "the line is of a type that is not part of the format",
        SkipReason.UNKNOWN_CHANNEL: "the messages belong to no channel of the lists",
        SkipReason.UNKNOWN_USER: "the avatar belongs to no user of the lists",
        SkipReason.DAMAGED_ENTRY: "the entry of the archive is damaged, truncated or not of its format",
        SkipReason.MALFORMED: "the element or line cannot be read",
        SkipReason.TOO_LONG: "the element or line is longer than the limit",
        SkipReason.NO_URL: "the line or row has no URL of http or https",
        SkipReason.TOO_MANY_CELLS: "the row has more cells than the header, so that its cells cannot be assigned",
        SkipReason.TOO_MANY_MIRRORS: "the file has more URLs than can be used; the first or preferred ones are",
        SkipReason.UNSUPPORTED_URL: "the URL is of a kind other than http and https; the file is imported from others",
        SkipReason.UNKNOWN_OPTION: "the option is not supported; the file is imported without it",
        SkipReason.INVALID_OPTION: "an option cannot be used with its value; the file is imported without it, or "
        "without all of its request fields",
        SkipReason.UNKNOWN_CHECKSUM: "no hash of the file is of a known algorithm; the file is imported unverified",
        SkipReason.INVALID_NAME: "the directory, name or checksum is invalid",
        SkipReason.UNUSABLE_LIST: "the list of checksums cannot be used; the files beside it are imported unverified",
    }
)
"""Meaning of each reason, for people."""


class SkippedEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Part of an import file that is not imported; reading continues after it."""

    reason: SkipReason
    detail: str
    """One sentence about the case, without secrets."""
    entry: str = ""
    """Name of the entry of the archive."""
    line: int | None = None
    """Number of the line, row or element in the entry, from 1."""
    message: str = ""
    """Id or time of the message."""
    file_id: str = ""
    channel_id: str = ""
    """Id of the channel; "" for what belongs to no channel."""
    channel: str = ""
    """Name of the channel, added when it is listed."""


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
    """Without those that were given up."""
    given_up: int = 0

    @property
    def is_finished(self) -> bool:
        """Return True if every file has an outcome."""
        return self.completed + self.failed + self.given_up >= self.total


class ReadingProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of reading an import file."""

    bytes_read: int
    bytes_total: int
    messages: int
    """Messages read so far."""


class Driver(msgspec.Struct, frozen=True):
    """Work for an operation: by a background task, or by the call of a user."""

    operation: str
    epoch: int
    """Number of takeovers of the operation up to this one; after the next one, this driver writes nothing more."""


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
    """Number of `SkippedEntry` of the import within its selection; of a run, that of its sources."""
    sources: tuple[str, ...] = ()
    """Ids of the imports that a run downloads files of."""
    reading: ReadingProgress | None = None
    """Progress while the file is being read; not recorded."""
    file_counts: FileCounts = FileCounts()
    """Files that the operation downloads, or has made pending."""
    reason: str | None = None
    """Reason of the failure, for people."""
    error_code: ImportErrorCode | None = None
    not_before: float | None = None
    """Unix time before which no download of the operation starts; None for none."""
    epoch: int = 0
    """Number of takeovers by drivers; the store counts them."""

    @property
    def driver(self) -> Driver:
        """Return the driver that holds the operation as it is here."""
        return Driver(self.id, self.epoch)

    @property
    def pending_kind(self) -> PendingKind | None:
        """Return the kind of files that the operation downloads; None for the import of a file."""
        return PENDING_KINDS.get(self.kind)


class PendingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Pending files that a user asks to download."""

    kind: str
    """One of `PENDING_KINDS`."""
    operation: str | None = None
    """Id of the import whose files are meant, or of an earlier run of them; None for those of all imports."""
    retry: bool = False
    """True to try files again that failed or were cancelled."""
    not_before: float | None = None
    """Unix time before which no file starts; None for none."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of the users and channels to import; None for all."""

    users: frozenset[str] | None
    channels: frozenset[str] | None


class FileStatus(StrEnum):
    """Recorded status of a file of an import."""

    FOUND = "found"
    """Not selected."""
    PENDING = "pending"
    """Selected, and not tried yet."""
    RESERVED = "reserved"
    """Assigned to a run that has not started it."""
    DOWNLOADING = "downloading"
    COMPLETED = "completed"
    FAILED = "failed"
    """Tried again only when a user asks for it."""
    CANCELLED = "cancelled"
    """The run was cancelled; tried again only when a user asks for it."""
    GIVEN_UP = "given_up"
    """Never tried again."""


class PendingFile(msgspec.Struct, frozen=True, kw_only=True):
    """File of an import with the state of its download."""

    number: int
    """Number of the row."""
    import_id: str = ""
    link: FileLink
    channel: str
    """Name of the channel."""
    import_started_at: int
    """Start of its import, in Unix milliseconds."""
    import_name: str
    """Name of the uploaded file of its import."""
    download_id: str | None = None
    status: str = FileStatus.PENDING
    """A `FileStatus`, or the state of its download."""
    path: str | None = None
    """Path of the completed file, relative to the storage root."""
    saved_size: int | None = None
    """Bytes of the completed file."""
    saved_checksum: str | None = None
    error: str | None = None
    """Error code of the failed download."""
    error_detail: str | None = None
    """One sentence about the error, without secrets."""
    shares_directory: bool = False
    """True if another channel of the import has a directory of the same name."""
