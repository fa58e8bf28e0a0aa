"""What each operation takes and answers, for the OpenAPI document.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.errors import ErrorCode
from downloadd.fronts.rest.event_types import describe_event_types
from downloadd.fronts.rest.schemas import (
    ActiveEntry,
    ActiveEntryResponse,
    AmendBody,
    BatchBody,
    BatchResponse,
    Directories,
    DirectoriesQuery,
    DirectoryListingQuery,
    ErrorTable,
    Health,
    History,
    HistoryEntry,
    HistoryEntryResponse,
    HistoryQuery,
    Listing,
    ListingQuery,
    StartQuery,
    StartResponse,
)
from downloadd.fronts.rocketchat.schemas import (
    CountResponse,
    CurrentOperation,
    FileDataResponse,
    ImportErrorResponse,
    ImportProgress,
    OperationEntry,
    PublicFileBody,
    RawUploadQuery,
    SelectionBody,
    SuccessResponse,
    UploadBody,
    WaitingResponse,
)

LOCATION: Final = "Location"
LINK: Final = "Link"


class ResponseSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that means success."""

    status: int = 200
    description: str
    types: tuple[type[msgspec.Struct], ...] = ()
    """JSON shapes; none for another media type."""
    media_type: str = "application/json"
    is_array: bool = False
    """Whether it is an array of them."""
    headers: tuple[str, ...] = ()


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of an operation beyond its path and method."""

    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    is_raw_body: bool = False
    """Whether the body is a file as it is."""
    headers: tuple[str, ...] = ()
    """Request header fields that mean something here."""
    response: ResponseSpec
    result_errors: tuple[ErrorCode, ...] = ()
    """Errors with a download id of their own, or a list of results."""
    result_error_type: type[msgspec.Struct] | None = None
    errors: tuple[ErrorCode, ...] = ()
    """Errors that belong to no download of their own."""


_START_ERRORS: Final = (
    ErrorCode.INVALID_URL,
    ErrorCode.DOMAIN_BLOCKED,
    ErrorCode.INVALID_PARAMETER,
    ErrorCode.INVALID_PATH,
    ErrorCode.FILE_EXISTS,
    ErrorCode.QUEUE_FULL,
)
_OUTCOME_ERRORS: Final = (
    ErrorCode.DOWNLOAD_TIMEOUT,
    ErrorCode.REMOTE_FILE_NOT_FOUND,
    ErrorCode.NETWORK_ERROR,
    ErrorCode.REMOTE_ERROR,
    ErrorCode.TOO_MANY_REDIRECTS,
    ErrorCode.FILE_TOO_LARGE,
    ErrorCode.INSUFFICIENT_STORAGE,
    ErrorCode.STORAGE_ERROR,
    ErrorCode.CHECKSUM_MISMATCH,
    ErrorCode.CANCELLED,
)
_AVAILABILITY_ERRORS: Final = (ErrorCode.DOWNLOAD_FORBIDDEN, ErrorCode.SHUTTING_DOWN, ErrorCode.STORE_UNAVAILABLE)
_IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_ACTION_ERRORS: Final = (
    ErrorCode.NOT_FOUND,
    ErrorCode.INVALID_STATE,
    ErrorCode.INVALID_PARAMETER,
    ErrorCode.STORE_UNAVAILABLE,
)

START: Final = Contract(
    query=StartQuery,
    headers=(_IDEMPOTENCY_KEY,),
    response=ResponseSpec(
        status=201, description="Started, on stable storage", types=(StartResponse,), headers=(LOCATION,)
    ),
    result_errors=_START_ERRORS + _OUTCOME_ERRORS,
    result_error_type=StartResponse,
    errors=(*_AVAILABILITY_ERRORS, ErrorCode.IDEMPOTENCY_KEY_REUSED, ErrorCode.NOT_FOUND),
)
BATCH: Final = Contract(
    body=BatchBody,
    headers=(_IDEMPOTENCY_KEY,),
    response=ResponseSpec(status=201, description="At least one was accepted", types=(BatchResponse,)),
    result_errors=_START_ERRORS,
    result_error_type=BatchResponse,
    errors=(
        *_AVAILABILITY_ERRORS,
        ErrorCode.INVALID_PARAMETER,
        ErrorCode.BODY_TOO_LARGE,
        ErrorCode.BODY_TOO_SLOW,
        ErrorCode.IDEMPOTENCY_KEY_REUSED,
    ),
)
DIRECTORY_LISTING: Final = Contract(
    query=DirectoryListingQuery,
    response=ResponseSpec(description="Active downloads, oldest first", types=(Listing,), headers=(LINK,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.INVALID_PATH, ErrorCode.NOT_FOUND, ErrorCode.STORE_UNAVAILABLE),
)
LISTING: Final = Contract(
    query=ListingQuery,
    response=ResponseSpec(description="Active downloads, oldest first", types=(Listing,), headers=(LINK,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
)
HISTORY: Final = Contract(
    query=HistoryQuery,
    response=ResponseSpec(description="Ended downloads, newest first", types=(History,), headers=(LINK,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.INVALID_PATH, ErrorCode.NOT_FOUND, ErrorCode.STORE_UNAVAILABLE),
)
DOWNLOAD: Final = Contract(
    response=ResponseSpec(description="The download, active or ended", types=(ActiveEntry, HistoryEntry)),
    errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
)
CANCEL: Final = Contract(
    response=ResponseSpec(description="Its final entry", types=(HistoryEntryResponse,)), errors=_ACTION_ERRORS
)
AMEND: Final = Contract(
    body=AmendBody,
    response=ResponseSpec(description="The download as it is now", types=(ActiveEntryResponse,)),
    errors=(
        *_ACTION_ERRORS,
        ErrorCode.DOWNLOAD_FORBIDDEN,
        ErrorCode.INVALID_URL,
        ErrorCode.DOMAIN_BLOCKED,
        ErrorCode.BODY_TOO_LARGE,
        ErrorCode.BODY_TOO_SLOW,
    ),
)
PAUSE: Final = Contract(
    response=ResponseSpec(description="The download as it is now", types=(ActiveEntryResponse,)), errors=_ACTION_ERRORS
)
RESUME: Final = Contract(
    response=ResponseSpec(description="The download as it is now", types=(ActiveEntryResponse,)),
    errors=(*_ACTION_ERRORS, ErrorCode.DOWNLOAD_FORBIDDEN),
)
RETRY: Final = Contract(
    response=ResponseSpec(description="The download as it is now", types=(ActiveEntryResponse,)),
    errors=(*_ACTION_ERRORS, ErrorCode.DOWNLOAD_FORBIDDEN, ErrorCode.QUEUE_FULL),
)
EVENTS: Final = Contract(
    headers=("Last-Event-ID",),
    response=ResponseSpec(
        description=describe_event_types(),
        media_type="text/event-stream",
    ),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.SHUTTING_DOWN),
)
DIRECTORIES: Final = Contract(
    query=DirectoriesQuery,
    response=ResponseSpec(description="Directories, in the order of their names", types=(Directories,)),
    errors=(ErrorCode.INVALID_PARAMETER,),
)
ERROR_TABLE: Final = Contract(
    response=ResponseSpec(description="What each error code means", types=(ErrorTable,)),
    errors=(ErrorCode.INVALID_PARAMETER,),
)
HEALTH: Final = Contract(
    response=ResponseSpec(description="The daemon hears", types=(Health,)), errors=(ErrorCode.INVALID_PARAMETER,)
)
METRICS: Final = Contract(
    response=ResponseSpec(description="Prometheus exposition", media_type="text/plain"),
    errors=(ErrorCode.INVALID_PARAMETER,),
)
OPENAPI_DOCUMENT: Final = Contract(
    response=ResponseSpec(description="This document", media_type="application/json"),
    errors=(ErrorCode.INVALID_PARAMETER,),
)
PAGE: Final = Contract(
    response=ResponseSpec(description="A page", media_type="text/html"), errors=(ErrorCode.INVALID_PARAMETER,)
)
_IMPORT_RESULT_ERRORS: Final = (ErrorCode.INVALID_PARAMETER,)
_IMPORT_ERRORS: Final = (
    ErrorCode.INVALID_PARAMETER,
    ErrorCode.BODY_TOO_SLOW,
    ErrorCode.STORAGE_ERROR,
    ErrorCode.SHUTTING_DOWN,
    ErrorCode.STORE_UNAVAILABLE,
)
_UPLOAD_ERRORS: Final = (*_IMPORT_ERRORS, ErrorCode.INSUFFICIENT_STORAGE)
_SUCCESS: Final = ResponseSpec(description="It was done", types=(SuccessResponse,))
UPLOAD: Final = Contract(
    body=UploadBody,
    response=_SUCCESS,
    errors=_UPLOAD_ERRORS,
    result_errors=_IMPORT_RESULT_ERRORS,
    result_error_type=ImportErrorResponse,
)
UPLOAD_RAW: Final = Contract(
    query=RawUploadQuery,
    is_raw_body=True,
    response=ResponseSpec(status=201, description="The operation", types=(CurrentOperation,)),
    errors=_UPLOAD_ERRORS,
    result_errors=_IMPORT_RESULT_ERRORS,
    result_error_type=ImportErrorResponse,
)
FETCH_FILE: Final = Contract(
    body=PublicFileBody,
    response=_SUCCESS,
    errors=_IMPORT_ERRORS,
    result_errors=_IMPORT_RESULT_ERRORS,
    result_error_type=ImportErrorResponse,
)
FILE_DATA: Final = Contract(
    response=ResponseSpec(
        description="What is in the file, or that it is being read", types=(FileDataResponse, WaitingResponse)
    ),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
    result_errors=_IMPORT_RESULT_ERRORS,
    result_error_type=ImportErrorResponse,
)
PROGRESS: Final = Contract(
    response=ResponseSpec(description="The newest operation", types=(ImportProgress,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
    result_errors=_IMPORT_RESULT_ERRORS,
    result_error_type=ImportErrorResponse,
)
START_IMPORT: Final = Contract(
    body=SelectionBody,
    response=_SUCCESS,
    errors=_IMPORT_ERRORS,
    result_errors=_IMPORT_RESULT_ERRORS,
    result_error_type=ImportErrorResponse,
)
FETCH_PENDING: Final = Contract(
    response=ResponseSpec(description="How many start to download", types=(CountResponse,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
    result_errors=_IMPORT_RESULT_ERRORS,
    result_error_type=ImportErrorResponse,
)
CURRENT_OPERATION: Final = Contract(
    response=ResponseSpec(description="The newest operation", types=(CurrentOperation,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
)
LATEST_OPERATIONS: Final = Contract(
    response=ResponseSpec(
        description="The 20 operations that were updated last", types=(OperationEntry,), is_array=True
    ),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
)
CANCEL_IMPORT: Final = Contract(
    response=ResponseSpec(description="The operation", types=(CurrentOperation,)),
    errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
    result_errors=_IMPORT_RESULT_ERRORS,
    result_error_type=ImportErrorResponse,
)
