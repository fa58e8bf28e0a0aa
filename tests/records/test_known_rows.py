"""Decoded rows that are used again until they change."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from support.clocks import ManualClock
from support.stored_downloads import added, sample_download
from support.waiting import wait_until

from downloadd.download import Download
from downloadd.manager import lifecycle
from downloadd.records import known_rows
from downloadd.records.download_queries import DownloadQueries
from downloadd.records.sqlite import SqliteRecords

T = TypeVar("T")


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path, ManualClock()) as opened:
        yield opened


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the `seq` of the rows that are decoded from now on."""
    seqs: list[int] = []
    read = DownloadQueries.by_seqs

    def by_seqs(self: DownloadQueries, connection: sqlite3.Connection, wanted: list[int]) -> list[Download]:
        seqs.extend(wanted)
        return read(self, connection, wanted)

    monkeypatch.setattr(DownloadQueries, "by_seqs", by_seqs)
    return seqs


async def test_only_rows_that_have_changed_are_decoded_again(records: SqliteRecords, decoded: list[int]) -> None:
    rows = await added(records, *(sample_download() for _ in range(3)))
    assert await records.queue.page(0, 10) == rows
    assert await records.queue.page(-1, 10) == rows[::-1]
    assert decoded == [1, 2, 3]
    await records.amend(rows[1].id, lambda row: row.with_request(directory="elsewhere"))
    assert [row.request.directory for row in await records.queue.page(0, 10)] == ["Downloads", "elsewhere", "Downloads"]
    assert decoded == [1, 2, 3, 2]


async def test_both_lists_share_the_rows(records: SqliteRecords, decoded: list[int]) -> None:
    (row,) = await added(records, sample_download())
    await records.queue.page(0, 10)
    await records.amend(row.id, lambda row: lifecycle.cancel(row, now=1))
    (ended,) = await records.results.page(0, 10)
    assert ended.result.end_time == 1
    assert await records.results.page(0, 10) == [ended]
    assert decoded == [1, 1]


async def test_a_row_that_changes_while_it_is_read_is_not_kept(
    records: SqliteRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = await added(records, sample_download(), sample_download())
    read, waits, is_read = SqliteRecords.read, asyncio.Event(), asyncio.Event()

    async def read_slowly(self: SqliteRecords, run: Callable[[sqlite3.Connection], T]) -> T:
        result = await read(self, run)
        is_read.set()
        await waits.wait()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(SqliteRecords, "read", read_slowly)
        reading = asyncio.create_task(records.queue.page(0, 10))
        # A read under way beside it has the same changes.
        other = asyncio.create_task(records.queue.page(0, 10))
        await wait_until(is_read.is_set)
        await records.amend(first.id, lambda row: row.with_request(directory="elsewhere"))
        waits.set()
        await asyncio.gather(reading, other)
    assert [row.request.directory for row in await records.queue.page(0, 10)] == ["elsewhere", "Downloads"]


async def test_the_rows_that_were_not_read_for_longest_are_forgotten(
    records: SqliteRecords, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_rows, "MAX_KNOWN_BYTES", 3_000)
    # A row has its URL twice.
    small, large = sample_download(), sample_download(url="https://example.com/" + "x" * 1_000)
    await added(records, small, sample_download(), large)
    await records.queue.page(0, 2)
    await records.queue.page(0, 1)
    await records.queue.page(1, 1)
    assert decoded == [1, 2]
    # The large one leaves room for no other.
    await records.queue.page(2, 1)
    await records.queue.page(1, 1)
    await records.queue.page(0, 1)
    assert decoded == [1, 2, 3, 2, 1]


async def test_the_first_rows_of_a_long_page_are_kept(
    records: SqliteRecords, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_rows, "MAX_KNOWN_BYTES", 5_000)
    await added(records, *(sample_download() for _ in range(20)))
    await records.queue.page(0, 20)
    decoded.clear()
    await records.queue.page(0, 20)
    assert decoded[-1:] == [20]
    assert 0 < decoded[0] - 1 < 19, "the first ones are known"


async def test_a_row_with_bytes_that_are_not_text_is_read_each_time(records: SqliteRecords, decoded: list[int]) -> None:
    rows = await added(records, sample_download(), sample_download(filename="\udcff"))
    for _ in range(2):
        assert await records.queue.page(0, 10) == rows
    assert decoded == [1, 2, 2]
