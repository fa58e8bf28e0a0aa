"""Protocol of the records; `contract.py` has the tests of its promises."""

import inspect

from records import contract
from support.protocol_methods import differences, public_names
from support.sample_downloads import sample_download

from downloadd.records.protocol import AcceptResult, ActiveFilter, HistoryFilter, Records, WaitingDownload
from downloadd.records.sqlite import SqliteRecords


def test_an_implementation_has_the_methods_of_the_protocol() -> None:
    assert list(differences(Records, SqliteRecords)) == []


def test_the_contract_calls_each_method() -> None:
    source = inspect.getsource(contract)
    assert [name for name in public_names(Records) if f".{name}(" not in source] == []


def test_downloads_are_sorted_by_priority_then_by_place_and_number() -> None:
    waiting = [
        WaitingDownload(seq=4, origin="a", priority=1),
        WaitingDownload(seq=1, origin="a", priority=0, place=2.5),
        WaitingDownload(seq=2, origin="a", priority=0),
        WaitingDownload(seq=3, origin="a", priority=0, place=2.0),
    ]
    assert [each.seq for each in sorted(waiting, key=lambda each: each.key)] == [4, 2, 3, 1]
    assert [each.position for each in waiting] == [4, 2.5, 2, 2.0]


def test_a_waiting_download_has_the_fields_of_its_row_and_its_own_time() -> None:
    row = sample_download(3, seq=8, priority=2, place=1.5, not_before=70.0)
    assert WaitingDownload.of(row, not_before=None, target="b") == WaitingDownload(
        seq=8, origin=row.progress.origin, priority=2, not_before=None, target="b", place=1.5, user=row.user
    )


def test_filters_without_values_select_all_with_a_limit() -> None:
    assert ActiveFilter() == ActiveFilter(directory=None, states=None, after_seq=0, limit=10_000)
    unlimited = {name: getattr(HistoryFilter(), name) for name in HistoryFilter.__struct_fields__ if name != "limit"}
    assert set(unlimited.values()) == {None}
    assert HistoryFilter().limit == 100


def test_results_of_two_requests_share_nothing() -> None:
    first, second = AcceptResult(), AcceptResult()
    assert first.placed == {}
    assert first.placed is not second.placed
