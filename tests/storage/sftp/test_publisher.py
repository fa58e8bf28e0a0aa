"""Uploads to a real SFTP server, with connections that break between any two requests."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clocks import ManualClock
from support.exposition import ReadableSeries
from support.sftp_server import PART_BYTES, SftpFolder, SftpRequests

from downloadd.errors import StorageAwayError
from downloadd.metrics import UploadMetrics
from downloadd.records.sqlite import SqliteRecords
from downloadd.storage.remote.remote_storage import FileDescription, StagedFile
from downloadd.storage.remote.uploader import Uploader, abort_upload
from downloadd.storage.sftp.storage import SftpStorage

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
TIME = 1_700_000_000
CONTENT = b"".join(bytes([number]) * PART_BYTES for number in range(2)) + b"end"


class Stack:
    """A storage, the records of its uploads, and the folder of the server."""

    def __init__(self, records: SqliteRecords, storage: SftpStorage, server: SftpFolder) -> None:
        self.records = records.uploads
        self.storage = storage
        self.server = server

    def uploader(self) -> Uploader:
        """Return a new uploader, as after a restart or of another node."""
        return Uploader(self.storage, self.records, ManualClock(), UploadMetrics(ReadableSeries()))

    def staged(self, content: bytes = CONTENT, *, name: str = "e/f", id: str = ID) -> StagedFile:
        """Return a file to be sent."""

        async def read(offset: int, nbytes: int) -> bytes:
            return content[offset : offset + nbytes]

        return StagedFile(
            download_id=id,
            key=f"{self.server.files}/{name}",
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            description=FileDescription(),
            last_modified=TIME,
            read=read,
            report=lambda nbytes: None,
        )

    def files(self) -> dict[str, bytes]:
        """Return the files of the server, also temporary ones."""
        return {
            str(path.relative_to(self.server.files)): path.read_bytes()
            for path in self.server.files.rglob("*")
            if path.is_file()
        }

    async def remove_abandoned(self) -> None:
        """Do what is done when the download has ended."""
        recorded = await self.records.find(ID)
        if recorded is not None:
            await abort_upload(self.storage, recorded[0])


@pytest.fixture
async def stack(tmp_path: Path, sftp_folder: SftpFolder) -> AsyncIterator[Stack]:
    async with SqliteRecords(tmp_path / "state", ManualClock()) as records, sftp_folder.storage() as storage:
        yield Stack(records, storage, sftp_folder)


@pytest.fixture
async def filtered(tmp_path: Path, sftp_requests: SftpRequests) -> AsyncIterator[Stack]:
    server = sftp_requests.server
    async with SqliteRecords(tmp_path / "state", ManualClock()) as records, server.storage() as storage:
        yield Stack(records, storage, server)


@pytest.mark.parametrize("content", [b"", b"small", CONTENT])
async def test_a_file_appears_with_its_time(stack: Stack, content: bytes) -> None:
    identity = await stack.uploader().publish(stack.staged(content), replace=False)
    assert stack.files() == {"e/f": content}
    assert (stack.server.files / "e" / "f").stat().st_mtime == TIME
    assert identity == f"sftp:{len(content)}:{TIME}"


async def test_parts_are_sent_in_advance_under_a_hidden_name(stack: Stack) -> None:
    await stack.uploader().send_parts(stack.staged())
    ((name, content),) = stack.files().items()
    assert name.startswith(f"e/.{ID}.")
    assert content == CONTENT
    await stack.uploader().publish(stack.staged(), replace=False)
    assert stack.files() == {"e/f": CONTENT}


async def test_a_taken_name_is_kept_unless_it_may_be_replaced(stack: Stack) -> None:
    file = stack.staged()
    (stack.server.files / "e").mkdir()
    (stack.server.files / "e" / "f").write_bytes(b"old")
    assert await stack.uploader().publish(file, replace=False) is None
    assert stack.files() == {"e/f": b"old"}
    assert await stack.records.find(ID) is None
    assert await stack.uploader().publish(file, replace=True)
    assert stack.files() == {"e/f": CONTENT}


async def test_a_file_of_same_size_and_time_is_not_taken_for_the_own_one(stack: Stack) -> None:
    assert await stack.uploader().publish(stack.staged(id="other"), replace=False)
    assert await stack.uploader().publish(stack.staged(), replace=False) is None
    assert stack.files() == {"e/f": CONTENT}
    assert (stack.server.files / "e" / "f").stat().st_mtime == TIME


REQUESTS = ("open", "mkdir", "write", "fsync", "setstat", "hardlink", "remove", "posix-rename")
USUAL = {"after write", "after hardlink", "after posix-rename"}
MOMENTS = [
    pytest.param(moment, marks=() if moment in USUAL else pytest.mark.exhaustive)
    for request in REQUESTS
    for moment in (f"before {request}", f"after {request}")
]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_an_upload_whose_connection_breaks_between_two_requests_is_complete(
    filtered: Stack, sftp_requests: SftpRequests, moment: str
) -> None:
    broken: list[str] = []

    async def act(now: str) -> bool:
        if now == moment and not broken:
            broken.append(now)
            return False
        return True

    sftp_requests.act = act
    assert await filtered.uploader().publish(filtered.staged(), replace="posix-rename" in moment)
    assert broken
    assert filtered.files() == {"e/f": CONTENT}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_an_upload_that_is_cancelled_between_two_requests_goes_on(
    filtered: Stack, sftp_requests: SftpRequests, moment: str
) -> None:
    reached = asyncio.Event()

    async def act(now: str) -> bool:
        if now == moment and not reached.is_set():
            reached.set()
            return False
        return not reached.is_set()

    sftp_requests.act = act
    replace = "posix-rename" in moment
    task = asyncio.create_task(filtered.uploader().publish(filtered.staged(), replace=replace))
    await asyncio.wait_for(reached.wait(), 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert filtered.files().get("e/f", CONTENT) == CONTENT
    sftp_requests.act = None
    recorded = await filtered.records.find(ID)
    assert recorded is not None
    sftp_requests.moments.clear()
    async with filtered.server.storage() as storage:
        uploader = Uploader(storage, filtered.records, ManualClock(), UploadMetrics(ReadableSeries()))
        # What a run asks first.
        if await uploader.find_own(filtered.staged().key, ID) is None:
            assert await uploader.publish(filtered.staged(), replace=replace)
            assert sftp_requests.requests.count("fsync") <= 3 - len(recorded[1])
        assert filtered.files() == {"e/f": CONTENT}
        await abort_upload(storage, recorded[0])
    assert filtered.files() == {"e/f": CONTENT}


async def test_the_upload_of_another_file_is_not_continued(stack: Stack) -> None:
    await stack.uploader().send_parts(stack.staged())
    other = CONTENT[::-1]
    assert await stack.uploader().publish(stack.staged(other, name="g"), replace=False)
    assert stack.files() == {"g": other}


async def test_an_upload_that_others_have_removed_begins_anew(stack: Stack) -> None:
    await stack.uploader().send_parts(stack.staged())
    for path in stack.server.files.rglob(".*.part"):
        path.unlink()
    assert await stack.uploader().publish(stack.staged(), replace=False)
    assert stack.files() == {"e/f": CONTENT}


async def test_an_upload_that_is_shorter_than_recorded_is_sent_again(stack: Stack) -> None:
    await stack.uploader().send_parts(stack.staged())
    (path,) = stack.server.files.rglob(".*.part")
    with path.open("r+b") as file:
        file.truncate(PART_BYTES + 10)
    assert await stack.uploader().publish(stack.staged(), replace=False)
    assert stack.files() == {"e/f": CONTENT}


async def test_the_upload_of_an_ended_download_is_removed(stack: Stack) -> None:
    await stack.uploader().send_parts(stack.staged())
    await stack.remove_abandoned()
    assert stack.files() == {}
    await stack.remove_abandoned()


async def test_directories_are_not_made_where_that_of_the_storage_is_missing(stack: Stack) -> None:
    stack.server.files.rmdir()
    with pytest.raises(StorageAwayError, match="create it, or mount what belongs there"):
        await stack.uploader().publish(stack.staged(), replace=False)
    assert not stack.server.files.exists()
