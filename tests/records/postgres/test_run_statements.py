"""Conditions about runs."""

from support.clocks import ManualClock
from support.node_reports import node_report

from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.postgres.run_statements import IS_RUNNING, gone_sessions


def test_the_condition_names_the_running_states_so_that_the_index_is_used() -> None:
    assert IS_RUNNING == "downloads.state IN ('downloading', 'starting', 'verifying')"


async def test_the_sessions_without_a_living_node_are_found_by_the_index(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        await records.nodes.register(node_report(), is_start=True)
        await records.execute(
            "INSERT INTO slots SELECT 'o' || n, n, 'session-' || n % 3, 1 FROM generate_series(1, 9) AS n"
        )
        found = await records.read(lambda connection: connection.fetch(gone_sessions("slots")))
        assert [row["session"] for row in found] == ["session-0", "session-2"]
        await records.execute("UPDATE nodes SET last_seen = last_seen - interval '1 h'")
        found = await records.read(lambda connection: connection.fetch(gone_sessions("slots", condition="seq > 1")))
        assert [row["session"] for row in found] == ["session-0", "session-1", "session-2"]
