"""The structs of import requests and answers, with the names that Rocket.Chat gave them.

Pure: no I/O and no clock.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from downloadd.import_operation import KIND_TITLES, ImportOperation, ImportStatus

MAX_FILE_NAME_CHARACTERS: Final = 255
"""Characters of a file name, which every listing of operations repeats."""
MAX_MEDIA_TYPE_CHARACTERS: Final = 255
"""Characters of a media type (RFC 6838, section 4.2, allows 127 for each half)."""

FileName = Annotated[str, Meta(max_length=MAX_FILE_NAME_CHARACTERS, description="What the file is called.")]
ImporterKey = Annotated[str, Meta(description="slack, csv, urls or metalink.")]


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
    """It was done."""

    success: bool


class CountResponse(msgspec.Struct, frozen=True, kw_only=True):
    """So many files start to download."""

    success: bool
    count: int


class WaitingResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the file is being found out."""

    waiting: bool
    success: bool


class UserEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the imported workspace."""

    user_id: str
    username: str
    email: str
    is_deleted: bool
    is_bot: bool
    do_import: bool
    is_email_taken: bool


class ChannelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A channel of the imported workspace."""

    channel_id: str
    name: str
    is_archived: bool
    do_import: bool
    is_private: bool
    is_direct: bool


class FileDataResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What is in an uploaded file."""

    users: list[UserEntry]
    channels: list[ChannelEntry]
    message_count: int
    success: bool


class ProgressCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many files of an operation there are."""

    completed: int
    total: int
    error: int


class ImportProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the user's newest operation has come."""

    key: str
    name: str
    step: ImportStatus
    count: ProgressCount
    success: bool


class OperationEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An import operation."""

    _id: str = msgspec.field(name="_id")
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
    reason: str | UnsetType = UNSET


class CurrentOperation(msgspec.Struct, frozen=True, kw_only=True):
    """The operation that a call is about."""

    operation: OperationEntry | None
    success: bool


class ImportErrorResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Why an import is refused."""

    success: bool = False
    error: Annotated[str, Meta(description="A sentence, and the code in brackets.")]
    error_type: str = msgspec.field(name="errorType")


def make_operation_entry(operation: ImportOperation) -> OperationEntry:
    """An operation as it is shown."""
    return OperationEntry(
        _id=operation.id,
        type=KIND_TITLES[operation.kind],
        importer_key=operation.kind.value,
        ts=operation.ts,
        status=operation.status,
        valid=operation.valid,
        user=operation.user,
        _updated_at=_format_rfc3339(operation.updated_at),
        content_type=operation.content_type if operation.content_type is not None else msgspec.UNSET,
        file=operation.file if operation.file is not None else msgspec.UNSET,
        count=ProgressCount(
            completed=operation.file_counts.completed,
            total=operation.file_counts.total,
            error=operation.file_counts.failed,
        ),
        reason=operation.reason if operation.reason is not None else msgspec.UNSET,
    )


def _format_rfc3339(milliseconds: int) -> str:
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"
