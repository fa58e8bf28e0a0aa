"""Reception of import files."""

import asyncio
import hashlib

import pytest
from support.import_stack import DIRECTORY, ImportStack, content

from downloadd.download import Conflict
from downloadd.import_operation import ImportErrorCode, ImportOperation, ImportState
from downloadd.imports.importers import find_importer
from downloadd.imports.reader_thread import ReaderThread
from downloadd.imports.receiving import FileReceiver
from downloadd.imports.refusal import ImportRefusedError
from downloadd.records.import_protocol import ImportFencedError
from downloadd.states import State

URLS = find_importer("urls")
LIST = b"http://a.example/1\n"


@pytest.fixture
def receiver(stack: ImportStack) -> FileReceiver:
    return FileReceiver(
        operations=stack.operations,
        uploads=stack.uploads,
        downloads=stack.downloads,
        destination=stack.destination,
        reader_thread=ReaderThread(),
        directory=DIRECTORY,
    )


async def test_an_upload_is_stored_and_recorded(stack: ImportStack, receiver: FileReceiver) -> None:
    operation = await receiver.upload(URLS, content(LIST), user="ann", name="list.txt", content_type="text/plain")
    assert (operation.kind, operation.state, operation.name) == ("urls", ImportState.UPLOADED, "list.txt")
    assert await stack.records.operations.current("ann") == operation
    assert stack.uploads.path(operation.id).read_bytes() == LIST


async def test_an_upload_of_another_kind_leaves_nothing(stack: ImportStack, receiver: FileReceiver) -> None:
    with pytest.raises(ImportRefusedError):
        await receiver.upload(find_importer("slack"), content(LIST), user="ann", name="x", content_type=None)
    assert stack.stored() == []
    assert await stack.records.operations.current("ann") is None


async def test_a_secret_in_the_name_of_an_upload_is_removed(receiver: FileReceiver) -> None:
    name = "http://ann:s3cret@h.example/x"
    operation = await receiver.upload(URLS, content(LIST), user="ann", name=name, content_type=None)
    assert "s3cret" not in operation.name


async def fetched(
    stack: ImportStack, receiver: FileReceiver, data: bytes = LIST, *, state: State = State.COMPLETED
) -> ImportOperation:
    operation = await receiver.start_fetch(URLS, "http://a.example/list", user="ann")
    folder = stack.root / DIRECTORY
    folder.mkdir(parents=True)
    (folder / "list").write_bytes(data)
    checksum = f"sha-256={hashlib.sha256(LIST).hexdigest()}"
    await stack.downloads.finish(operation.download_id, state, received=len(LIST), checksum=checksum)
    await receiver.finish_fetch(operation)
    return await stack.operations.reload(operation)


async def test_a_file_is_fetched_into_the_directory_of_imports(stack: ImportStack, receiver: FileReceiver) -> None:
    operation = await fetched(stack, receiver)
    [request] = stack.downloads.requests
    assert (request.directory, request.conflict, request.operation, request.id) == (
        DIRECTORY,
        Conflict.RENAME,
        operation.id,
        operation.download_id,
    )
    assert (operation.state, operation.name) == (ImportState.UPLOADED, "list")
    assert stack.uploads.path(operation.id).read_bytes() == LIST


async def test_a_forbidden_url_is_refused_and_not_recorded(stack: ImportStack, receiver: FileReceiver) -> None:
    stack.downloads.refused = True
    with pytest.raises(ImportRefusedError, match="cannot be fetched") as refused:
        await receiver.start_fetch(URLS, "http://a.example/list", user="ann")
    assert refused.value.code is ImportErrorCode.INVALID_PARAMETER
    assert await stack.records.operations.current("ann") is None


async def test_a_download_that_fails_fails_the_import(stack: ImportStack, receiver: FileReceiver) -> None:
    operation = await fetched(stack, receiver, state=State.CANCELLED)
    assert (operation.state, operation.reason) == (
        ImportState.FAILED,
        "the file was not fetched: it was cancelled",
    )
    assert stack.stored() == []


@pytest.mark.parametrize("data", [LIST[::-1], LIST + b"x"])
async def test_another_file_of_the_same_name_fails_the_import(
    stack: ImportStack, receiver: FileReceiver, data: bytes
) -> None:
    operation = await fetched(stack, receiver, data)
    assert operation.state is ImportState.FAILED
    assert "another file" in (operation.reason or "")
    assert stack.stored() == []


async def test_a_file_that_arrives_after_a_newer_upload_is_deleted(stack: ImportStack, receiver: FileReceiver) -> None:
    operation = await receiver.start_fetch(URLS, "http://a.example/list", user="ann")
    finishing = asyncio.create_task(receiver.finish_fetch(operation))
    newer = await receiver.upload(URLS, content(LIST), user="ann", name="x", content_type=None)
    (stack.root / DIRECTORY).mkdir(parents=True)
    (stack.root / DIRECTORY / "list").write_bytes(LIST)
    await stack.downloads.finish(operation.download_id, received=len(LIST))
    await finishing
    assert stack.stored() == [newer.id]


async def test_a_fenced_driver_stores_no_file(stack: ImportStack, receiver: FileReceiver) -> None:
    operation = await receiver.start_fetch(URLS, "http://a.example/list", user="ann")
    (stack.root / DIRECTORY).mkdir(parents=True)
    (stack.root / DIRECTORY / "list").write_bytes(LIST)
    await stack.downloads.finish(operation.download_id, received=len(LIST))
    claimed = await stack.operations.claim(operation, {ImportState.FETCHING})
    assert claimed is not None
    with pytest.raises(ImportFencedError):
        await receiver.finish_fetch(operation)
    assert stack.stored() == []
    assert await stack.records.operations.current("ann") == claimed
    await receiver.finish_fetch(claimed)
    assert stack.stored() == [operation.id]
