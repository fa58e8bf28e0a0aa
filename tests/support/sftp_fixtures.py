"""Fixtures of all tests that need an SFTP server: sshd of OpenSSH."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace
from support.sftp_server import SftpFolder, SftpRequests, running_filtered_server, running_sftp_server


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpFolder]:
    """Start sshd, one for all tests of the worker."""
    with running_sftp_server(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture
def sftp_folder(sftp_server: SftpFolder) -> SftpFolder:
    """Return a new folder of the server."""
    files = sftp_server.files / uuid4().hex
    files.mkdir()
    return replace(sftp_server, files=files)


@pytest.fixture
async def sftp_requests(tmp_path: Path) -> AsyncIterator[SftpRequests]:
    """Start sshd whose requests pass the test."""
    # The path of a socket has up to 107 bytes.
    folder = tmp_path / "sftp"
    folder.mkdir()
    async with running_filtered_server(folder) as running:
        yield running
