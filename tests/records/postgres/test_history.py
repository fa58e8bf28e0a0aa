"""SQL of listings and history pages."""

import pytest
from support.clocks import ManualClock
from support.stored_downloads import added, ids, sample_download

from downloadd.errors import StorageError
from downloadd.records.postgres.history import active_query, decode_ended_row, history_query, superseded_name
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import ActiveFilter, EndedRow, HistoryFilter
from downloadd.states import State


def test_parameters_are_numbered_in_the_order_of_the_conditions() -> None:
    query = history_query(HistoryFilter(before_ended_seq=9, state=State.FAILED, contains="Ä", limit=-1))
    assert query.parameters == (9, "failed", "ä", 0)
    assert "ended_seq < $1 AND state = $2 AND strpos(folded, $3) > 0 ORDER BY ended_seq DESC LIMIT $4" in query.sql


async def test_downloads_in_directories_of_any_length_are_listed(database: str) -> None:
    # A text that can be compressed fits into an index.
    long = "".join(chr(0x4E00 + number * number % 0x4FFF) for number in range(4096))
    async with PostgresRecords(database, ManualClock()) as records:
        rows = [
            sample_download(directory=f"{long}{end}", state=state)
            for end in ("a", "b")
            for state in (State.QUEUED, State.FAILED)
        ]
        await added(records, *rows)
        for active, ended in (rows[:2], rows[2:]):
            directory = active.request.directory
            assert ids(await records.active(ActiveFilter(directory=directory))) == [active.id]
            assert ids(await records.history(HistoryFilter(directory=directory))) == [ended.id]


def test_a_listing_of_no_state_is_empty() -> None:
    assert active_query(ActiveFilter(states=frozenset())).parameters == (0, [], 10_000)


def test_the_name_of_a_superseded_part_is_read_from_its_json() -> None:
    row = (1, "id", 2, 3, "d", "p", "part", '{"part_name":"old","size":5}')
    assert decode_ended_row(row) == EndedRow(
        seq=1, id="id", ended_seq=2, end_time=3, directory="d", part_directory="p", part_name="part",
        superseded_name="old",
    )  # fmt: skip
    assert superseded_name(None, "id") is None
    with pytest.raises(StorageError, match="id"):
        superseded_name("{", "id")
