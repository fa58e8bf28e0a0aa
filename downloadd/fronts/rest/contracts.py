"""Shapes of the request and the responses of each operation, for the OpenAPI document.

Pure: no I/O and no clock.
"""

from typing import Final

from downloadd.errors import (
    DomainBlockedError,
    DownloadForbiddenError,
    DownloadTimeoutError,
    FileChangedError,
    FileExistsAlreadyError,
    FileTooLargeError,
    InvalidPathError,
    InvalidStateError,
    InvalidUrlError,
    NetworkError,
    NotFoundError,
    Occasion,
    PreconditionFailedError,
    QueueFullError,
    RangeNotSatisfiableError,
    RemoteError,
    RemoteFileNotFoundError,
    ShuttingDownError,
    StorageError,
    StoreUnavailableError,
    TooManyRedirectsError,
    UnexpectedContentError,
    codes_at,
)
from downloadd.fronts.page.shared_query import SharedQuery
from downloadd.fronts.rest.contract import Contract, ResponseSpec
from downloadd.fronts.rest.event_types import describe_event_types
from downloadd.fronts.rest.explain import ExplainResponse
from downloadd.fronts.rest.file_schemas import DirectoryFiles, DirectoryFilesQuery, FileLink, FileQuery
from downloadd.fronts.rest.item_bodies import AmendBody, ProbeBody
from downloadd.fronts.rest.node_schemas import Nodes
from downloadd.fronts.rest.queue_schemas import ChangeCountResponse, MoveBody, MoveResponse
from downloadd.fronts.rest.schemas import (
    ActiveEntry,
    ActiveEntryResponse,
    BatchBody,
    BatchItem,
    BatchResponse,
    CancelQuery,
    Directories,
    DirectoriesQuery,
    DirectoryListingQuery,
    ErrorTable,
    Health,
    History,
    HistoryEntry,
    HistoryEntryResponse,
    HistoryQuery,
    HistoryRemovalQuery,
    Hosts,
    HostsQuery,
    Listing,
    ListingQuery,
    ProbeResponse,
    RemovalResponse,
    RetryBody,
    StartQuery,
    StartResponse,
    StorageResponse,
)
from downloadd.fronts.rest.settings_schemas import SettingsBody, SettingsResponse
from downloadd.fronts.rocketchat.schemas import (
    CancelImportQuery,
    CountResponse,
    CurrentOperation,
    FileDataResponse,
    ImportErrorResponse,
    ImportProgress,
    OperationEntry,
    PendingQuery,
    PublicFileBody,
    RawUploadQuery,
    SelectionBody,
    SkippedQuery,
    SkippedResponse,
    SuccessResponse,
    UploadBody,
    WaitingResponse,
)
from downloadd.runtime_settings import CurrentSettings
from downloadd.user_quota import UserQuotaUse

LOCATION: Final = "Location"
LINK: Final = "Link"


_IDEMPOTENCY_KEY: Final = "Idempotency-Key"

_QUERY_ERRORS: Final = codes_at(Occasion.QUERY)
_BODY_ERRORS: Final = codes_at(Occasion.BODY)
_ADMISSION_ERRORS: Final = codes_at(Occasion.ADMISSION)
_START_ERRORS: Final = codes_at(Occasion.START)
_READ_ERRORS: Final = codes_at(Occasion.READ)
_DIRECTORY_ERRORS: Final = (*_READ_ERRORS, InvalidPathError.code, NotFoundError.code)
_ACTION_ERRORS: Final = codes_at(Occasion.ACTION)
_IMPORT_ERRORS: Final = codes_at(Occasion.IMPORT)
_UPLOAD_ERRORS: Final = (*_IMPORT_ERRORS, *codes_at(Occasion.UPLOAD))

START: Final = Contract(
    query=StartQuery,
    headers=(_IDEMPOTENCY_KEY,),
    response=ResponseSpec(
        status=201,
        description="The download is accepted and on stable storage",
        types=(StartResponse,),
        headers=(LOCATION,),
    ),
    result_errors=_START_ERRORS + codes_at(Occasion.END),
    result_error_type=StartResponse,
    errors=(*_ADMISSION_ERRORS, NotFoundError.code),
)
BATCH: Final = Contract(
    body=BatchBody,
    headers=(_IDEMPOTENCY_KEY,),
    response=ResponseSpec(status=201, description="At least one download is accepted", types=(BatchResponse,)),
    result_errors=_START_ERRORS,
    result_error_type=BatchResponse,
    errors=(*_ADMISSION_ERRORS, *_QUERY_ERRORS, *_BODY_ERRORS),
)
PROBE: Final = Contract(
    body=ProbeBody,
    response=ResponseSpec(description="What a download of the URL would find", types=(ProbeResponse,)),
    errors=(
        *_QUERY_ERRORS,
        *_BODY_ERRORS,
        InvalidUrlError.code,
        InvalidPathError.code,
        DomainBlockedError.code,
        DownloadForbiddenError.code,
        DownloadTimeoutError.code,
        RemoteFileNotFoundError.code,
        NetworkError.code,
        RemoteError.code,
        TooManyRedirectsError.code,
        FileTooLargeError.code,
        UnexpectedContentError.code,
    ),
)
EXPLAIN: Final = Contract(
    body=BatchItem,
    response=ResponseSpec(description="What would become of the download", types=(ExplainResponse,)),
    errors=(*_QUERY_ERRORS, *_BODY_ERRORS, DownloadForbiddenError.code, StoreUnavailableError.code),
)
DIRECTORY_LISTING: Final = Contract(
    query=DirectoryListingQuery,
    response=ResponseSpec(description="Active downloads, oldest first", types=(Listing,), headers=(LINK,)),
    errors=_DIRECTORY_ERRORS,
)
LISTING: Final = Contract(
    query=ListingQuery,
    response=ResponseSpec(description="Active downloads, oldest first", types=(Listing,), headers=(LINK,)),
    errors=_READ_ERRORS,
)
HISTORY: Final = Contract(
    query=HistoryQuery,
    response=ResponseSpec(description="Finished downloads, newest first", types=(History,), headers=(LINK,)),
    errors=_DIRECTORY_ERRORS,
)
DOWNLOAD: Final = Contract(
    response=ResponseSpec(description="The download, active or finished", types=(ActiveEntry, HistoryEntry)),
    errors=(*_READ_ERRORS, NotFoundError.code),
)
CANCEL: Final = Contract(
    query=CancelQuery,
    response=ResponseSpec(description="The final entry of the download", types=(HistoryEntryResponse,)),
    errors=(*_ACTION_ERRORS, FileChangedError.code, StorageError.code),
)
FILE: Final = Contract(
    query=FileQuery,
    headers=("Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"),
    response=ResponseSpec(description="The content of the file", media_type="*/*"),
    other_responses=(
        ResponseSpec(status=206, description="The range of the file", media_type="*/*"),
        ResponseSpec(status=304, description="The client has this content already", media_type=""),
    ),
    errors=(
        *_READ_ERRORS,
        NotFoundError.code,
        InvalidStateError.code,
        FileChangedError.code,
        PreconditionFailedError.code,
        RangeNotSatisfiableError.code,
        StorageError.code,
    ),
)
FILES: Final = Contract(
    query=DirectoryFilesQuery,
    response=ResponseSpec(
        description="Finished files and directories, ordered by name", types=(DirectoryFiles,), headers=(LINK,)
    ),
    errors=(*_DIRECTORY_ERRORS, StorageError.code),
)
FILE_LINK: Final = Contract(
    response=ResponseSpec(status=201, description="The link, for six hours", types=(FileLink,)),
    errors=(*_READ_ERRORS, NotFoundError.code, InvalidStateError.code),
)
REMOVE_HISTORY: Final = Contract(
    query=HistoryRemovalQuery,
    response=ResponseSpec(description="The number of removed entries", types=(RemovalResponse,)),
    errors=(*_READ_ERRORS, InvalidPathError.code),
)
AMEND: Final = Contract(
    body=AmendBody,
    response=ResponseSpec(
        description="The download after the change, active or finished",
        types=(ActiveEntryResponse, HistoryEntryResponse),
    ),
    errors=(
        *_ACTION_ERRORS,
        *_BODY_ERRORS,
        DownloadForbiddenError.code,
        InvalidUrlError.code,
        InvalidPathError.code,
        DomainBlockedError.code,
        FileExistsAlreadyError.code,
    ),
)
PAUSE: Final = Contract(
    response=ResponseSpec(description="The download after the change", types=(ActiveEntryResponse,)),
    errors=_ACTION_ERRORS,
)
RESUME: Final = Contract(
    response=ResponseSpec(description="The download after the change", types=(ActiveEntryResponse,)),
    errors=(*_ACTION_ERRORS, DownloadForbiddenError.code),
)
MOVE: Final = Contract(
    body=MoveBody,
    response=ResponseSpec(description="The download after the move, with its new index", types=(MoveResponse,)),
    errors=(*_ACTION_ERRORS, *_BODY_ERRORS),
)
PAUSE_ALL: Final = Contract(
    response=ResponseSpec(description="The number of paused downloads", types=(ChangeCountResponse,)),
    errors=_READ_ERRORS,
)
RESUME_ALL: Final = Contract(
    response=ResponseSpec(description="The number of resumed downloads", types=(ChangeCountResponse,)),
    errors=(*_READ_ERRORS, DownloadForbiddenError.code),
)
RETRY: Final = Contract(
    body=RetryBody,
    is_body_required=False,
    response=ResponseSpec(description="The download after the change", types=(ActiveEntryResponse,)),
    errors=(
        *_ACTION_ERRORS,
        *_BODY_ERRORS,
        DownloadForbiddenError.code,
        InvalidUrlError.code,
        DomainBlockedError.code,
        QueueFullError.code,
    ),
)
EVENTS: Final = Contract(
    headers=("Last-Event-ID",),
    response=ResponseSpec(
        description=describe_event_types(),
        media_type="text/event-stream",
    ),
    errors=(*_QUERY_ERRORS, ShuttingDownError.code),
)
DIRECTORIES: Final = Contract(
    query=DirectoriesQuery,
    response=ResponseSpec(description="Directories, ordered by name", types=(Directories,)),
    errors=_QUERY_ERRORS,
)
HOSTS: Final = Contract(
    query=HostsQuery,
    response=ResponseSpec(description="Origins in use or in trouble", types=(Hosts,)),
    errors=_QUERY_ERRORS,
)
QUOTA: Final = Contract(
    response=ResponseSpec(description="Use of the quotas of the user who asks", types=(UserQuotaUse,)),
    errors=_QUERY_ERRORS,
)
NODES: Final = Contract(
    response=ResponseSpec(description="The daemons that use the database", types=(Nodes,)),
    errors=_READ_ERRORS,
)
SETTINGS: Final = Contract(
    response=ResponseSpec(description="The limits on all downloads that hold now", types=(CurrentSettings,)),
    errors=_QUERY_ERRORS,
)
CHANGE_SETTINGS: Final = Contract(
    body=SettingsBody,
    response=ResponseSpec(description="All limits after the change", types=(SettingsResponse,)),
    errors=(*_QUERY_ERRORS, *_BODY_ERRORS),
)
ERROR_TABLE: Final = Contract(
    response=ResponseSpec(description="The table of errors", types=(ErrorTable,)),
    errors=_QUERY_ERRORS,
)
HEALTH: Final = Contract(
    response=ResponseSpec(description="The daemon answers requests", types=(Health,)),
    errors=(*_QUERY_ERRORS, StoreUnavailableError.code, ShuttingDownError.code),
)
ACCEPT_STORAGE: Final = Contract(
    response=ResponseSpec(description="The storage root is used from now on", types=(StorageResponse,)),
    errors=(*_READ_ERRORS, StorageError.code),
)
METRICS: Final = Contract(
    response=ResponseSpec(
        description="Metrics in the text format of Prometheus or in OpenMetrics", media_type="text/plain"
    ),
    errors=_QUERY_ERRORS,
)
OPENAPI_DOCUMENT: Final = Contract(
    response=ResponseSpec(description="This document", media_type="application/json"),
    errors=_QUERY_ERRORS,
)
PAGE: Final = Contract(response=ResponseSpec(description="An HTML page", media_type="text/html"), errors=_QUERY_ERRORS)
INDEX: Final = Contract(
    query=SharedQuery,
    response=ResponseSpec(description="An HTML page", media_type="text/html"),
    errors=_QUERY_ERRORS,
)
_SUCCESS: Final = ResponseSpec(description="The request succeeded", types=(SuccessResponse,))
UPLOAD: Final = Contract(
    body=UploadBody,
    response=_SUCCESS,
    errors=_UPLOAD_ERRORS,
    result_errors=_QUERY_ERRORS,
    result_error_type=ImportErrorResponse,
)
UPLOAD_RAW: Final = Contract(
    query=RawUploadQuery,
    is_raw_body=True,
    response=ResponseSpec(status=201, description="The import operation", types=(CurrentOperation,)),
    errors=_UPLOAD_ERRORS,
    result_errors=_QUERY_ERRORS,
    result_error_type=ImportErrorResponse,
)
FETCH_FILE: Final = Contract(
    body=PublicFileBody,
    response=_SUCCESS,
    errors=_IMPORT_ERRORS,
    result_errors=_QUERY_ERRORS,
    result_error_type=ImportErrorResponse,
)
FILE_DATA: Final = Contract(
    response=ResponseSpec(
        description="The content of the file, or the state of reading it", types=(FileDataResponse, WaitingResponse)
    ),
    errors=_READ_ERRORS,
    result_errors=_QUERY_ERRORS,
    result_error_type=ImportErrorResponse,
)
PROGRESS: Final = Contract(
    response=ResponseSpec(description="The newest import operation", types=(ImportProgress,)),
    errors=_READ_ERRORS,
    result_errors=_QUERY_ERRORS,
    result_error_type=ImportErrorResponse,
)
START_IMPORT: Final = Contract(
    body=SelectionBody,
    response=_SUCCESS,
    errors=_IMPORT_ERRORS,
    result_errors=_QUERY_ERRORS,
    result_error_type=ImportErrorResponse,
)
FETCH_PENDING: Final = Contract(
    query=PendingQuery,
    response=ResponseSpec(description="The number of files whose download starts", types=(CountResponse,)),
    errors=(*_READ_ERRORS, NotFoundError.code),
    result_errors=_QUERY_ERRORS,
    result_error_type=ImportErrorResponse,
)
SKIPPED: Final = Contract(
    query=SkippedQuery,
    response=ResponseSpec(
        description="What is not imported, in the order of the file", types=(SkippedResponse,), headers=(LINK,)
    ),
    errors=(*_READ_ERRORS, NotFoundError.code),
    result_errors=_QUERY_ERRORS,
    result_error_type=ImportErrorResponse,
)
CURRENT_OPERATION: Final = Contract(
    response=ResponseSpec(description="The newest import operation", types=(CurrentOperation,)),
    errors=_READ_ERRORS,
)
LATEST_OPERATIONS: Final = Contract(
    response=ResponseSpec(
        description="The 20 import operations that were updated last", types=(OperationEntry,), is_array=True
    ),
    errors=_READ_ERRORS,
)
CANCEL_IMPORT: Final = Contract(
    query=CancelImportQuery,
    response=ResponseSpec(description="The import operation; the same if it is repeated", types=(CurrentOperation,)),
    errors=(*_READ_ERRORS, NotFoundError.code),
    result_errors=_QUERY_ERRORS,
    result_error_type=ImportErrorResponse,
)
