"""Words of Rocket.Chat for states, errors and kinds of imports.

Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from downloadd.import_operation import PENDING_AVATARS, PENDING_FILES, ImportErrorCode, ImportState
from downloadd.imports.importers import IMPORTERS


class ImportStatus(StrEnum):
    """Status of an import operation in Rocket.Chat; not every one has a state of this daemon."""

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


STATUS_LABELS: Final[Mapping[ImportStatus, str]] = MappingProxyType(
    {
        ImportStatus.NEW: "New",
        ImportStatus.UPLOADING: "Uploading",
        ImportStatus.DOWNLOADING_FILE: "Downloading the export",
        ImportStatus.FILE_LOADED: "Uploaded",
        ImportStatus.PREPARING_STARTED: "Reading",
        ImportStatus.PREPARING_USERS: "Reading users",
        ImportStatus.PREPARING_CHANNELS: "Reading channels",
        ImportStatus.PREPARING_MESSAGES: "Reading messages",
        ImportStatus.USER_SELECTION: "Waiting for the selection",
        ImportStatus.IMPORTING_STARTED: "Starting",
        ImportStatus.IMPORTING_USERS: "Importing users",
        ImportStatus.IMPORTING_CHANNELS: "Importing channels",
        ImportStatus.IMPORTING_MESSAGES: "Importing messages",
        ImportStatus.IMPORTING_FILES: "Downloading files",
        ImportStatus.FINISHING: "Finishing",
        ImportStatus.DONE: "Done",
        ImportStatus.FAILED: "Failed",
        ImportStatus.CANCELLED: "Cancelled",
    }
)
"""Names of the statuses for people."""

STATUSES: Final[Mapping[ImportState, ImportStatus]] = MappingProxyType(
    {
        ImportState.NEW: ImportStatus.NEW,
        ImportState.UPLOADING: ImportStatus.UPLOADING,
        ImportState.FETCHING: ImportStatus.DOWNLOADING_FILE,
        ImportState.UPLOADED: ImportStatus.FILE_LOADED,
        ImportState.READING: ImportStatus.PREPARING_STARTED,
        ImportState.READING_USERS: ImportStatus.PREPARING_USERS,
        ImportState.READING_CHANNELS: ImportStatus.PREPARING_CHANNELS,
        ImportState.READING_FILES: ImportStatus.PREPARING_MESSAGES,
        ImportState.READY: ImportStatus.USER_SELECTION,
        ImportState.SELECTING: ImportStatus.IMPORTING_STARTED,
        ImportState.DOWNLOADING: ImportStatus.IMPORTING_FILES,
        ImportState.DONE: ImportStatus.DONE,
        ImportState.FAILED: ImportStatus.FAILED,
        ImportState.CANCELLED: ImportStatus.CANCELLED,
    }
)
FINISHED_STATUSES: Final = frozenset({ImportStatus.DONE, ImportStatus.FAILED, ImportStatus.CANCELLED})
"""Statuses that are never left."""

ERROR_TYPES: Final[Mapping[ImportErrorCode, str]] = MappingProxyType(
    {
        ImportErrorCode.UNKNOWN_IMPORTER: "error-importer-not-defined",
        ImportErrorCode.INVALID_PARAMETER: "error-invalid-params",
        ImportErrorCode.INVALID_FILE: "error-invalid-file",
        ImportErrorCode.FILE_TOO_LARGE: "error-file-too-large",
        ImportErrorCode.WRONG_STATE: "error-import-operation-invalid",
        ImportErrorCode.NOTHING_SELECTED: "error-nothing-selected",
    }
)
"""The `errorType` of a response."""

_PENDING_TITLES: Final = {PENDING_FILES: "Pending Files", PENDING_AVATARS: "Pending Avatars"}


def title_of(kind: str) -> str:
    """Return the `type` of operations of a kind; the kind itself if no importer has it any more."""
    importer = IMPORTERS.get(kind)
    return importer.title if importer is not None else _PENDING_TITLES.get(kind, kind)
