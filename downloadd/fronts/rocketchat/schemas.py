"""Structs of import requests and responses, with the names of Rocket.Chat.

Pure: no I/O and no clock.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from downloadd.download_request import NotBefore
from downloadd.fronts.rest.schemas import Cursor, PageLimit
from downloadd.fronts.rocketchat.statuses import ImportStatus
from downloadd.import_operation import SkipReason
from downloadd.imports.importers import IMPORTERS

MAX_FILE_NAME_CHARACTERS: Final = 255
"""Characters of a file name, which each listing of operations contains."""
MAX_MEDIA_TYPE_CHARACTERS: Final = 255
"""Characters of a media type (RFC 6838, section 4.2, allows 127 for each half)."""

*_KEYS, _LAST_KEY = IMPORTERS

FileName = Annotated[str, Meta(max_length=MAX_FILE_NAME_CHARACTERS, description="Name of the file.")]
ImporterKey = Annotated[str, Meta(description=f"{', '.join(_KEYS)} or {_LAST_KEY}.")]


class UploadBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`POST /api/v1/uploadImportFile`."""

    binary_content: Annotated[str, Meta(description="The file in base64 (RFC 4648, section 4).")]
    content_type: Annotated[str, Meta(max_length=MAX_MEDIA_TYPE_CHARACTERS, description="Media type of the file.")]
    file_name: FileName
    importer_key: ImporterKey


class PublicFileBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`POST /api/v1/downloadPublicImportFile`."""

    file_url: str
    importer_key: ImporterKey


class RawUploadQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/imports`."""

    importerKey: ImporterKey
    fileName: FileName


class PendingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /api/v1/downloadPendingFiles` and `downloadPendingAvatars`."""

    operation: (
        Annotated[str, Meta(description="Only files of this import, or of the imports of this earlier run.")] | None
    ) = None
    retry: Annotated[
        bool, Meta(description="Also files that failed or were cancelled, which are not tried again otherwise.")
    ] = False
    not_before: NotBefore | None = None


class SkippedQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /api/v1/imports/{id}/skipped`."""

    limit: PageLimit = 100
    cursor: Cursor | None = None


class CancelImportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`DELETE /api/v1/imports/{id}`."""

    give_up: Annotated[
        bool, Meta(description="Give up the files that are not completed, so that they are never tried again.")
    ] = False


class SelectionBody(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /api/v1/startImport`."""

    input: Annotated[
        Any,
        Meta(
            description="`users` and `channels`: each the list of getImportFileData with `do_import` set, "
            '`{"all": true}`, or `{"list": ["<id>"]}`.'
        ),
    ]


class SuccessResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Success."""

    success: bool


class CountResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Number of files that start to download."""

    success: bool
    count: int


class WaitingResponse(msgspec.Struct, frozen=True, kw_only=True):
    """File that is being read."""

    waiting: bool
    success: bool


class UserEntry(msgspec.Struct, frozen=True, kw_only=True):
    """User of the exported workspace."""

    user_id: str
    username: str
    email: str
    is_deleted: bool
    is_bot: bool
    do_import: bool
    is_email_taken: bool


class ChannelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Channel of the exported workspace."""

    channel_id: str
    name: str
    is_archived: bool
    do_import: bool
    is_private: bool
    is_direct: bool


class FileDataResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Content of an uploaded file."""

    users: list[UserEntry]
    channels: list[ChannelEntry]
    message_count: int
    success: bool


class ProgressCount(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of files of an operation."""

    completed: int
    total: int
    error: Annotated[int, Meta(description="Files that failed, without those that were given up.")]
    given_up: int
    skipped: Annotated[
        int, Meta(description="Parts of the import file that are not imported; `/imports/{id}/skipped` lists them.")
    ]


class ReadingEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of reading an import file."""

    bytes_read: int
    bytes_total: int
    messages: Annotated[int, Meta(description="Messages read so far.")]


class SkippedItem(msgspec.Struct, frozen=True, kw_only=True):
    """Part of an import file that is not imported."""

    reason: Annotated[SkipReason, Meta(description="Code of the reason.")]
    meaning: Annotated[str, Meta(description="What the reason means.")]
    detail: Annotated[str, Meta(description="A sentence about the case.")]
    entry: Annotated[str, Meta(description="Name of the entry of the archive.")] | None
    line: Annotated[int, Meta(description="Line, row or element in the entry, from 1.")] | None
    message: Annotated[str, Meta(description="Id or time of the message.")] | None
    file_id: str | None
    channel_id: str | None
    channel: Annotated[str, Meta(description="Name of the channel.")] | None


class SkippedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One page of what is not imported, in the order of the file."""

    skipped: list[SkippedItem]
    success: bool


class ImportProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of the user's newest operation."""

    key: str
    name: str
    step: ImportStatus
    count: ProgressCount
    reading: ReadingEntry | UnsetType = UNSET
    success: bool


class OperationEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Import operation."""

    id: str = msgspec.field(name="_id")
    type: str
    importer_key: str
    ts: Annotated[int, Meta(description="Unix milliseconds.")]
    status: ImportStatus
    valid: bool
    user: str
    _updated_at: str = msgspec.field(name="_updatedAt")
    content_type: str | UnsetType = UNSET
    file: str | UnsetType = UNSET
    count: ProgressCount
    reading: ReadingEntry | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class CurrentOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Operation of a request."""

    operation: OperationEntry | None
    success: bool


class ImportErrorResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Reason why an import is refused."""

    success: bool = False
    error: Annotated[str, Meta(description="A sentence, and the code in brackets.")]
    error_type: str = msgspec.field(name="errorType")
