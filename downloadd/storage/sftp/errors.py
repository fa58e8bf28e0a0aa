"""Errors of SSH and SFTP, and their meaning for downloads."""

from typing import Final

import asyncssh

from downloadd.errors import DownloadError, StorageAwayError

LOST: Final = (
    OSError,
    TimeoutError,
    asyncssh.ConnectionLost,
    asyncssh.ChannelOpenError,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
)
"""Errors of a connection that broke or was never there: another one may succeed."""


def map_sftp_error(error: Exception, *, place: str, known_hosts_file: str) -> DownloadError:
    """Return the error of a download; `place` names the storage for the message.

    All of them hold the downloads of the storage until an administrator has mended it: the file is on the disk already,
    and must not be lost for a wrong key or a full disk of the server.
    """
    match error:
        case asyncssh.HostKeyNotVerifiable():
            detail = (
                f"{place} has a host key that {known_hosts_file} does not have ({error.reason}): compare its "
                "fingerprint with that which the administrator states, then add the line of ssh-keyscan to the file"
            )
        case asyncssh.PermissionDenied():
            detail = f"{place} does not accept the login: correct the user of the url, private_key_file or password"
        case asyncssh.SFTPPermissionDenied():
            detail = f"{place} refuses it (permission denied): give the user the right to write there"
        case asyncssh.SFTPNoSuchFile() | asyncssh.SFTPNoSuchPath():
            detail = f"{place} does not have the directory of the url: create it, or mount what belongs there"
        case asyncssh.SFTPNoSpaceOnFilesystem() | asyncssh.SFTPQuotaExceeded():
            detail = f"{place} has no space left"
        case asyncssh.SFTPFailure():
            # Version 3 of the protocol has no code for a full disk.
            detail = f"{place} fails ({error.reason}): see if its disk is full"
        case TimeoutError():
            detail = f"{place} does not answer within the time limit"
        case OSError() | asyncssh.ConnectionLost() | asyncssh.SFTPConnectionLost() | asyncssh.SFTPNoConnection():
            detail = f"{place} does not answer: {error}"
        case asyncssh.Error():
            detail = f"{place} refuses the connection or request: {error.reason}"
        case _:
            detail = f"{place} does not answer: {error}"
    return StorageAwayError(detail)
