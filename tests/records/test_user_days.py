"""Records of the bytes of users by day."""

from records.contracts.user_days import UserDayContract, received

from downloadd.records.user_days import DayNotes


class TestSqliteUserDays(UserDayContract):
    """The contract, kept by SQLite."""


def test_a_note_that_was_replaced_while_it_was_recorded_stays() -> None:
    notes = DayNotes()
    assert list(notes.pending()) == []
    notes.add(received(1))
    notes.add(received(5, "bob"))
    pending = notes.pending()
    notes.add(received(2))
    notes.confirm(pending)
    assert list(notes.pending()) == [received(2)]
