"""Damaged rows: each is logged once, left out, and neither run nor changed."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from records.contract import ManualClock, added, ids, make_response, sample_download
from structlog.testing import capture_logs
from support.fake_imports import make_operation, make_run

from downloadd.delivery import Delivery
from downloadd.download import Download
from downloadd.errors import StorageError
from downloadd.import_operation import PENDING_FILES, Channel, Driver, FileLink, PendingRequest, Selection
from downloadd.records.database import DATABASE_FILE_NAME
from downloadd.records.protocol import ActiveFilter, HistoryFilter, PartOwner
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import RUNNING, State

SECRET = "s3cret"


def corrupt(state: Path, sql: str, *values: Any) -> None:
    """Change the database without the daemon."""
    with contextlib.closing(sqlite3.connect(state / DATABASE_FILE_NAME, isolation_level=None)) as connection:
        assert connection.execute(sql, values).rowcount != 0


def rows_of(state: Path) -> list[tuple[Any, ...]]:
    """Return every byte of every row."""
    with contextlib.closing(sqlite3.connect(state / DATABASE_FILE_NAME)) as connection:
        connection.text_factory = bytes
        return connection.execute("SELECT * FROM downloads ORDER BY seq").fetchall()


CORRUPTIONS = {
    "no-state": "state = 'nonsense'",
    "no-desired-state": "desired = 'rum'",
    "no-conflict-policy": "conflict = 'rename '",
    "no-error-code": "error = 'NO_ERROR_CODE'",
    "text-for-a-number": "received = 'abc'",
    "fraction-for-a-number": "timeout = 1.5",
    "number-for-a-text": "filename = x'00ff', priority = 'high'",
    "text-for-a-time": "time_spent = 'soon'",
    "mirrors-that-are-not-json": f'mirrors = \'[{{"url":"{SECRET}\'',
    "mirrors-of-another-shape": "mirrors = '[7]'",
    "malformed-ranges": "received_ranges = '0-5,7'",
    "text-that-is-not-utf-8": f"shown_url = CAST(x'ff00fe' || '{SECRET}' AS TEXT)",
    "bytes-that-are-not-utf-8": f"secret_url = x'ff00fe' || '{SECRET}'",
}


@pytest.fixture(params=list(CORRUPTIONS))
def corruption(request: pytest.FixtureRequest) -> str:
    return CORRUPTIONS[request.param]


async def test_only_the_damaged_row_is_left_out_and_it_is_not_changed(tmp_path: Path, corruption: str) -> None:
    clock = ManualClock()
    async with SqliteRecords(tmp_path, clock) as records:
        before, victim, after = await added(
            records, sample_download(part_name="p"), sample_download(part_name="p"), sample_download(part_name="p")
        )
    corrupt(tmp_path, f"UPDATE downloads SET {corruption} WHERE seq = ?", victim.seq)
    corrupted = rows_of(tmp_path)[1]
    with capture_logs() as lines:
        async with SqliteRecords(tmp_path, clock) as records:
            for _ in range(2):
                assert ids(await records.active(ActiveFilter())) == [before.id, after.id]
            with pytest.raises(
                StorageError, match=rf"download {victim.id} .* is damaged .* restore a backup"
            ) as caught:
                await records.get(victim.id)
            with pytest.raises(StorageError, match="is damaged"):
                await records.amend(victim.id, lambda row: msgspec.structs.replace(row, state=State.PAUSED))
            part_owners = await records.part_owners([victim.id])
            assert part_owners.keys() == {victim.id}
            waiting = [one.seq async for chunk in records.waiting() for one in chunk]
            assert set(waiting) >= {before.seq, after.seq}
            claimed = await records.claim([before.seq, victim.seq, after.seq])
            assert ids(claimed) == [before.id, after.id]
            assert sum((await records.counts()).values()) in {2, 3}
            assert ids([row async for row in records.running_rows()]) == [before.id, after.id]
    assert rows_of(tmp_path)[1] == corrupted
    logged = [line["detail"] for line in lines if line["event"] == "row_corrupt"]
    assert len(logged) == len(set(logged))
    assert any(victim.id in one for one in logged)
    assert SECRET not in str((lines, caught.value))


async def test_a_page_of_history_has_all_rows_but_the_damaged_ones(tmp_path: Path, corruption: str) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        rows = await added(records, *(sample_download(state=State.FAILED) for _ in range(9)))
        corrupt(tmp_path, f"UPDATE downloads SET {corruption} WHERE seq IN (?, ?)", rows[3].seq, rows[8].seq)
        readable = ids([rows[number] for number in (7, 6, 5, 4, 2, 1, 0)])
        assert ids(await records.history(HistoryFilter())) == readable
        # A page that is shorter than its limit is the last one.
        assert ids(await records.history(HistoryFilter(limit=5))) == readable[:5]
        assert (
            ids(await records.history(HistoryFilter(limit=5, before_ended_seq=rows[2].result.ended_seq)))
            == readable[5:]
        )
        assert ids(await records.history(HistoryFilter(limit=4, after_ended_seq=rows[0].result.ended_seq))) == [
            rows[number].id for number in (1, 2, 4, 5)
        ]
        assert ids(await records.history(HistoryFilter(contains="example"))) == readable


async def test_a_run_does_not_overwrite_a_row_that_was_damaged_meanwhile(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        (row,) = await added(records, sample_download())
        (held,) = await records.claim([row.seq])
        corrupt(tmp_path, "UPDATE downloads SET desired = 'rum' WHERE seq = ?", row.seq)
        corrupted = rows_of(tmp_path)
        with pytest.raises(StorageError, match=row.id):
            await records.save(msgspec.structs.replace(held, state=State.DOWNLOADING))
        assert rows_of(tmp_path) == corrupted


async def test_the_part_file_of_a_damaged_row_is_unknown(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        rows = await added(records, *(sample_download(part_name="p") for _ in range(4)))
        for row, change in zip(
            rows, ("state = 'x'", "epoch = 'x'", "part_name = CAST(x'ff' AS TEXT)", "priority = 'x'"), strict=True
        ):
            corrupt(tmp_path, f"UPDATE downloads SET {change} WHERE seq = ?", row.seq)
        unknown = PartOwner(state=None, epoch=0, part_name=None)
        known = PartOwner(state=State.QUEUED, epoch=0, part_name="p")
        part_owners = await records.part_owners(ids(rows))
        assert [part_owners[row.id] for row in rows] == [unknown, unknown, unknown, known]


async def test_the_numbers_of_the_history_continue_beside_a_damaged_one(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        first, second, third = await added(records, *(sample_download(state=State.FAILED) for _ in range(3)))
    corrupt(tmp_path, "UPDATE downloads SET ended_seq = 'last' WHERE seq = ?", second.seq)
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        assert await records.last_ended_seq() == third.result.ended_seq
        (fourth,) = await added(records, sample_download(state=State.FAILED))
        assert fourth.result.ended_seq == (third.result.ended_seq or 0) + 1
        assert ids(await records.history(HistoryFilter())) == ids([fourth, third, first])


async def test_a_damaged_response_is_not_repeated(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        await records.accept([], make_response())
        corrupt(tmp_path, "UPDATE answers SET status = 'fine'")
        with pytest.raises(StorageError, match="is damaged"):
            await records.accept([sample_download()], make_response())
        assert await records.active(ActiveFilter()) == []


@pytest.mark.parametrize(
    "change", ["status = 'x'", "ts = 'x'", "kind = x'ff'", "total = 'x'", "name = CAST(x'ff' AS TEXT)"]
)
async def test_a_damaged_operation_is_left_out(tmp_path: Path, change: str) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        imports = records.imports.operations
        operations = [make_operation(id=id, user=id, started_at=1) for id in ("a", "b", "c")]
        for operation in operations:
            await imports.create(operation)
        corrupt(tmp_path, f"UPDATE operations SET {change} WHERE id = 'b'")
        left = [operations[0], operations[2]]
        assert await imports.unfinished() == left
        assert await imports.latest(2) == left[::-1]
        with pytest.raises(StorageError, match=r"import operation b .* is damaged"):
            await imports.get("b")


async def test_a_damaged_file_of_an_import_fails_and_does_not_block_others(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        imports = records.imports
        await imports.operations.create(make_operation(id="i", user="u"))
        await imports.contents.add(Driver("i", 0), [Channel(channel_id="c", name="c")])
        await imports.contents.add(
            Driver("i", 0), [FileLink(file_id=str(n), url="http://h/", name="n", channel_id="c") for n in range(3)]
        )
        await imports.contents.select(Driver("i", 0), Selection(users=None, channels=None))
        reserved = await imports.files.reserve(make_run("run"), PendingRequest(kind=PENDING_FILES))
        assert reserved.run.file_counts.total == 3
        corrupt(tmp_path, "UPDATE import_files SET link = '{' WHERE number = 2")
        assert [one.number for one in await imports.files.claim(Driver("run", 0), 2, lambda: "x")] == [1, 3]
        assert await imports.files.claim(Driver("run", 0), 2, lambda: "x") == []
        assert (await imports.files.count("run")).failed == 1


@pytest.mark.parametrize("change", ["tries = 'x'", "body = 7", "event_id = CAST(x'ff' AS TEXT)"])
async def test_a_damaged_delivery_does_not_block_others(tmp_path: Path, change: str) -> None:
    def make_deliveries(row: Download) -> list[Delivery]:
        return [Delivery(event_id=row.id, hook="h", download_id=row.id, body=b"{}", created=1.0, due=1.0)]

    async with SqliteRecords(tmp_path, ManualClock(), make_deliveries=make_deliveries) as records:
        rows = await added(records, *(sample_download(state=State.FAILED) for _ in range(3)))
        corrupt(tmp_path, f"UPDATE deliveries SET {change} WHERE download_id = ?", rows[1].id)
        due = await records.deliveries.take("h", now=2.0, latest=9.0, limit=2, lease=1.0)
        assert [one.download_id for one in due] == [rows[0].id, rows[2].id]


async def test_the_running_rows_are_all_but_the_damaged_ones(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        rows = await added(records, *(sample_download(state=state) for state in sorted(RUNNING)))
    corrupt(tmp_path, "UPDATE downloads SET user = 7.5, priority = 'x' WHERE seq = ?", rows[0].seq)
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        assert ids([row async for row in records.running_rows()]) == ids(rows[1:])
