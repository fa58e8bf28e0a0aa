"""Errors of the RPC interface: a code, and the texts of aria2 that clients show or compare.

Pure: no I/O and no clock.
"""

import re
from enum import StrEnum
from typing import Any, Final

from downloadd.errors import DownloadError
from downloadd.users import Permission, PermissionMissingError

METHOD_FAILED: Final = 1
"""Code of every error of a method; those of the envelope have codes of their own."""

_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


class RpcError(Exception):
    """Error of one call."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ErrorText(StrEnum):
    """Texts of errors, exactly as aria2 1.36 writes them; `{…}` stands for a value."""

    UNAUTHORIZED = "Unauthorized"
    NO_SUCH_METHOD = "No such method: {name}"
    PARAMETER_MISSING = "The parameter at {index} is required but missing."
    WRONG_TYPE = "The parameter at {index} has wrong type."
    INTEGER_TOO_SMALL = (
        "The integer parameter at {index} has invalid value: the value must be greater than or equal to {minimum}."
    )
    INVALID_GID = "Invalid GID {gid}"
    GID_NOT_FOUND = "GID {gid} is not found"
    GID_NOT_UNIQUE = "GID {gid} is not unique"
    NO_URI_GIVEN = "URI is not provided."
    NO_URI_USABLE = "No URI to download."
    NEGATIVE_POSITION = "Position must be greater than or equal to 0."
    CANNOT_PAUSE = "GID#{gid} cannot be paused now"
    CANNOT_UNPAUSE = "GID#{gid} cannot be unpaused now"
    NOT_ACTIVE = "Active Download not found for GID#{gid}"
    CANNOT_REMOVE_RESULT = "Could not remove download result of GID#{gid}"
    NOT_IN_QUEUE = "GID#{gid} not found in the waiting queue."
    ILLEGAL_ARGUMENT = "Illegal argument."
    CANNOT_CHANGE_OPTION = "Cannot change option for GID#{gid}"
    CANNOT_REMOVE_URIS = "Cannot remove URIs from GID#{gid}"
    FILE_INDEX_OUT_OF_RANGE = "fileIndex is out of range"
    NO_URI_DATA = "No URI data is available for GID#{gid}"
    NO_PEER_DATA = "No peer data is available for GID#{gid}"
    NO_ACTIVE_DOWNLOAD = "No active download for GID#{gid}"
    BAD_OPTION = "We encountered a problem while processing the option '--{name}'."
    MULTICALL_EXPECTS_STRUCT = "system.multicall expected struct."
    MISSING_METHOD_NAME = "Missing methodName."
    RECURSIVE_MULTICALL = "Recursive system.multicall forbidden."


def make_error(text: ErrorText, *, reason: str = "", **values: Any) -> RpcError:
    """Return an error with a text of the table; a `reason` is added as a second sentence."""
    message = text.value.format(**values)
    if reason:
        message = f"{message.removesuffix('.')}. {reason[:1].upper()}{reason[1:]}."
    return refuse(message)


def refuse(message: str) -> RpcError:
    """Return an error with a sentence of our own, which aria2 has no text for."""
    # Half a surrogate pair, repeated from a parameter, cannot be sent.
    return RpcError(METHOD_FAILED, _SURROGATE.sub("\ufffd", message))


def translate_error(error: DownloadError | PermissionMissingError | RpcError) -> RpcError:
    """Return the error of a call for an error of the service."""
    match error:
        case RpcError():
            return error
        case DownloadError():
            return refuse(error.detail)
        case PermissionMissingError():
            # Clients that read `Unauthorized` ask their user for another secret.
            return refuse(f"The user of this token may not do this: {_describe_missing(error)} is missing")


def _describe_missing(error: PermissionMissingError) -> str:
    subject = error.args[0] if error.args else ""
    if isinstance(subject, Permission):
        return f"the permission {subject}"
    return f"the right to use the directory {subject or '(the storage root)'}"
