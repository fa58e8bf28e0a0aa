"""Writer: operations in common transactions, and a database that is away."""

import asyncio
import signal

import asyncpg
import pytest
from structlog.testing import capture_logs
from support.clocks import ManualClock
from support.postgres_server import PostgresServer
from support.stored_downloads import added, claimed, ids, sample_download
from support.waiting import wait_until
from support.wire import Wire

from downloadd.clock import SystemClock
from downloadd.errors import ShuttingDownError, StorageError, StoreUnavailableError
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import ActiveFilter


async def test_callers_at_the_same_time_share_transactions(database: str) -> None:
    commits: list[int] = []
    async with PostgresRecords(database, ManualClock(), on_commit=lambda rows, _: commits.append(rows)) as records:
        await asyncio.gather(*(records.accept([sample_download()]) for _ in range(1000)))
    assert sum(commits) == 1000
    assert len(commits) <= 4
    assert max(commits) <= 512


async def test_an_operation_that_fails_fails_alone(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        (known,) = await added(records, sample_download())
        held = await claimed(records, sample_download())
        good = sample_download()
        results = await asyncio.gather(
            records.accept([good]), records.accept([known]), records.save(held), return_exceptions=True
        )
        assert isinstance(results[1], StorageError)
        assert results[2] == held
        assert ids(await records.active(ActiveFilter())) == [known.id, held.id, good.id]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], ids=["restart", "crash", "kill"])
async def test_a_restart_of_the_server_loses_nothing_and_refuses_nothing(
    postgres_server: PostgresServer, database: str, how: signal.Signals
) -> None:
    accepted: list[str] = []
    is_done = False
    async with PostgresRecords(database, SystemClock(), patience=60.0) as records:

        async def accept() -> None:
            while not is_done:
                download = sample_download()
                await records.accept([download])
                accepted.append(download.id)

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(accept())
            await wait_until(lambda: len(accepted) > 50)
            await asyncio.to_thread(postgres_server.stop, how)
            before = len(accepted)
            postgres_server.start()
            await wait_until(lambda: len(accepted) > before + 50)
            is_done = True
        listed = ids(await records.active(ActiveFilter()))
    assert sorted(listed) == sorted(accepted)


async def test_operations_are_refused_while_the_server_is_away_and_do_not_take_place_later(
    postgres_server: PostgresServer, database: str
) -> None:
    async with PostgresRecords(database, SystemClock(), patience=0.05) as records:
        (row,) = await added(records, sample_download())
        with capture_logs() as lines:
            await asyncio.to_thread(postgres_server.stop)
            try:
                for _ in range(2):
                    results = await asyncio.gather(
                        *(records.accept([sample_download()]) for _ in range(20)),
                        records.get(row.id),
                        return_exceptions=True,
                    )
                    assert {type(result) for result in results} == {StoreUnavailableError}
            finally:
                postgres_server.start()

            async def is_available() -> bool:
                try:
                    return await records.get(row.id) == row and await records.save(row) is not None
                except StoreUnavailableError:
                    return False

            await wait_until(is_available)
        assert await records.active(ActiveFilter()) == [row]
    assert [line["event"] for line in lines] == ["records_unavailable", "records_available"]


async def test_a_lock_of_another_program_refuses_operations_after_a_while(database: str) -> None:
    async with PostgresRecords(database, SystemClock(), patience=0.0) as records:
        (row,) = await added(records, sample_download())
        other = await asyncpg.connect(database)
        try:
            await records.write(lambda connection: connection.execute("SET lock_timeout = '50ms'"))
            async with other.transaction():
                await other.execute("LOCK TABLE downloads")
                with pytest.raises(StoreUnavailableError, match="lock timeout"):
                    await records.claim([row.seq])
            assert len(await records.claim([row.seq])) == 1
        finally:
            await other.close()


async def test_queued_operations_are_finished_before_closing(database: str) -> None:
    downloads = [sample_download() for _ in range(300)]
    async with PostgresRecords(database, ManualClock()) as records, asyncio.TaskGroup() as group:
        tasks = [group.create_task(records.accept([download])) for download in downloads]
        await asyncio.sleep(0)
        await records.__aexit__(None, None, None)
    assert all(task.result().seqs for task in tasks)
    with pytest.raises(ShuttingDownError):
        await records.accept([sample_download()])


async def test_closing_does_not_wait_for_a_server_that_is_away(postgres_server: PostgresServer, database: str) -> None:
    async with asyncio.timeout(30):
        async with PostgresRecords(database, SystemClock(), patience=3600.0) as records:
            await asyncio.to_thread(postgres_server.stop)
            try:
                accepting = asyncio.ensure_future(records.accept([sample_download()]))
                await asyncio.sleep(0.05)
                await records.__aexit__(None, None, None)
                with pytest.raises(StoreUnavailableError):
                    await accepting
            finally:
                postgres_server.start()


async def test_closing_does_not_wait_for_a_server_that_is_silent(
    postgres_server: PostgresServer, database: str, reused_databases: list[str]
) -> None:
    async with Wire(postgres_server.port) as wire, asyncio.timeout(30):
        url = postgres_server.url(reused_databases[0], port=wire.port)
        async with PostgresRecords(url, SystemClock(), patience=3600.0) as records:
            records._writer._close_timeout = 0.1
            wire.silent = b"COMMIT\0"
            accepting = asyncio.ensure_future(records.accept([sample_download()]))
            await wait_until(lambda: wire.silenced)
            await records.__aexit__(None, None, None)
            with pytest.raises(StoreUnavailableError):
                await accepting


async def test_a_commit_is_on_stable_storage(database: str) -> None:
    other = await asyncpg.connect(database)
    try:
        await other.execute(
            f"ALTER ROLE {await other.fetchval('SELECT current_user::text')} SET synchronous_commit = off"
        )
        async with PostgresRecords(database, ManualClock()) as records:
            level = await records.write(lambda connection: connection.fetchval("SHOW synchronous_commit"))
        assert level == "on"
    finally:
        await other.execute("ALTER ROLE CURRENT_USER RESET synchronous_commit")
        await other.close()
