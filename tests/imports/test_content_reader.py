"""Reading of import files into the records."""

import pytest
from support.import_files import EXPORT, packed
from support.import_stack import DIRECTORY, ImportStack, content

from downloadd.import_operation import FILES_CHANNEL_ID, Channel, ImportOperation, ImportState
from downloadd.imports.content_reader import ContentReader
from downloadd.imports.reader_thread import ReaderThread


@pytest.fixture
def reader(stack: ImportStack) -> ContentReader:
    return ContentReader(
        operations=stack.operations,
        records=stack.records.contents,
        uploads=stack.uploads,
        reader_thread=ReaderThread(),
        directory=DIRECTORY,
    )


async def uploaded(stack: ImportStack, kind: str, data: bytes, name: str = "list.txt") -> ImportOperation:
    operation = stack.operations.new(kind, "ann", ImportState.READING, name=name)
    await stack.uploads.save(operation.id, content(data))
    await stack.operations.create(operation)
    return operation


async def test_the_content_is_recorded_and_the_file_deleted(stack: ImportStack, reader: ContentReader) -> None:
    operation = await uploaded(stack, "slack", packed(EXPORT))
    await reader.read(operation)
    ready = await stack.operations.reload(operation)
    assert (ready.state, ready.message_count, ready.skipped) == (ImportState.READY, 8, 3)
    assert [user.user_id for user, _ in await stack.records.contents.users(operation.id)] == ["U1", "U2", "U3"]
    assert len(await stack.records.contents.channels(operation.id)) == 5
    assert stack.states[-1] is ImportState.READY
    assert stack.stored() == []


async def test_a_second_try_replaces_the_content_of_the_first(stack: ImportStack, reader: ContentReader) -> None:
    operation = await uploaded(stack, "urls", b"http://a.example/1\n")
    await stack.records.contents.add(operation.id, [Channel(channel_id="old", name="old")])
    await reader.read(operation)
    [(channel, _)] = await stack.records.contents.channels(operation.id)
    assert (channel.channel_id, channel.name) == (FILES_CHANNEL_ID, "list.txt")


async def test_a_malformed_file_fails_the_import(stack: ImportStack, reader: ContentReader) -> None:
    operation = await uploaded(stack, "urls", b"nothing\n")
    await reader.read(operation)
    failed = await stack.operations.reload(operation)
    assert (failed.state, failed.reason) == (ImportState.FAILED, "the list contains no URL; write one per line")
    assert stack.stored() == []


async def test_a_missing_file_fails_the_import(stack: ImportStack, reader: ContentReader) -> None:
    operation = await uploaded(stack, "urls", b"http://a.example/1\n")
    await stack.uploads.remove(operation.id)
    await reader.read(operation)
    assert "cannot be read" in ((await stack.operations.reload(operation)).reason or "")
