"""Reading of import files into the records."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from support.import_files import EXPORT, packed
from support.import_stack import DIRECTORY, ROOT, ImportStack, content
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.events import ImportChanged
from downloadd.import_operation import FILES_CHANNEL_ID, Channel, Driver, ImportOperation, ImportState
from downloadd.imports import content_reader
from downloadd.imports.content_reader import ContentReader
from downloadd.imports.reader_thread import ReaderThread
from downloadd.imports.validation import ValidItem, next_chunk
from downloadd.records.import_protocol import ImportFencedError


@pytest.fixture
def reader(stack: ImportStack) -> ContentReader:
    return ContentReader(
        operations=stack.operations,
        records=stack.records,
        uploads=stack.uploads,
        reader_thread=ReaderThread(),
        directory=DIRECTORY,
        root=ROOT,
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
    assert [user.user_id for user, _ in await stack.records.contents.users(operation.id, "", 9)] == ["U1", "U2", "U3"]
    assert len(await stack.records.contents.channels(operation.id, "", 9)) == 5
    assert stack.states[-1] is ImportState.READY
    assert stack.stored() == []


async def test_a_second_try_replaces_the_content_of_the_first(stack: ImportStack, reader: ContentReader) -> None:
    operation = await uploaded(stack, "urls", b"http://a.example/1\n")
    await stack.records.contents.add(operation.driver, [Channel(channel_id="old", name="old")])
    await reader.read(operation)
    [(channel, _)] = await stack.records.contents.channels(operation.id, "", 9)
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


async def test_a_list_of_skipped_lines_has_a_channel_to_select(stack: ImportStack, reader: ContentReader) -> None:
    operation = await uploaded(stack, "csv", b"url\nhttp://a/,x\n", "list.csv")
    await reader.read(operation)
    ready = await stack.operations.reload(operation)
    assert (ready.state, ready.skipped) == (ImportState.READY, 1)
    [(_, entry)] = await stack.records.contents.skipped(operation.id, 0, 9)
    assert (entry.reason, entry.line) == ("too_many_cells", 2)
    assert len(await stack.records.contents.channels(operation.id, "", 9)) == 1


async def test_an_archive_with_files_is_kept(stack: ImportStack, reader: ContentReader) -> None:
    operation = await uploaded(stack, "slack", packed({**EXPORT, "__uploads/F1/tedair.gif": b"content"}))
    await reader.read(operation)
    assert stack.stored() == [operation.id]


async def test_the_archive_of_an_import_that_was_replaced_while_it_was_read_is_deleted(
    stack: ImportStack, reader: ContentReader
) -> None:
    operation = await uploaded(stack, "slack", packed({**EXPORT, "__uploads/F1/tedair.gif": b"content"}))
    await stack.operations.create(stack.operations.new("urls", "ann", ImportState.DONE))
    await reader.read(operation)
    assert stack.stored() == []


async def test_the_progress_of_reading_has_events(
    stack: ImportStack, reader: ContentReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_reader, "PROGRESS_SECONDS", 0.001)
    reported = threading.Event()

    def next_chunk_after_report(items: Iterator[ValidItem]) -> list[ValidItem]:
        assert reported.wait(CONDITION_TIMEOUT)
        return next_chunk(items)

    monkeypatch.setattr(content_reader, "next_chunk", next_chunk_after_report)
    operation = await uploaded(stack, "slack", packed(EXPORT))
    with stack.bus.subscribe() as events:
        reading = asyncio.create_task(reader.read(operation))
        try:
            await wait_until(lambda: reader.with_progress(operation).reading is not None)
        finally:
            # The thread of a failed test must end too.
            reported.set()
        await reading
        published = [one.event.operation for one in await events.receive() if isinstance(one.event, ImportChanged)]
    progress = [one.reading for one in published if one.reading is not None]
    assert progress
    assert all(0 <= one.bytes_read <= one.bytes_total for one in progress)
    assert reader.with_progress(operation).reading is None


async def test_a_fenced_driver_reads_no_further(
    stack: ImportStack, reader: ContentReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = await uploaded(stack, "urls", b"http://a.example/1\n")
    clear, claims = stack.records.contents.clear, []

    async def clear_and_lose(driver: Driver) -> None:
        await clear(driver)
        claims.append(await stack.operations.claim(operation, {ImportState.READING}))

    monkeypatch.setattr(stack.records.contents, "clear", clear_and_lose)
    with pytest.raises(ImportFencedError):
        await reader.read(operation)
    [claimed] = claims
    assert claimed is not None
    assert await stack.records.operations.get(operation.id) == claimed
    assert await stack.records.contents.channels(operation.id, "", 9) == []
    assert stack.stored() == [operation.id]
    monkeypatch.undo()
    await reader.read(claimed)
    assert (await stack.operations.reload(claimed)).state is ImportState.READY
