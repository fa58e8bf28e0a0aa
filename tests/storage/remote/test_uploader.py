"""Uploads of staged files, against a real server."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from support.clocks import ManualClock
from support.exposition import ReadableSeries
from support.object_server import PART_BYTES, ObjectProxy, answer_error, drop_connection, make_client, make_storage

from downloadd.errors import StorageAwayError
from downloadd.metrics import UploadMetrics
from downloadd.records.sqlite import SqliteRecords
from downloadd.remote_upload import RemoteUpload
from downloadd.storage.objects.client import ObjectClient
from downloadd.storage.objects.storage import ObjectStorage
from downloadd.storage.remote.remote_storage import FileDescription, StagedFile
from downloadd.storage.remote.uploader import Uploader, abort_upload

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
KEY = "files/d/f"
CONTENT = b"".join(bytes([number]) * PART_BYTES for number in range(2)) + b"end"
DESCRIPTION = FileDescription(source_url="https://example.com/ä?a=b", content_type="text/plain")


def staged(content: bytes, *, key: str = KEY) -> StagedFile:
    async def read(offset: int, nbytes: int) -> bytes:
        return content[offset : offset + nbytes]

    return StagedFile(
        download_id=ID,
        key=key,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        description=DESCRIPTION,
        last_modified=1_700_000_000,
        read=read,
        report=lambda nbytes: None,
    )


FILE = staged(CONTENT)


class Stack:
    """An uploader, its parts, and a client that sees what is in the bucket."""

    def __init__(self, records: SqliteRecords, storage: ObjectStorage, client: ObjectClient) -> None:
        self.records = records.uploads
        self.storage = storage
        self.client = client

    def uploader(self) -> Uploader:
        """Return a new uploader, as after a restart or of another node."""
        return Uploader(self.storage, self.records, ManualClock(), UploadMetrics(ReadableSeries()))

    async def content(self, key: str = KEY) -> bytes:
        async with self.client.get(key) as content:
            return await content.read()

    async def assert_nothing_is_left(self) -> None:
        assert await self.records.find(ID) is None
        assert await self.client.list_uploads("") == []


@pytest.fixture
async def stack(tmp_path: Path, object_server: str, object_proxy: ObjectProxy, bucket: str) -> AsyncIterator[Stack]:
    async with (
        SqliteRecords(tmp_path, ManualClock()) as records,
        make_storage(object_proxy.url, bucket) as storage,
        make_client(object_server, bucket) as client,
    ):
        yield Stack(records, storage, client)


async def test_a_small_file_is_uploaded_by_one_request(stack: Stack, object_proxy: ObjectProxy) -> None:
    identity = await stack.uploader().publish(staged(b"small"), replace=False)
    assert object_proxy.requests == ["PUT"]
    head = await stack.client.head(KEY)
    assert head is not None
    assert f"object:{head.etag}" == identity
    assert head.metadata == {
        "download-id": ID,
        "sha256": hashlib.sha256(b"small").hexdigest(),
        "source-url": "https://example.com/%C3%A4?a=b",
        "last-modified": "2023-11-14T22:13:20Z",
        "mtime": "1700000000",
    }


async def test_a_file_without_bytes_is_uploaded(stack: Stack) -> None:
    assert await stack.uploader().publish(staged(b""), replace=False)
    assert await stack.content() == b""


async def test_a_large_file_appears_when_all_parts_are_sent(stack: Stack, object_proxy: ObjectProxy) -> None:
    await stack.uploader().send_parts(FILE)
    assert await stack.client.head(KEY) is None
    assert sorted(object_proxy.requests) == ["POST uploads", *["PUT partNumber uploadId"] * 3]
    identity = await stack.uploader().publish(FILE, replace=False)
    assert object_proxy.requests[4:] == ["GET uploadId", "POST uploadId", "HEAD"]
    assert await stack.content() == CONTENT
    head = await stack.client.head(KEY)
    assert head is not None
    assert f"object:{head.etag}" == identity
    await stack.assert_nothing_is_left()


@pytest.mark.parametrize("content", [b"small", CONTENT])
async def test_a_taken_name_is_kept_unless_it_may_be_replaced(stack: Stack, content: bytes) -> None:
    await stack.client.put(KEY, b"first", content_type="text/plain", metadata={}, replace=False)
    assert await stack.uploader().publish(staged(content), replace=False) is None
    assert await stack.content() == b"first"
    await stack.assert_nothing_is_left()
    assert await stack.uploader().publish(staged(content), replace=True)
    assert await stack.content() == content


@pytest.mark.parametrize("content", [b"small", CONTENT])
async def test_a_request_whose_answer_is_lost_has_published_the_file(
    stack: Stack, object_proxy: ObjectProxy, content: bytes
) -> None:
    lost: list[str] = []

    async def lose(request: web.Request) -> web.StreamResponse | None:
        appears = request.method == "PUT" if len(content) < PART_BYTES else request.method == "POST" and not lost
        if appears and (len(content) < PART_BYTES or "uploads" not in request.query) and not lost:
            lost.append(request.method)
            return await drop_connection(request)
        return None

    object_proxy.after = lose
    assert await stack.uploader().publish(staged(content), replace=False)
    assert lost
    assert await stack.content() == content
    await stack.assert_nothing_is_left()


@pytest.mark.parametrize("number", range(5))
async def test_an_upload_that_is_cancelled_between_two_requests_goes_on(
    stack: Stack, object_proxy: ObjectProxy, number: int
) -> None:
    reached, released = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse | None:
        if len(object_proxy.requests) > number and not reached.is_set():
            reached.set()
            await released.wait()
            # Before the request, it never arrives.
            return web.Response(status=500) if number % 2 == 0 else None
        return None

    # Before the request on an even number, and between it and its answer on an odd one.
    object_proxy.before, object_proxy.after = (hold, None) if number % 2 == 0 else (None, hold)
    task = asyncio.create_task(stack.uploader().publish(FILE, replace=False))
    waiting = asyncio.create_task(reached.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    waiting.cancel()
    await asyncio.gather(task, waiting, return_exceptions=True)
    released.set()
    object_proxy.before = object_proxy.after = None
    sent = await stack.records.find(ID)
    object_proxy.requests.clear()
    assert await stack.uploader().publish(FILE, replace=False)
    assert await stack.content() == CONTENT
    await stack.assert_nothing_is_left()
    if sent is not None and sent[0].upload_id is not None:
        # A record whose write was under way at the cancellation may be there too.
        assert object_proxy.requests.count("PUT partNumber uploadId") <= 3 - len(sent[1])


async def test_an_upload_that_others_have_aborted_begins_anew(stack: Stack) -> None:
    await stack.uploader().send_parts(FILE)
    found = await stack.records.find(ID)
    assert found is not None
    await abort_upload(stack.storage, found[0])
    assert await stack.uploader().publish(FILE, replace=False)
    assert await stack.content() == CONTENT


async def test_another_file_does_not_continue_an_upload(stack: Stack) -> None:
    await stack.uploader().send_parts(FILE)
    other = CONTENT[::-1]
    assert await stack.uploader().publish(staged(other), replace=False)
    assert await stack.content() == other
    await stack.assert_nothing_is_left()


async def test_a_file_of_another_name_does_not_continue_an_upload(stack: Stack) -> None:
    await stack.uploader().send_parts(FILE)
    assert await stack.uploader().publish(staged(CONTENT, key="files/d/g"), replace=False)
    assert await stack.content("files/d/g") == CONTENT
    await stack.assert_nothing_is_left()


async def test_a_failed_request_is_made_again(stack: Stack, object_proxy: ObjectProxy) -> None:
    failed: list[str] = []

    async def fail(request: web.Request) -> web.StreamResponse | None:
        number = request.query.get("partNumber", "")
        if number and number not in failed:
            failed.append(number)
            return answer_error(503, "SlowDown")
        return None

    object_proxy.before = fail
    assert await stack.uploader().publish(FILE, replace=False)
    assert sorted(failed) == ["1", "2", "3"]
    assert await stack.content() == CONTENT


async def test_a_storage_that_stays_away_keeps_what_is_sent(stack: Stack, object_proxy: ObjectProxy) -> None:
    async def fail(request: web.Request) -> web.StreamResponse | None:
        return answer_error(403, "SignatureDoesNotMatch") if request.query.get("partNumber") == "3" else None

    object_proxy.before = fail
    with pytest.raises(StorageAwayError, match="does not accept the credentials"):
        await stack.uploader().publish(FILE, replace=False)
    assert await stack.records.find(ID) is not None
    object_proxy.before = None
    assert await stack.uploader().publish(FILE, replace=False)
    await stack.assert_nothing_is_left()


async def test_an_upload_whose_id_was_lost_is_found_by_its_key(stack: Stack) -> None:
    for key in (KEY, f"{KEY}2"):
        await stack.client.create_upload(key, content_type="text/plain", metadata={})
    upload = RemoteUpload(
        download_id=ID, storage=stack.storage.url, key=KEY, size=1, sha256="0", part_size=1, begun=0.0
    )
    await abort_upload(stack.storage, upload)
    assert [each.key for each in await stack.client.list_uploads("")] == [f"{KEY}2"]
