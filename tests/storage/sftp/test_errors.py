"""Errors of SSH and SFTP, as downloads have them."""

import asyncssh
import pytest

from downloadd.errors import StorageAwayError
from downloadd.storage.sftp.errors import map_sftp_error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (asyncssh.HostKeyNotVerifiable("Host key is not trusted"), "has a host key that /k does not have"),
        (asyncssh.PermissionDenied("Permission denied"), "does not accept the login: correct the user"),
        (
            asyncssh.SFTPPermissionDenied("Permission denied"),
            r"refuses it .*: give the user the right to write there",
        ),
        (asyncssh.SFTPNoSuchFile("No such file"), "does not have the directory of the url: create it"),
        (asyncssh.SFTPNoSpaceOnFilesystem("full"), "has no space left"),
        (asyncssh.SFTPFailure("Failure"), r"fails \(Failure\): see if its disk is full"),
        (asyncssh.ConnectionLost("Connection lost"), "does not answer: Connection lost"),
        (ConnectionRefusedError(111, "refused"), "does not answer: .*refused"),
        (TimeoutError(), "does not answer within the time limit"),
        (asyncssh.KeyExchangeFailed("no common cipher"), "refuses the connection or request: no common cipher"),
    ],
)
def test_an_error_says_what_to_do(error: Exception, sentence: str) -> None:
    mapped = map_sftp_error(error, place="the server", known_hosts_file="/k")
    assert isinstance(mapped, StorageAwayError)
    with pytest.raises(StorageAwayError, match=f"^the server {sentence}"):
        raise mapped
