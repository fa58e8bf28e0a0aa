"""Session of the writer: the lock of the owner, and commits whose answers are lost."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from msgspec.structs import replace
from records.contract import make_response, present
from structlog.testing import capture_logs
from support.clocks import ManualClock
from support.postgres_server import PostgresServer
from support.stored_downloads import added, claimed, ids, sample_download
from support.waiting import wait_until
from support.wire import Wire

from downloadd.clock import SystemClock
from downloadd.errors import StartupError, StoreUnavailableError
from downloadd.records.postgres.address import DatabaseAddress
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.states import State


@pytest.fixture
async def wire(postgres_server: PostgresServer) -> AsyncIterator[Wire]:
    async with Wire(postgres_server.port) as wire:
        yield wire


@pytest.fixture
async def records(
    postgres_server: PostgresServer, database: str, wire: Wire, reused_databases: list[str]
) -> AsyncIterator[PostgresRecords]:
    """Open records behind the wire."""
    url = postgres_server.url(reused_databases[0], port=wire.port)
    async with PostgresRecords(url, SystemClock(), patience=30.0) as records:
        yield records


async def test_an_accept_whose_commit_took_place_unanswered_is_answered_and_not_repeated(
    records: PostgresRecords, wire: Wire
) -> None:
    wire.lost = b"COMMIT\0"
    download = sample_download()
    response = make_response()
    accepted = await records.accept([download], response)
    assert wire.cuts == 1
    assert accepted.replayed is None
    assert (await present(records, download.id)).seq == accepted.seqs[0]
    assert len(await records.active(ActiveFilter())) == 1


async def test_a_commit_that_a_silent_server_does_not_answer_is_looked_up(records: PostgresRecords, wire: Wire) -> None:
    records._writer._session._transaction_timeout = 0.2
    wire.silent = b"COMMIT\0"
    download = sample_download()
    async with asyncio.timeout(30):
        accepted = await records.accept([download])
    assert wire.silenced
    assert ids(await records.active(ActiveFilter())) == [download.id]
    assert (await present(records, download.id)).seq == accepted.seqs[0]


async def test_an_accept_whose_commit_did_not_take_place_is_repeated(records: PostgresRecords, wire: Wire) -> None:
    wire.unsent = b"COMMIT\0"
    (row,) = await added(records, sample_download())
    assert wire.cuts == 1
    assert await records.active(ActiveFilter()) == [row]


async def test_an_end_and_a_claim_are_answered_too(records: PostgresRecords, wire: Wire) -> None:
    (row,) = await added(records, sample_download())
    wire.lost = b"COMMIT\0"
    (held,) = await records.claim([row.seq])
    assert (held.epoch, wire.cuts) == (1, 1)
    wire.lost = b"COMMIT\0"
    ended = await records.save(replace(held.with_result(end_time=5), state=State.COMPLETED))
    assert ended is not None
    assert (ended.result.ended_seq, wire.cuts) == (1, 2)
    assert await records.history(HistoryFilter()) == [ended]


async def test_a_cut_in_the_middle_of_a_transaction_is_repeated(records: PostgresRecords, wire: Wire) -> None:
    wire.unsent = b"nextval"
    (row,) = await added(records, sample_download())
    assert wire.cuts == 1
    assert await records.active(ActiveFilter()) == [row]


@pytest.mark.parametrize("took_place", [True, False])
async def test_only_the_callers_of_a_commit_wait_for_its_outcome(
    postgres_server: PostgresServer, database: str, wire: Wire, reused_databases: list[str], took_place: bool
) -> None:
    url = postgres_server.url(reused_databases[0], port=wire.port)
    async with PostgresRecords(url, SystemClock(), patience=0.0) as records:
        (row,) = await added(records, sample_download())
        wire.is_down = True
        if took_place:
            wire.lost = b"COMMIT\0"
        else:
            wire.unsent = b"COMMIT\0"
        download = sample_download()
        with capture_logs() as lines:
            async with asyncio.TaskGroup() as group:
                # In one transaction.
                claiming = group.create_task(records.claim([row.seq]))
                accepting = group.create_task(records.accept([download]))
                await wait_until(lambda: wire.cuts)
                for _ in range(2):
                    with pytest.raises(StoreUnavailableError):
                        await records.accept([sample_download()])
                assert not claiming.done()
                assert not accepting.done()
                wire.is_down = False
                (held,) = await claiming
                accepted = await accepting
        assert held.epoch == 1
        assert await present(records, row.id) == held
        assert (await present(records, download.id)).seq == accepted.seqs[0]
        # One that was refused did not take place, and may be repeated.
        assert ids(await records.active(ActiveFilter())) == [row.id, download.id]
    assert [line["event"] for line in lines] == ["records_unavailable", "records_available"]


async def test_a_second_owner_is_refused_in_one_sentence(database: str) -> None:
    async with PostgresRecords(database, ManualClock()):
        with pytest.raises(StartupError, match=r"is used by another daemon \(downloadd \S+ \d+\); stop it") as raised:
            async with PostgresRecords(database, ManualClock(), patience=0.0):
                pass
        assert "\n" not in str(raised.value)
    async with PostgresRecords(database, ManualClock()) as records:
        assert await records.last_ended_seq() == 0


async def test_an_owner_that_was_cut_off_writes_nothing_beside_the_next_one(
    records: PostgresRecords, database: str, wire: Wire
) -> None:
    (row,) = await added(records, sample_download())
    wire.is_down = True
    wire.cut()

    async def take_over() -> PostgresRecords | None:
        # The server ends the session of a connection that is closed, and with it the lock.
        try:
            return await PostgresRecords(database, ManualClock(), patience=0.0).__aenter__()
        except StartupError:
            return None

    other = await wait_until(take_over)
    wire.is_down = False
    try:
        records._writer._patience = 0.0
        with pytest.raises(StoreUnavailableError, match="another daemon took over the database"):
            await records.claim([row.seq])
        assert await other.get(row.id) == row
    finally:
        await other.__aexit__(None, None, None)


async def test_an_idle_owner_keeps_its_lock_after_a_restart_of_the_server(
    postgres_server: PostgresServer, database: str
) -> None:
    async with PostgresRecords(database, SystemClock()):
        await asyncio.to_thread(postgres_server.stop)
        postgres_server.start()

        async def is_owned() -> bool:
            connection = await asyncpg.connect(database)
            try:
                sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                return bool(await connection.fetchval(sql))
            finally:
                await connection.close()

        await wait_until(is_owned)
        with pytest.raises(StartupError, match="is used by another daemon"):
            async with PostgresRecords(database, ManualClock(), patience=0.0):
                pass


async def test_a_server_that_turns_silent_while_the_session_is_made_again_is_not_waited_for(
    records: PostgresRecords, wire: Wire
) -> None:
    records._writer._patience = 0.0
    records._writer._session._setup_timeout = 0.2
    wire.silent = b"pg_terminate_backend"
    wire.cut()
    async with asyncio.timeout(30):
        while wire.silenced < 2:
            with pytest.raises(StoreUnavailableError):
                await records.accept([sample_download()])
        wire.silent = None
        await wait_until(lambda: records._writer._session.is_connected)
    await added(records, sample_download())


async def test_a_session_that_has_the_process_number_of_the_lost_one_is_not_ended(records: PostgresRecords) -> None:
    held = await claimed(records, sample_download())
    reader = await records.read(lambda connection: connection.fetchval("SELECT pg_backend_pid()"))
    session = records._writer._session
    assert session._backend is not None
    session._backend = (reader, session._backend[1])
    assert session._connection is not None
    await session._connection.close()
    assert await records.save(held) == held
    assert await records.read(lambda connection: connection.fetchval("SELECT pg_backend_pid()")) == reader


async def test_a_session_of_a_network_that_failed_is_ended_with_its_locks(
    records: PostgresRecords, database: str
) -> None:
    held = await claimed(records, sample_download())
    session = records._writer._session
    connection = await asyncpg.connect(database)
    try:
        before = await connection.fetchval("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")
        # The client has lost it, the server has not.
        lost, session._connection = session._connection, None
        assert await records.save(held) == held
        after = await connection.fetchval("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")
        assert before != after
    finally:
        await connection.close()
        assert lost is not None
        lost.terminate()


async def test_a_node_that_stands_still_within_a_transaction_delays_others_by_a_part_of_its_lease(
    database: str,
) -> None:
    async with PostgresRecords(database, SystemClock(), is_owner=False, patience=0.0) as other:
        (row,) = await added(other, sample_download())
        stopped = await DatabaseAddress(database, lease=0.6).connect()
        await stopped.execute("BEGIN")
        await stopped.execute("UPDATE downloads SET filename = 'first'")
        # It waits for the lock of the row; all changes of this node wait behind it, its heartbeats too.
        changed = await other.amend(row.id, lambda row: replace(row, filename="second"))
        assert changed is not None
        assert (changed[0].filename, changed[1].filename) == (row.filename, "second")
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
            await stopped.execute("COMMIT")
