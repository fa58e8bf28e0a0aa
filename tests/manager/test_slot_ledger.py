"""Slots that are held, and those that are freed and not written yet."""

from downloadd.manager.slot_ledger import SlotLedger
from downloadd.records.admission import SlotHolding

A, B = "https://a.example", "https://b.example"


def test_a_change_has_the_number_that_holds_when_it_is_written() -> None:
    ledger = SlotLedger()
    ledger.hold(1, A, 3)
    assert (ledger.has_changes,) == (False,)
    ledger.lower(1, A)
    ledger.lower(1, A)
    ledger.lower(1, B)
    assert (ledger.has_changes,) == (True,)
    changes = ledger.pop_changes()
    assert list(changes) == [SlotHolding(seq=1, origin=A, number=1)]
    assert (ledger.has_changes,) == (False,)
    # The write has failed, and slots were taken since.
    ledger.hold(1, A, 2)
    ledger.put_back(changes)
    assert list(ledger.pop_changes()) == [SlotHolding(seq=1, origin=A, number=2)]


def test_the_end_of_a_run_frees_all_its_slots_and_no_others() -> None:
    ledger = SlotLedger()
    for seq, origin in ((1, A), (1, B), (2, A)):
        ledger.hold(seq, origin, 1)
    ledger.end(1)
    ledger.end(3)
    assert {(one.seq, one.origin, one.number) for one in ledger.pop_changes()} == {(1, A, 0), (1, B, 0)}
    assert (ledger.number(1, A), ledger.number(2, A)) == (0, 1)
    ledger.end(1)
    assert (ledger.has_changes,) == (False,)


def test_more_than_is_held_cannot_be_freed() -> None:
    ledger = SlotLedger()
    ledger.hold(1, A, 1)
    ledger.lower(1, A, 5)
    assert [one.number for one in ledger.pop_changes()] == [0]
