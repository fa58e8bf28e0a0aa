"""Files on a real SFTP server: the contract of every storage, logins, and servers that are away or another one."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest
from msgspec.structs import replace
from storage.contract import DestinationContract, content_of, open_part
from support.clocks import ManualClock
from support.exposition import ReadableSeries
from support.sftp_server import SftpFolder, running_sftp_server

from downloadd.errors import FileChangedError, InvalidPathError, NotFoundError, StorageAwayError
from downloadd.metrics import UploadMetrics
from downloadd.records.sqlite import SqliteRecords
from downloadd.storage.destination import Destination, RemotePart
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_directory, parse_filename
from downloadd.storage.remote.remote_storage import FileDescription
from downloadd.storage.routing import RemoteStorages, RoutingDestination, RoutingFiles

FILE = parse_filename("f")
TIME = 1_700_000_000


async def describe(download_id: str) -> FileDescription:
    return FileDescription()


@pytest.mark.exhaustive
class TestSftpDestination(DestinationContract):
    """The contract, kept by an SFTP server for all directories."""

    @pytest.fixture
    async def destination(
        self, root: Path, tmp_path: Path, sftp_folder: SftpFolder
    ) -> AsyncIterator[RoutingDestination]:
        async with (
            SqliteRecords(tmp_path / "state", ManualClock()) as records,
            sftp_folder.storage(path="") as storage,
            LocalDestination(root, min_free=0, fsync=True) as local,
        ):
            yield RoutingDestination(
                local,
                RemoteStorages([storage]),
                records=records.uploads,
                describe=describe,
                clock=ManualClock(),
                metrics=UploadMetrics(ReadableSeries()),
            )

    async def test_a_publication_is_recognised_after_a_crash(self, destination: Destination) -> None:
        """See `test_a_published_file_is_found_after_a_crash`: the record of the upload says whose it is."""

    async def test_the_use_of_the_storage_and_of_directories_is_measured(self, destination: Destination) -> None:
        assert (await destination.measure_use([])).free > 0


class Opened:
    """A destination with its parts."""

    def __init__(self, destination: RoutingDestination, files: RoutingFiles, server: SftpFolder) -> None:
        self.destination = destination
        self.files = files
        self.server = server


@pytest.fixture
async def opened(root: Path, tmp_path: Path, sftp_folder: SftpFolder) -> AsyncIterator[Opened]:
    async with (
        SqliteRecords(tmp_path / "state", ManualClock()) as records,
        sftp_folder.storage() as storage,
        LocalDestination(root, min_free=0, fsync=True) as local,
    ):
        storages = RemoteStorages([storage])
        destination = RoutingDestination(
            local,
            storages,
            records=records.uploads,
            describe=describe,
            clock=ManualClock(),
            metrics=UploadMetrics(ReadableSeries()),
        )
        yield Opened(destination, RoutingFiles(local.finished_files, storages), sftp_folder)


async def publish(opened: Opened, content: bytes) -> str | None:
    """Publish `d/f`, as a run does it; return its identity."""
    part = await open_part(opened.destination, content)
    assert isinstance(part, RemotePart)
    await part.upload(FILE, last_modified=TIME, directory="d")
    assert await part.publish(FILE, replace=True, last_modified=TIME)
    return part.file_identity


async def test_a_file_is_published_read_listed_and_removed(opened: Opened, root: Path) -> None:
    content = bytes(range(256)) * 1000
    identity = await publish(opened, content)
    assert (opened.server.files / "f").read_bytes() == content
    assert [path.name for path in root.rglob("*") if path.is_file()] == []
    assert await content_of(opened.destination) == content
    (opened.server.files / "sub").mkdir()
    (opened.server.files / ".hidden").write_bytes(b"")
    (opened.server.files / "link").symlink_to("f")
    entries = await opened.files.list_entries("d", after="", limit=9)
    assert [(each.name, each.is_directory, each.size) for each in entries] == [
        ("f", False, len(content)),
        ("sub", True, 0),
    ]
    assert [each.name for each in await opened.files.list_entries("d", after="f", limit=9)] == ["sub"]
    with pytest.raises(NotFoundError):
        await opened.files.list_entries("d/missing", after="", limit=9)
    async with await opened.files.open(directory="d", filename=FILE, identity=identity) as file:
        assert await file.read(20_000, 10) == content[20_000:20_010]
        assert await file.read(len(content) - 1, 10) == content[-1:]
        # It stays the same file.
        (opened.server.files / "f").unlink()
        assert await file.read(0, 10) == content[:10]
    remove = opened.destination.remove_file
    assert not await remove(directory="d", filename=FILE, identity=identity, checksum=None)
    identity = await publish(opened, content)
    assert await remove(directory="d", filename=FILE, identity=identity, checksum=None)
    assert not (opened.server.files / "f").exists()


async def test_another_file_than_the_published_one_is_neither_read_nor_removed(opened: Opened) -> None:
    identity = await publish(opened, b"content")
    (opened.server.files / "f").write_bytes(b"another")
    with pytest.raises(FileChangedError):
        await opened.files.open(directory="d", filename=FILE, identity=identity)
    with pytest.raises(FileChangedError):
        await opened.destination.remove_file(directory="d", filename=FILE, identity=identity, checksum="sha-256=0")
    (opened.server.files / "f").unlink()
    (opened.server.files / "f").symlink_to("/etc/passwd")
    with pytest.raises(FileChangedError):
        await opened.files.open(directory="d", filename=FILE, identity=identity)


async def test_a_published_file_is_found_after_a_crash(opened: Opened, root: Path) -> None:
    part = await open_part(opened.destination, b"content")
    staged = root / "d" / part.name
    found = opened.destination.is_published
    assert not await found(directory="d", filename=FILE, total=7, part_name=part.name)
    kept = staged.read_bytes()
    await part.publish(FILE, replace=False, last_modified=None)
    # The daemon was killed before it removed the part file.
    staged.write_bytes(kept)
    assert not await found(directory="d", filename=FILE, total=8, part_name=part.name)
    other = part.name.replace("0f6a1c7e", "00000000")
    assert not await found(directory="d", filename=FILE, total=7, part_name=other)
    assert staged.exists()
    assert await found(directory="d", filename=FILE, total=7, part_name=part.name)
    assert not staged.exists()


async def test_a_server_with_another_host_key_gets_nothing(sftp_folder: SftpFolder, tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known = tmp_path / "known_hosts"
    for lines in ("", f"[127.0.0.1]:{sftp_folder.port} {other}"):
        known.write_text(lines)
        async with sftp_folder.storage(known_hosts_file=str(known)) as storage:
            with pytest.raises(StorageAwayError, match=r"has a host key that .* does not have .*ssh-keyscan"):
                await storage.check()
            # Mended without a restart.
            known.write_bytes(sftp_folder.known_hosts.read_bytes())
            await storage.check()


async def test_a_login_that_is_refused_says_what_to_correct(sftp_folder: SftpFolder, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key(passphrase="open sesame"))
    settings = {"private_key_file": str(key), "passphrase": "open sesame"}
    async with sftp_folder.storage(**settings) as storage:
        with pytest.raises(StorageAwayError, match="does not accept the login: correct the user of the url"):
            await storage.check()
        key.unlink()
        with pytest.raises(StorageAwayError, match=r"private_key_file .* cannot be read"):
            await storage.check()


@pytest.mark.system
async def test_a_server_that_is_away_comes_back(tmp_path: Path) -> None:
    with running_sftp_server(tmp_path) as server:
        storage = server.storage()
        async with storage:
            await storage.check()
    async with storage:
        with pytest.raises(StorageAwayError, match=r"the SFTP server of d \(sftp://.*\) does not answer"):
            await storage.check()
        # Others do not wait for it.
        with pytest.raises(StorageAwayError):
            await storage.find("/f")


async def test_a_directory_that_is_missing_is_named(sftp_folder: SftpFolder) -> None:
    missing = replace(sftp_folder, files=sftp_folder.files / "missing")
    async with missing.storage() as storage:
        with pytest.raises(StorageAwayError, match="create it, or mount what belongs there"):
            await storage.check()


def test_keys_follow_the_directory(sftp_folder: SftpFolder) -> None:
    storage = replace(sftp_folder, files=Path("/srv")).storage(path="a/b")
    assert storage.key_of(parse_directory("a/b"), FILE) == "/srv/f"
    assert storage.key_of(parse_directory("a/b/c d"), FILE) == "/srv/c d/f"
    assert storage.max_name_bytes(parse_directory("a/b/c d")) == 255
    storage = replace(sftp_folder, files=Path("/", *["s" * 250] * 4)).storage(path="a")
    deep = parse_directory("/".join(["a", *["x" * 250] * 12]))
    assert storage.max_name_bytes(deep) < 255
    with pytest.raises(InvalidPathError, match="takes 4095"):
        storage.key_of(deep, parse_filename("y" * 250))
