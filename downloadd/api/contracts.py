"""What each operation takes and answers, for the OpenAPI document.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.api.bodies import (
    ActiveAnswer,
    ActiveEntry,
    AmendBody,
    BatchAnswer,
    BatchBody,
    Directories,
    DirectoriesQuery,
    DirectoryListingQuery,
    ErrorTable,
    Health,
    History,
    HistoryQuery,
    Listing,
    ListingQuery,
    PastAnswer,
    PastEntry,
    StartAnswer,
    StartQuery,
)
from downloadd.api.import_bodies import (
    Counted,
    CurrentOperation,
    FileDataAnswer,
    Flag,
    ImportFailure,
    OperationEntry,
    Progress,
    PublicFileBody,
    RawUploadQuery,
    SelectionBody,
    UploadBody,
    Waiting,
)
from downloadd.errors import ErrorCode

LOCATION: Final = "Location"
LINK: Final = "Link"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that means success."""

    status: int = 200
    description: str
    types: tuple[type[msgspec.Struct], ...] = ()
    """JSON shapes; none for another media type."""
    media_type: str = "application/json"
    many: bool = False
    """Whether it is an array of them."""
    headers: tuple[str, ...] = ()


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of an operation beyond its path and method."""

    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    file: bool = False
    """Whether the body is a file as it is."""
    headers: tuple[str, ...] = ()
    """Request header fields that mean something here."""
    reply: Reply
    refusals: tuple[ErrorCode, ...] = ()
    """Errors with a download id of their own, or a list of results."""
    refusal_type: type[msgspec.Struct] | None = None
    errors: tuple[ErrorCode, ...] = ()
    """Errors that belong to no download of their own."""


_ORDER_ERRORS: Final = (
    ErrorCode.INVALID_URL,
    ErrorCode.DOMAIN_BLOCKED,
    ErrorCode.INVALID_PARAMETER,
    ErrorCode.INVALID_PATH,
    ErrorCode.FILE_EXISTS,
    ErrorCode.QUEUE_FULL,
)
_END_ERRORS: Final = (
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
_FETCH_ERRORS: Final = (ErrorCode.DOWNLOAD_FORBIDDEN, ErrorCode.SHUTTING_DOWN, ErrorCode.STORE_UNAVAILABLE)
_REPEAT: Final = "Idempotency-Key"
_VERB_ERRORS: Final = (
    ErrorCode.NOT_FOUND,
    ErrorCode.INVALID_STATE,
    ErrorCode.INVALID_PARAMETER,
    ErrorCode.STORE_UNAVAILABLE,
)

START: Final = Contract(
    query=StartQuery,
    headers=(_REPEAT,),
    reply=Reply(status=201, description="Started, on stable storage", types=(StartAnswer,), headers=(LOCATION,)),
    refusals=_ORDER_ERRORS + _END_ERRORS,
    refusal_type=StartAnswer,
    errors=(*_FETCH_ERRORS, ErrorCode.IDEMPOTENCY_KEY_REUSED, ErrorCode.NOT_FOUND),
)
BATCH: Final = Contract(
    body=BatchBody,
    headers=(_REPEAT,),
    reply=Reply(status=201, description="At least one was accepted", types=(BatchAnswer,)),
    refusals=_ORDER_ERRORS,
    refusal_type=BatchAnswer,
    errors=(
        *_FETCH_ERRORS,
        ErrorCode.INVALID_PARAMETER,
        ErrorCode.BODY_TOO_LARGE,
        ErrorCode.BODY_TOO_SLOW,
        ErrorCode.IDEMPOTENCY_KEY_REUSED,
    ),
)
LISTING_HERE: Final = Contract(
    query=DirectoryListingQuery,
    reply=Reply(description="Active downloads, oldest first", types=(Listing,), headers=(LINK,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.INVALID_PATH, ErrorCode.NOT_FOUND, ErrorCode.STORE_UNAVAILABLE),
)
LISTING: Final = Contract(
    query=ListingQuery,
    reply=Reply(description="Active downloads, oldest first", types=(Listing,), headers=(LINK,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
)
HISTORY: Final = Contract(
    query=HistoryQuery,
    reply=Reply(description="Ended downloads, newest first", types=(History,), headers=(LINK,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.INVALID_PATH, ErrorCode.NOT_FOUND, ErrorCode.STORE_UNAVAILABLE),
)
ONE: Final = Contract(
    reply=Reply(description="The download, active or ended", types=(ActiveEntry, PastEntry)),
    errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
)
CANCEL: Final = Contract(reply=Reply(description="Its final entry", types=(PastAnswer,)), errors=_VERB_ERRORS)
AMEND: Final = Contract(
    body=AmendBody,
    reply=Reply(description="The download as it is now", types=(ActiveAnswer,)),
    errors=(
        *_VERB_ERRORS,
        ErrorCode.DOWNLOAD_FORBIDDEN,
        ErrorCode.INVALID_URL,
        ErrorCode.DOMAIN_BLOCKED,
        ErrorCode.BODY_TOO_LARGE,
        ErrorCode.BODY_TOO_SLOW,
    ),
)
PAUSE: Final = Contract(
    reply=Reply(description="The download as it is now", types=(ActiveAnswer,)), errors=_VERB_ERRORS
)
RESUME: Final = Contract(
    reply=Reply(description="The download as it is now", types=(ActiveAnswer,)),
    errors=(*_VERB_ERRORS, ErrorCode.DOWNLOAD_FORBIDDEN),
)
RETRY: Final = Contract(
    reply=Reply(description="The download as it is now", types=(ActiveAnswer,)),
    errors=(*_VERB_ERRORS, ErrorCode.DOWNLOAD_FORBIDDEN, ErrorCode.QUEUE_FULL),
)
EVENTS: Final = Contract(
    headers=("Last-Event-ID",),
    reply=Reply(
        description="`download` events with the entry of a listing, `history` events with that of the history, "
        "`import` events with an import operation, and `reset` events, which say that the history has to be read",
        media_type="text/event-stream",
    ),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.SHUTTING_DOWN),
)
DIRECTORIES: Final = Contract(
    query=DirectoriesQuery,
    reply=Reply(description="Directories, in the order of their names", types=(Directories,)),
    errors=(ErrorCode.INVALID_PARAMETER,),
)
ERROR_TABLE: Final = Contract(
    reply=Reply(description="What each error code means", types=(ErrorTable,)), errors=(ErrorCode.INVALID_PARAMETER,)
)
HEALTH: Final = Contract(
    reply=Reply(description="The daemon hears", types=(Health,)), errors=(ErrorCode.INVALID_PARAMETER,)
)
METRICS: Final = Contract(
    reply=Reply(description="Prometheus exposition", media_type="text/plain"), errors=(ErrorCode.INVALID_PARAMETER,)
)
DOCUMENT: Final = Contract(
    reply=Reply(description="This document", media_type="application/json"), errors=(ErrorCode.INVALID_PARAMETER,)
)
PAGE: Final = Contract(reply=Reply(description="A page", media_type="text/html"), errors=(ErrorCode.INVALID_PARAMETER,))
_IMPORT_REFUSALS: Final = (ErrorCode.INVALID_PARAMETER,)
_IMPORT_ERRORS: Final = (
    ErrorCode.INVALID_PARAMETER,
    ErrorCode.BODY_TOO_SLOW,
    ErrorCode.STORAGE_ERROR,
    ErrorCode.SHUTTING_DOWN,
    ErrorCode.STORE_UNAVAILABLE,
)
_UPLOAD_ERRORS: Final = (*_IMPORT_ERRORS, ErrorCode.INSUFFICIENT_STORAGE)
_DONE: Final = Reply(description="It was done", types=(Flag,))
UPLOAD: Final = Contract(
    body=UploadBody, reply=_DONE, errors=_UPLOAD_ERRORS, refusals=_IMPORT_REFUSALS, refusal_type=ImportFailure
)
UPLOAD_RAW: Final = Contract(
    query=RawUploadQuery,
    file=True,
    reply=Reply(status=201, description="The operation", types=(CurrentOperation,)),
    errors=_UPLOAD_ERRORS,
    refusals=_IMPORT_REFUSALS,
    refusal_type=ImportFailure,
)
FETCH_FILE: Final = Contract(
    body=PublicFileBody, reply=_DONE, errors=_IMPORT_ERRORS, refusals=_IMPORT_REFUSALS, refusal_type=ImportFailure
)
FILE_DATA: Final = Contract(
    reply=Reply(description="What is in the file, or that it is being read", types=(FileDataAnswer, Waiting)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
    refusals=_IMPORT_REFUSALS,
    refusal_type=ImportFailure,
)
PROGRESS: Final = Contract(
    reply=Reply(description="The newest operation", types=(Progress,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
    refusals=_IMPORT_REFUSALS,
    refusal_type=ImportFailure,
)
START_IMPORT: Final = Contract(
    body=SelectionBody, reply=_DONE, errors=_IMPORT_ERRORS, refusals=_IMPORT_REFUSALS, refusal_type=ImportFailure
)
PENDING: Final = Contract(
    reply=Reply(description="How many start to download", types=(Counted,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
    refusals=_IMPORT_REFUSALS,
    refusal_type=ImportFailure,
)
CURRENT_OPERATION: Final = Contract(
    reply=Reply(description="The newest operation", types=(CurrentOperation,)),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
)
LATEST_OPERATIONS: Final = Contract(
    reply=Reply(description="The 20 operations that were updated last", types=(OperationEntry,), many=True),
    errors=(ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
)
CANCEL_IMPORT: Final = Contract(
    reply=Reply(description="The operation", types=(CurrentOperation,)),
    errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_PARAMETER, ErrorCode.STORE_UNAVAILABLE),
    refusals=_IMPORT_REFUSALS,
    refusal_type=ImportFailure,
)
