"""Files on the disk or in object storage, by directory, with moto as the object storage."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from storage.contract import DestinationContract, content_of, open_part
from support.clocks import ManualClock
from support.exposition import ReadableSeries
from support.object_server import ObjectProxy, answer_error, make_storage

from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.download import Conflict
from downloadd.errors import (
    FileChangedError,
    InsufficientStorageError,
    InvalidPathError,
    NotFoundError,
    NotOnDiskError,
    StagingFullError,
    StorageAwayError,
)
from downloadd.metrics import UploadMetrics
from downloadd.records.sqlite import SqliteRecords
from downloadd.storage.destination import Destination, RemotePart
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.objects.client import ObjectClient
from downloadd.storage.remote.remote_storage import FileDescription
from downloadd.storage.routing import RemoteStorages, RoutingDestination, RoutingFiles, add_staging_limit

FILE = parse_filename("f")
STAGING = 300_000


async def describe(download_id: str) -> FileDescription:
    return FileDescription(source_url="https://example.com/f", content_type="text/plain")


class TestRoutingDestination(DestinationContract):
    """The contract, kept by an object storage for all directories."""

    @pytest.fixture
    async def destination(
        self, root: Path, tmp_path: Path, object_server: str, bucket: str
    ) -> AsyncIterator[RoutingDestination]:
        async with (
            SqliteRecords(tmp_path / "state", ManualClock()) as records,
            make_storage(object_server, bucket, path="") as storage,
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
        """See `test_a_published_file_is_found_after_a_crash`: an object is recognised by the id of the download."""

    async def test_the_use_of_the_storage_and_of_directories_is_measured(self, destination: Destination) -> None:
        assert (await destination.measure_use([])).free > 0


class Opened:
    """A destination with its parts."""

    def __init__(self, destination: RoutingDestination, files: RoutingFiles, local: LocalDestination) -> None:
        self.destination = destination
        self.files = files
        self.local = local


@pytest.fixture
async def opened(root: Path, tmp_path: Path, object_proxy: ObjectProxy, bucket: str) -> AsyncIterator[Opened]:
    limits = {"d": STAGING}
    async with (
        SqliteRecords(tmp_path / "state", ManualClock()) as records,
        make_storage(object_proxy.url, bucket, staging_size=STAGING) as storage,
        LocalDestination(
            root,
            min_free=0,
            fsync=True,
            directory_settings=lambda directory: add_staging_limit(DirectorySettings(), limits, directory),
        ) as local,
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
        yield Opened(destination, RoutingFiles(local.finished_files, storages), local)


async def publish(
    destination: Destination, content: bytes, *, directory: str = "d", conflict: Conflict = Conflict.ERROR
) -> str | None:
    """Publish a file, as a run does it; return its identity, or None if the name is taken."""
    part = await open_part(destination, content, directory=directory)
    try:
        published = await part.publish(FILE, replace=conflict is Conflict.OVERWRITE, last_modified=1_700_000_000)
        return part.file_identity if published else None
    finally:
        await part.close()


async def test_a_file_of_the_disk_is_copied_to_a_storage_and_not_back(opened: Opened) -> None:
    assert await publish(opened.destination, b"content", directory="other")
    file = await opened.files.open_present(directory="other", filename=FILE)
    assert file is not None
    part = await open_part(opened.destination)
    async with file:
        await part.copy(file, [(0, file.size)])
    assert await part.publish(FILE, replace=False, last_modified=None)
    assert await content_of(opened.destination) == b"content"
    # What is there has no identity on the disk.
    assert await opened.files.open_present(directory="d", filename=FILE) is None


async def test_a_file_of_a_storage_is_uploaded_and_leaves_the_disk(
    opened: Opened, object_client: ObjectClient, root: Path
) -> None:
    assert await publish(opened.destination, b"content")
    assert await opened.destination.exists(directory="d", filename=FILE)
    assert await content_of(opened.destination) == b"content"
    head = await object_client.head("files/d/f")
    assert head is not None
    assert head.metadata["source-url"] == "https://example.com/f"
    assert [path.name for path in root.rglob("*") if path.is_file()] == []


async def test_a_file_of_another_directory_stays_on_the_disk(
    opened: Opened, object_client: ObjectClient, root: Path
) -> None:
    assert await publish(opened.destination, b"content", directory="dd")
    assert (root / "dd" / "f").read_bytes() == b"content"
    assert await content_of(opened.destination, directory="dd") == b"content"
    assert (await object_client.list_objects("")).keys == []


async def test_a_name_that_is_taken_is_not_replaced(opened: Opened) -> None:
    assert await publish(opened.destination, b"first")
    assert await publish(opened.destination, b"second") is None
    assert await content_of(opened.destination) == b"first"
    assert await publish(opened.destination, b"second", conflict=Conflict.OVERWRITE)
    assert await content_of(opened.destination) == b"second"


async def test_downloads_of_one_name_get_different_names(opened: Opened) -> None:
    await publish(opened.destination, b"first")
    reserve = opened.destination.reserve_name
    names = [await reserve(directory="d", filename=FILE, conflict=Conflict.RENAME) for _ in range(3)]
    assert names == ["f (1)", "f (2)", "f (3)"]
    for name in names:
        assert name is not None
        opened.destination.release_name(directory="d", filename=name)
    assert await reserve(directory="d", filename=FILE, conflict=Conflict.RENAME) == "f (1)"
    assert await reserve(directory="d", filename=FILE, conflict=Conflict.SKIP) is None


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


async def test_a_finished_file_is_read_in_any_order(opened: Opened, object_proxy: ObjectProxy) -> None:
    content = bytes(range(256)) * 100
    identity = await publish(opened.destination, content)
    object_proxy.requests.clear()
    async with await opened.files.open(directory="d", filename=FILE, identity=identity) as file:
        assert file.size == len(content)
        assert await file.read(0, 1000) == content[:1000]
        assert await file.read(1000, 500) == content[1000:1500]
        assert await file.read(20_000, 10) == content[20_000:20_010]
        assert await file.read(len(content) - 1, 10) == content[-1:]
        assert await file.read(len(content), 10) == b""
        with pytest.raises(NotOnDiskError, match="is on another machine"):
            file.duplicate()
    assert object_proxy.requests == ["HEAD", "GET", "GET", "GET"]


async def test_files_and_directories_of_a_bucket_are_listed_by_name(
    opened: Opened, object_client: ObjectClient
) -> None:
    for key in ("f", "f.txt", "f/a", "g/b/c", ".hidden", "z"):
        await object_client.put(f"files/d/{key}", b"abc", content_type="text/plain", metadata={}, replace=False)
    entries = await opened.files.list_entries("d", after="", limit=9)
    assert [(each.name, each.is_directory, each.size) for each in entries] == [
        ("f", True, 0),
        ("f.txt", False, 3),
        ("g", True, 0),
        ("z", False, 3),
    ]
    assert [each.name for each in await opened.files.list_entries("d", after="f", limit=2)] == ["f.txt", "g"]
    assert [each.name for each in await opened.files.list_entries("d/g", after="", limit=2)] == ["b"]
    assert await opened.files.list_entries("d", after="z", limit=2) == []
    with pytest.raises(NotFoundError):
        await opened.files.list_entries("d/missing", after="", limit=2)


async def test_another_file_than_the_published_one_is_neither_read_nor_removed(
    opened: Opened, object_client: ObjectClient
) -> None:
    identity = await publish(opened.destination, b"content")
    await object_client.put("files/d/f", b"other", content_type="text/plain", metadata={}, replace=True)
    for known in (identity, None, "1:2:3"):
        with pytest.raises(FileChangedError):
            await opened.files.open(directory="d", filename=FILE, identity=known)
        with pytest.raises(FileChangedError):
            await opened.destination.remove_file(directory="d", filename=FILE, identity=known, checksum="sha-256=0")
    assert await opened.destination.exists(directory="d", filename=FILE)


async def test_a_published_file_is_removed_by_its_identity_or_checksum(
    opened: Opened, object_client: ObjectClient
) -> None:
    remove = opened.destination.remove_file
    for by_identity in (True, False):
        identity = await publish(opened.destination, b"content")
        head = await object_client.head("files/d/f")
        assert head is not None
        checksum = f"sha-256={head.metadata['sha256']}"
        known = {"identity": identity, "checksum": None} if by_identity else {"identity": None, "checksum": checksum}
        assert await remove(directory="d", filename=FILE, **known)
        assert not await remove(directory="d", filename=FILE, **known)
    with pytest.raises(NotFoundError):
        await opened.files.open(directory="d", filename=FILE, identity=None)


async def test_files_that_wait_for_their_upload_may_not_fill_the_disk(opened: Opened) -> None:
    first = await open_part(opened.destination)
    second = await open_part(opened.destination, download_id="00000000-5f0a-4c39-8a35-9c52ed1a6d7b")
    await first.reserve(200_000, missing=200_000)
    with pytest.raises(StagingFullError, match=r"waits for uploads: the files of d .* use up the 300 kB"):
        await second.reserve(200_000, missing=200_000)
    with pytest.raises(InsufficientStorageError, match="staging_size") as caught:
        await second.reserve(STAGING + 1, missing=STAGING + 1)
    assert caught.value.permanent
    await first.write([b"content"], 0)
    assert await first.publish(FILE, replace=False, last_modified=None)
    await second.reserve(200_000, missing=200_000)
    with pytest.raises(StagingFullError):
        await second.write([bytes(STAGING + 1)], 0)
    await second.remove()


async def test_a_bucket_that_is_away_holds_its_directory_only(opened: Opened, object_proxy: ObjectProxy) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return answer_error(404, "NoSuchBucket")

    object_proxy.before = refuse
    check = opened.destination.check_directory
    await check(directory="dd")
    await opened.destination.try_writing()
    for directory in ("d", "d/e"):
        with pytest.raises(StorageAwayError, match=r"the object storage of d \(s3://.*\) does not exist"):
            await check(directory=directory)
    part = await open_part(opened.destination, b"content")
    with pytest.raises(StorageAwayError):
        await part.publish(FILE, replace=False, last_modified=None)
    object_proxy.before = None
    await check(directory="d")
    assert await part.publish(FILE, replace=False, last_modified=None)


async def test_parts_of_a_large_file_are_sent_in_advance(opened: Opened, object_proxy: ObjectProxy) -> None:
    part = await open_part(opened.destination, bytes(100_000))
    assert isinstance(part, RemotePart)
    await part.upload(FILE, last_modified=None, directory="d")
    assert not await opened.destination.exists(directory="d", filename=FILE)
    object_proxy.requests.clear()
    assert await part.publish(FILE, replace=False, last_modified=None)
    assert "PUT partNumber uploadId" not in object_proxy.requests
    assert await content_of(opened.destination) == bytes(100_000)


async def test_a_file_is_not_moved_between_disk_and_bucket(opened: Opened) -> None:
    can_rename = opened.destination.can_rename
    pairs = [("d", "d/e"), ("d", "e"), ("e", "d"), ("e", "f")]
    assert [await can_rename(directory=directory, to=to) for directory, to in pairs] == [True, False, False, True]


async def test_a_file_is_published_in_another_directory_of_the_bucket(opened: Opened) -> None:
    part = await open_part(opened.destination, b"content")
    assert await part.publish(FILE, replace=False, last_modified=None, directory="d/e")
    assert await content_of(opened.destination, directory="d/e") == b"content"


async def test_a_key_that_is_too_long_is_refused(opened: Opened) -> None:
    directory = "/".join(["d", *["x" * 254] * 4])
    with pytest.raises(InvalidPathError, match="takes 1024"):
        await opened.destination.exists(directory=directory, filename=FILE)
    assert await opened.destination.max_name_bytes(directory="/".join(["d", *["x" * 250] * 3, "y" * 30])) < 255


def test_the_limit_on_staged_files_is_added_to_the_quotas() -> None:
    settings = DirectorySettings(quotas=(Quota(directory="", limit=9),), mode=0o640)
    limits = {"d": 5, "e": 0}
    assert add_staging_limit(settings, limits, "dd") is settings
    assert add_staging_limit(settings, limits, "e") is settings
    limited = add_staging_limit(settings, limits, "d/x")
    assert limited.quotas == (Quota(directory="", limit=9), Quota(directory="d", limit=5))
    assert limited.mode == 0o640
