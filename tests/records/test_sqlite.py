"""Records on SQLite: the contract, durability, concurrency, and locks of other programs."""

import asyncio
import contextlib
import os
import sqlite3
import stat
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from records.contract import DAY, NOW, ManualClock, RecordsContract, added, ids, make_response, present, sample_download
from structlog.testing import capture_logs
from support.downloads import with_fields
from support.machine import not_allowed
from support.small_disk import mount_launcher
from support.waiting import CONDITION_TIMEOUT

import downloadd.records.boot
import downloadd.records.database
from downloadd.download import Download
from downloadd.errors import ShuttingDownError, StorageError, StoreUnavailableError
from downloadd.records.database import DATABASE_FILE_NAME
from downloadd.records.ends import RecordedEnd
from downloadd.records.history import active_query, history_query
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.writer import LOCK_POLL_SECONDS
from downloadd.states import State

pytestmark = pytest.mark.system

CHILD = [sys.executable, "-P", "-c"]
"""Command that runs a script against the installed package; `CHILD_ENVIRONMENT` adds the tests' modules."""
CHILD_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture
async def records(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path / "state", clock=clock) as opened:
        yield opened


class TestSqliteRecords(RecordsContract):
    """The contract, kept by SQLite."""


@contextlib.asynccontextmanager
async def busy_writer(records: SqliteRecords) -> AsyncIterator[None]:
    """Block the writing thread, so that the operations of the block are queued together."""
    (row,) = await added(records, sample_download())
    held = threading.Event()
    go_on = threading.Event()

    def wait(before: Download) -> Download:
        held.set()
        go_on.wait()
        return before

    async with asyncio.TaskGroup() as group:
        group.create_task(records.amend(row.id, wait))
        await asyncio.to_thread(held.wait)
        try:
            yield
        finally:
            go_on.set()


async def test_one_failed_operation_of_a_batch_fails_alone(records: SqliteRecords) -> None:
    (known,) = await added(records, sample_download())
    good = [sample_download() for _ in range(40)]
    ended = [sample_download(state=State.FAILED) for _ in range(3)]
    ends: list[RecordedEnd] = []
    records.set_end_listener(ends.extend)
    async with asyncio.TaskGroup() as group, busy_writer(records):
        tasks = [group.create_task(records.accept([download])) for download in good[:20]]
        failing = group.create_task(failure_of(records, known))
        too_big = group.create_task(failure_of(records, with_fields(sample_download(), total=2**64)))
        tasks += [group.create_task(records.accept([download])) for download in good[20:] + ended]
        await asyncio.sleep(0)
    assert "UNIQUE" in str(failing.result())
    assert "too large" in str(too_big.result())
    for download, task in zip(good + ended, tasks, strict=True):
        assert (await present(records, download.id)).seq == task.result().seqs[0]
    assert ids(await records.history(HistoryFilter(after_ended_seq=0))) == ids(ended)
    assert [end.download.id for end in ends] == ids(ended), "what was rolled back is not handed over"
    assert await present(records, known.id) == known


async def failure_of(records: SqliteRecords, download: Download) -> StorageError:
    """Return the error of accepting the download."""
    with pytest.raises(StorageError) as caught:
        await records.accept([download])
    return caught.value


async def test_a_cancelled_caller_does_not_affect_others(records: SqliteRecords) -> None:
    kept, left = sample_download(), sample_download(state=State.FAILED)
    ends: list[RecordedEnd] = []
    records.set_end_listener(ends.extend)
    async with asyncio.TaskGroup() as group, busy_writer(records):
        task = group.create_task(records.accept([left]))
        group.create_task(records.accept([kept]))
        await asyncio.sleep(0)
        task.cancel()
    assert (await present(records, kept.id)).state == State.QUEUED
    assert [end.download.id for end in ends] == [left.id]


async def test_long_searches_do_not_delay_other_reads(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow(text: str, needle: str) -> bool:
        go_on.wait()
        return False

    monkeypatch.setattr(downloadd.records.database, "contains_folded", slow)
    async with SqliteRecords(tmp_path / "state", clock=clock) as records, asyncio.TaskGroup() as group:
        (row,) = await added(records, sample_download(state=State.COMPLETED))
        searches = [group.create_task(records.history(HistoryFilter(contains="ä"))) for _ in range(8)]
        await asyncio.sleep(0)
        for _ in range(5):
            assert await present(records, row.id) == row
            assert await records.history(HistoryFilter()) == [row]
        assert not any(search.done() for search in searches)
        go_on.set()


async def test_a_cancelled_search_ends_early(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    calls: list[str] = []

    def slow(text: str, needle: str) -> bool:
        calls.append(text)
        begun.set()
        go_on.wait()
        return False

    monkeypatch.setattr(downloadd.records.database, "contains_folded", slow)
    async with SqliteRecords(tmp_path / "state", clock=clock) as records:
        for _ in range(4):
            await records.accept([sample_download(state=State.COMPLETED) for _ in range(10_000)])
        search = asyncio.get_running_loop().create_task(records.history(HistoryFilter(contains="ä")))
        await asyncio.to_thread(begun.wait)
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        go_on.set()
        # The same thread runs the next search, which the flag of the first does not end.
        assert len(await records.history(HistoryFilter(contains="example", limit=5))) == 5
    assert len(calls) < 80_000


async def test_queued_operations_are_finished_before_closing(tmp_path: Path, clock: ManualClock) -> None:
    downloads = [sample_download() for _ in range(300)]
    async with SqliteRecords(tmp_path, clock=clock) as records, asyncio.TaskGroup() as group:
        tasks = [group.create_task(records.accept([download])) for download in downloads]
        await asyncio.sleep(0)
        await records.__aexit__(None, None, None)
    assert all(task.result().seqs for task in tasks)


async def test_no_read_hangs_when_the_records_close(tmp_path: Path, clock: ManualClock) -> None:
    async with SqliteRecords(tmp_path, clock=clock) as records:
        (row,) = await added(records, sample_download(state=State.COMPLETED))
        reading = asyncio.gather(
            *(records.get(row.id) for _ in range(50)),
            *(records.history(HistoryFilter(contains="x")) for _ in range(10)),
            return_exceptions=True,
        )
        await asyncio.sleep(0)
    for result in await reading:
        assert isinstance(result, ShuttingDownError) or result in (row, [row])


async def test_a_cancelled_start_releases_the_directory(tmp_path: Path, clock: ManualClock) -> None:
    async with asyncio.TaskGroup() as group:
        opening = group.create_task(SqliteRecords(tmp_path, clock=clock).__aenter__())
        await asyncio.sleep(0)
        opening.cancel()
    async with SqliteRecords(tmp_path, clock=clock) as records:
        assert await records.last_ended_seq() == 0


async def test_closed_records_refuse_calls(tmp_path: Path, clock: ManualClock) -> None:
    records = SqliteRecords(tmp_path, clock=clock)
    with pytest.raises(ShuttingDownError):
        await records.get("x")
    async with records:
        pass
    with pytest.raises(ShuttingDownError):
        await records.accept([sample_download()])
    with pytest.raises(ShuttingDownError):
        await records.history(HistoryFilter(contains="x"))


async def test_secret_urls_are_stored_only_when_they_differ(records: SqliteRecords, tmp_path: Path) -> None:
    plain = sample_download()
    secret = with_fields(sample_download(), url="https://u:p@example.com/", redacted_url="https://example.com/")
    await records.accept([plain, secret])
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / DATABASE_FILE_NAME)) as connection:
        stored = dict(connection.execute("SELECT id, secret_url FROM downloads").fetchall())
    assert stored == {plain.id: None, secret.id: secret.request.url}


async def test_expired_responses_are_deleted_by_later_ones(
    records: SqliteRecords, clock: ManualClock, tmp_path: Path
) -> None:
    for number in range(10):
        await records.accept([], make_response(f"old {number}"))
    clock.now = NOW + DAY + 1
    await records.accept([], make_response("new", created=clock.now))
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / DATABASE_FILE_NAME)) as connection:
        assert connection.execute("SELECT key FROM answers").fetchall() == [("new",)]


async def test_files_are_private(records: SqliteRecords, tmp_path: Path) -> None:
    await records.accept([sample_download()])
    state = tmp_path / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in state.iterdir()}
    assert set(modes) >= {DATABASE_FILE_NAME, f"{DATABASE_FILE_NAME}-wal"}
    assert set(modes.values()) == {0o600}


async def test_a_commit_is_on_stable_storage(records: SqliteRecords) -> None:
    def read(cursor: sqlite3.Cursor) -> list[str | int]:
        return [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    assert await records.write(read) == ["wal", 2]


@contextlib.contextmanager
def locked(state: Path, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Hold the lock of the writer, as another program may."""
    with contextlib.closing(sqlite3.connect(state / DATABASE_FILE_NAME, isolation_level=None)) as other:
        other.execute(f"BEGIN {kind}")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
async def test_operations_that_were_refused_because_of_a_lock_do_not_take_place_later(
    tmp_path: Path, clock: ManualClock, kind: str
) -> None:
    async with SqliteRecords(tmp_path, clock=clock, lock_timeout=0.05) as records:
        (row,) = await added(records, sample_download())
        with capture_logs() as lines:
            with locked(tmp_path, kind):
                results = await asyncio.gather(
                    *(records.accept([sample_download()]) for _ in range(20)), return_exceptions=True
                )
                assert {type(result) for result in results} == {StoreUnavailableError}
                assert await records.active(ActiveFilter()) == [row]
            later = await added(records, sample_download())
        assert [line["event"] for line in lines] == ["records_unavailable", "records_available"]
        assert await records.active(ActiveFilter()) == [row, *later]


async def test_a_short_lock_is_waited_for(tmp_path: Path, clock: ManualClock) -> None:
    async with SqliteRecords(tmp_path, clock=clock, lock_timeout=60) as records, asyncio.TaskGroup() as group:
        with locked(tmp_path):
            accepting = group.create_task(records.accept([sample_download()]))
            # Longer than one wait.
            assert await asyncio.wait((accepting,), timeout=3 * LOCK_POLL_SECONDS) == (set(), {accepting})
        assert (await accepting).seqs


async def test_closing_does_not_wait_for_a_lock(tmp_path: Path, clock: ManualClock) -> None:
    with contextlib.ExitStack() as stack:
        async with (
            asyncio.timeout(CONDITION_TIMEOUT),
            SqliteRecords(tmp_path, clock=clock, lock_timeout=3600) as records,
        ):
            stack.enter_context(locked(tmp_path))
            waiting = [asyncio.create_task(records.accept([sample_download() for _ in range(600)])) for _ in range(3)]
            await asyncio.sleep(0)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(result) for result in results} == {StoreUnavailableError}


@pytest.mark.parametrize(
    "moved", [".", DATABASE_FILE_NAME, f"{DATABASE_FILE_NAME}-wal"], ids=["directory", "database", "log"]
)
async def test_nothing_is_accepted_while_the_files_are_moved_away(
    tmp_path: Path, clock: ManualClock, moved: str
) -> None:
    place, elsewhere = tmp_path / "state" / moved, tmp_path / "elsewhere"
    async with SqliteRecords(tmp_path / "state", clock=clock) as records:
        rows = await added(records, sample_download())
        place.rename(elsewhere)
        with capture_logs() as lines:
            results = await asyncio.gather(
                *(records.accept([sample_download()]) for _ in range(20)), return_exceptions=True
            )
            assert {type(result) for result in results} == {StoreUnavailableError}
            assert "put its state directory back as it was, or restart the daemon" in str(results[0])
            # Reads still work.
            assert await records.active(ActiveFilter()) == rows
            if moved == ".":
                # Another file of the same name does not count.
                place.mkdir()
                (place / DATABASE_FILE_NAME).write_bytes((elsewhere / DATABASE_FILE_NAME).read_bytes())
                with pytest.raises(StoreUnavailableError):
                    await records.accept([sample_download()])
                (place / DATABASE_FILE_NAME).unlink()
                place.rmdir()
            elsewhere.rename(place)
            rows += await added(records, sample_download())
        assert [line["event"] for line in lines] == ["records_missing", "records_restored"]
    async with SqliteRecords(tmp_path / "state", clock=clock) as records:
        assert await records.active(ActiveFilter()) == rows


@pytest.mark.parametrize(
    "criteria",
    [
        HistoryFilter(),
        HistoryFilter(before_ended_seq=5),
        HistoryFilter(after_ended_seq=5),
        HistoryFilter(state=State.COMPLETED),
        HistoryFilter(directory="a"),
        HistoryFilter(directory="a", state=State.FAILED, before_ended_seq=5),
        HistoryFilter(contains="x"),
        HistoryFilter(has_part=True, directory="a", state=State.FAILED),
        HistoryFilter(has_part=False),
        ActiveFilter(),
        ActiveFilter(directory="a"),
        ActiveFilter(states=frozenset({State.PAUSED, State.QUEUED})),
    ],
)
async def test_no_page_needs_a_sort_or_a_scan_of_the_table(
    records: SqliteRecords, criteria: HistoryFilter | ActiveFilter
) -> None:
    query = history_query(criteria) if isinstance(criteria, HistoryFilter) else active_query(criteria)
    plan = await records.read(
        lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {query.sql}", query.parameters).fetchall()
    )
    steps = " ".join(step[3] for step in plan)
    assert "TEMP B-TREE" not in steps
    assert "USING INDEX" in steps


ACCEPTING = """
import asyncio, os, sys
from downloadd.clock import SystemClock
from downloadd.records.sqlite import SqliteRecords
from records.contract import sample_download

async def client(records):
    while True:
        download = sample_download()
        await records.accept([download])
        os.write(1, download.id.encode() + b"\\n")

async def main():
    async with SqliteRecords(sys.argv[1], clock=SystemClock()) as records, asyncio.TaskGroup() as group:
        for _ in range(32):
            group.create_task(client(records))

asyncio.run(main())
"""


async def test_nothing_acknowledged_is_lost_by_a_kill(tmp_path: Path, clock: ManualClock) -> None:
    acknowledged: list[str] = []
    for round in range(1, 4):
        daemon = await asyncio.create_subprocess_exec(
            *CHILD, ACCEPTING, str(tmp_path), env=CHILD_ENVIRONMENT, stdout=asyncio.subprocess.PIPE
        )
        assert daemon.stdout is not None
        while len(acknowledged) < round * 700:
            line = await daemon.stdout.readline()
            assert line, f"the process ended before it was killed, with {await daemon.wait()}: see standard error"
            acknowledged.append(line.decode().strip())
        daemon.kill()
        rest = await daemon.stdout.read()
        acknowledged += [line for line in rest.decode().split("\n") if len(line) == 36]
        await daemon.wait()
        async with SqliteRecords(tmp_path, clock=clock) as records:
            present_ids = [row.id for row in await records.active(ActiveFilter(limit=1_000_000))]
        assert len(present_ids) == len(set(present_ids))
        assert set(acknowledged) <= set(present_ids)
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE_FILE_NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


FILLING = """
import asyncio, sys
from pathlib import Path
from downloadd.clock import SystemClock
from downloadd.errors import InsufficientStorageError
from downloadd.records.history import active_query, history_query
from downloadd.records.protocol import ActiveFilter
from downloadd.records.sqlite import SqliteRecords
from records.contract import sample_download

async def main():
    state, full = Path(sys.argv[1]), sys.argv[2]
    ballast = state / "ballast"
    accepted = []
    async with SqliteRecords(state, clock=SystemClock()) as records:
        if full == "disk":
            ballast.write_bytes(bytes(1_000_000))
        else:
            await records.write(lambda cursor: cursor.execute("PRAGMA max_page_count = 500").fetchone())
        try:
            while True:
                accepted += (await records.accept([sample_download() for _ in range(20)])).seqs
        except InsufficientStorageError:
            pass
        results = await asyncio.gather(*(records.accept([sample_download() for _ in range(50)]) for _ in range(40)),
                                       return_exceptions=True)
        for result in results:
            if isinstance(result, InsufficientStorageError):
                continue
            accepted += result.seqs
        assert any(isinstance(result, InsufficientStorageError) for result in results), results
        listed = await records.active(ActiveFilter())
        assert [row.seq for row in listed] == accepted, (len(listed), len(accepted))
        if full == "disk":
            ballast.unlink()
        else:
            await records.write(lambda cursor: cursor.execute("PRAGMA max_page_count = 100000").fetchone())
        accepted += (await records.accept([sample_download()])).seqs
    async with SqliteRecords(state, clock=SystemClock()) as records:
        assert [row.seq for row in await records.active(ActiveFilter())] == accepted
    print("done")

asyncio.run(main())
"""


async def assert_keeps_working(*command: str) -> None:
    """Check that `FILLING` succeeds: its records fail while there is no space, and work again when there is."""
    filling = await asyncio.create_subprocess_exec(
        *command, env=CHILD_ENVIRONMENT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await filling.communicate()
    assert output == b"done\n", errors.decode()


async def test_a_full_database_fails_the_caller_only(tmp_path: Path) -> None:
    await assert_keeps_working(*CHILD, FILLING, str(tmp_path), "database")


async def test_a_full_disk_fails_the_caller_only(tmp_path: Path) -> None:
    small_disk = mount_launcher("size=4m", tmp_path)
    probe = await asyncio.create_subprocess_exec(*small_disk, "true", stderr=asyncio.subprocess.DEVNULL)
    if await probe.wait():
        not_allowed("mount a tmpfs")
    await assert_keeps_working(*small_disk, *CHILD, FILLING, str(tmp_path), "disk")


def reboot(state: Path, boot: str = "another") -> None:
    with contextlib.closing(sqlite3.connect(state / DATABASE_FILE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE boot SET id = ?", (boot,))


async def test_after_a_restart_of_the_machine_only_checkpoints_are_trusted(tmp_path: Path, clock: ManualClock) -> None:
    state = tmp_path / "state"
    with_part = [sample_download(state=one, part_name="p") for one in (State.QUEUED, State.PAUSED, State.DOWNLOADING)]
    ranged = with_fields(sample_download(part_name="p"), received_ranges="3-9")
    others = [sample_download(), sample_download(state=State.FAILED)]
    async with SqliteRecords(state, clock) as records:
        rows = await added(records, *(with_fields(one, received=7) for one in with_part), ranged, *others)
    async with SqliteRecords(state, clock) as records:
        assert [await present(records, row.id) for row in rows] == rows
    reboot(state)
    for _ in range(2):
        async with SqliteRecords(state, clock) as records:
            found = [(await present(records, row.id)).progress.received_ranges for row in rows]
            assert found == ["0-7", "0-7", "0-7", "3-9", None, None]


async def test_without_a_boot_id_the_machine_may_have_restarted(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloadd.records.boot, "_BOOT_ID_FILE", tmp_path / "nothing")
    async with SqliteRecords(tmp_path / "state", clock) as records:
        (row,) = await added(records, with_fields(sample_download(part_name="p"), received=7))
    async with SqliteRecords(tmp_path / "state", clock) as records:
        assert (await present(records, row.id)).progress.received_ranges == "0-7"
