"""Exit statuses of aria2 that stand for the errors of downloads: `errorCode` in the status of an ended download.

AriaNg offers to retry a download only for the codes that it knows. Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from downloadd.download import Download
from downloadd.errors import ErrorCode, NetworkErrorKind
from downloadd.states import STATES, State


class ExitStatus(IntEnum):
    """Exit status of aria2."""

    FINISHED = 0
    UNKNOWN = 1
    TIME_OUT = 2
    NOT_FOUND = 3
    TOO_SLOW = 5
    NETWORK_PROBLEM = 6
    NOT_ENOUGH_SPACE = 9
    FILE_EXISTS = 13
    CANNOT_CREATE_FILE = 16
    FILE_IO = 17
    NAME_RESOLUTION = 19
    BAD_RESPONSE = 22
    TOO_MANY_REDIRECTS = 23
    AUTHORIZATION = 24
    OVERLOADED = 29
    REMOVED = 31
    CHECKSUM = 32


EXIT_STATUSES: Final[Mapping[ErrorCode, ExitStatus]] = MappingProxyType(
    {
        ErrorCode.DOWNLOAD_TIMEOUT: ExitStatus.TIME_OUT,
        ErrorCode.REMOTE_FILE_NOT_FOUND: ExitStatus.NOT_FOUND,
        ErrorCode.NETWORK_ERROR: ExitStatus.NETWORK_PROBLEM,
        ErrorCode.INSUFFICIENT_STORAGE: ExitStatus.NOT_ENOUGH_SPACE,
        ErrorCode.QUOTA_EXCEEDED: ExitStatus.NOT_ENOUGH_SPACE,
        ErrorCode.FILE_EXISTS: ExitStatus.FILE_EXISTS,
        ErrorCode.INVALID_PATH: ExitStatus.CANNOT_CREATE_FILE,
        ErrorCode.STORAGE_ERROR: ExitStatus.FILE_IO,
        ErrorCode.REMOTE_ERROR: ExitStatus.BAD_RESPONSE,
        ErrorCode.UNEXPECTED_CONTENT: ExitStatus.BAD_RESPONSE,
        ErrorCode.TOO_MANY_REDIRECTS: ExitStatus.TOO_MANY_REDIRECTS,
        ErrorCode.CANCELLED: ExitStatus.REMOVED,
        ErrorCode.CHECKSUM_MISMATCH: ExitStatus.CHECKSUM,
    }
)
"""The status of each error; `UNKNOWN` for the others."""

BY_CAUSE: Final[Mapping[NetworkErrorKind, ExitStatus]] = MappingProxyType(
    {
        NetworkErrorKind.NAME: ExitStatus.NAME_RESOLUTION,
        NetworkErrorKind.TIMEOUT: ExitStatus.TIME_OUT,
        NetworkErrorKind.STALLED: ExitStatus.TIME_OUT,
        NetworkErrorKind.SLOW: ExitStatus.TOO_SLOW,
    }
)
"""The status of a NETWORK_ERROR with these causes."""

BY_ORIGIN_STATUS: Final[Mapping[int, ExitStatus]] = MappingProxyType(
    {
        401: ExitStatus.AUTHORIZATION,
        407: ExitStatus.AUTHORIZATION,
        503: ExitStatus.OVERLOADED,
    }
)
"""The status of a REMOTE_ERROR with these statuses of the origin."""


def exit_status_of(download: Download) -> ExitStatus:
    """Return the exit status of an ended download."""
    if STATES[download.state].is_success:
        return ExitStatus.FINISHED
    if download.state is State.CANCELLED:
        return ExitStatus.REMOVED
    result = download.result
    if result.error is None:
        return ExitStatus.UNKNOWN
    status = EXIT_STATUSES.get(result.error, ExitStatus.UNKNOWN)
    if result.error is ErrorCode.NETWORK_ERROR and result.cause is not None:
        return BY_CAUSE.get(result.cause, status)
    if result.error is ErrorCode.REMOTE_ERROR and result.origin_status is not None:
        return BY_ORIGIN_STATUS.get(result.origin_status, status)
    return status
