"""Places in the waiting list."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from downloadd.records.queue_places import MIN_GAP, Neighbours, QueueEntry, place_between


def entries(*rows: tuple[int, int] | tuple[int, int, float]) -> list[QueueEntry]:
    return [QueueEntry(*row) for row in rows]


def neighbours(before: list[QueueEntry], after: list[QueueEntry], *, has_all: bool = True) -> Neighbours:
    return Neighbours(before=before, after=after, has_all_before=has_all, has_all_after=has_all)


def test_a_download_stands_in_the_middle_between_its_neighbours() -> None:
    around = neighbours(entries((1, 0)), entries((2, 0)))
    assert place_between(QueueEntry(7, 0), around, end=8) == entries((7, 0, 1.5))


def test_the_first_place_is_before_all_others() -> None:
    assert place_between(QueueEntry(7, 0), neighbours([], entries((1, 0))), end=8) == entries((7, 0, 0.0))
    around = neighbours([], entries((1, 0, -3.0)))
    assert place_between(QueueEntry(7, 0), around, end=8) == entries((7, 0, -4.0))


def test_the_last_place_is_before_that_of_the_next_accepted_download() -> None:
    around = neighbours(entries((7, 0)), [])
    assert place_between(QueueEntry(1, 0), around, end=8) == entries((1, 0, 7.5))


def test_a_download_that_is_moved_back_stands_at_its_number() -> None:
    around = neighbours(entries((6, 0)), entries((8, 0)))
    assert place_between(QueueEntry(7, 0, 1.5), around, end=9) == entries((7, 0))


def test_a_download_that_stands_there_already_does_not_change() -> None:
    around = neighbours(entries((6, 0)), entries((8, 0)))
    assert place_between(QueueEntry(5, 0, 6.5), around, end=9) == []
    assert place_between(QueueEntry(5, 3), neighbours([], entries((8, 0))), end=9) == []
    assert place_between(QueueEntry(5, 3), neighbours([], []), end=9) == []


@pytest.mark.parametrize(
    ("own", "before", "after", "priority"),
    [(0, 9, 5, 5), (20, 9, 5, 9), (7, 9, 5, 7), (0, 5, 5, 5), (0, None, 5, 5), (9, 5, None, 5)],
)
def test_a_download_takes_the_nearest_priority_that_stands_there(
    own: int, before: int | None, after: int | None, priority: int
) -> None:
    around = neighbours([] if before is None else entries((10, before)), [] if after is None else entries((20, after)))
    changed = place_between(QueueEntry(1, own), around, end=30) or [QueueEntry(1, own)]
    assert changed[0].priority == priority
    assert [*around.before, changed[0], *around.after] == sorted(
        [*around.before, changed[0], *around.after], key=lambda one: one.key
    )


def test_places_without_a_number_between_them_are_spaced_again() -> None:
    low, high = 1.0, 1.0 + 2**-52
    before, after = entries((1, 0), (2, 0, low)), entries((3, 0, high), (5, 0))
    assert place_between(QueueEntry(9, 0), neighbours(before[1:], after[:1], has_all=False), end=10) is None
    changed = place_between(QueueEntry(9, 0), neighbours(before, after, has_all=False), end=10)
    # The outermost keep their places, because others that are not known may follow them.
    assert changed == [QueueEntry(9, 0, 3.0), QueueEntry(2, 0, 2.0), QueueEntry(3, 0, 4.0)]


def test_the_places_of_other_priorities_are_not_spaced() -> None:
    before, after = entries((4, 1), (1, 0)), entries((2, 0, 1.0 + 2**-52), (3, -1))
    changed = place_between(QueueEntry(9, 0), neighbours(before, after, has_all=False), end=10)
    assert changed is not None
    assert {one.seq for one in changed} == {9, 1, 2}


def test_places_are_spaced_with_room_for_later_moves() -> None:
    many = entries(*((seq, 0, 1 + seq * 2**-52) for seq in range(100)))
    narrow = neighbours(many[:50], many[50:], has_all=False)
    assert place_between(QueueEntry(999, 0), narrow, end=1000) is None, f"closer than {MIN_GAP}"


class QueueModel(RuleBasedStateMachine):
    """Random moves, compared with a list. A window that is too small is widened, as the records do it."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, QueueEntry] = {}
        self.model: list[int] = []
        self.left: list[QueueEntry] = []
        """Downloads that run, and may come back to their place."""
        self.seq = 0

    def ordered(self) -> list[QueueEntry]:
        return sorted(self.rows.values(), key=lambda one: one.key)

    def move(self, entry: QueueEntry, index: int) -> None:
        others = [one for one in self.ordered() if one.seq != entry.seq]
        size = 1
        while True:
            around = Neighbours(
                before=others[max(0, index - size) : index],
                after=others[index : index + size],
                has_all_before=index <= size,
                has_all_after=len(others) - index <= size,
            )
            changed = place_between(entry, around, end=self.seq + 1)
            if changed is not None:
                break
            size *= 2
        self.rows[entry.seq] = entry
        for one in changed:
            assert one.seq == entry.seq or one.priority == self.rows[one.seq].priority
            self.rows[one.seq] = one
        self.model = [seq for seq in self.model if seq != entry.seq]
        self.model.insert(index, entry.seq)

    @rule(priority=st.integers(-1, 1))
    def accept(self, priority: int) -> None:
        self.seq += 1
        entry = self.rows[self.seq] = QueueEntry(self.seq, priority)
        # After all of its priority.
        index = next((i for i, seq in enumerate(self.model) if self.rows[seq].priority < priority), len(self.model))
        self.model.insert(index, entry.seq)

    @rule(data=st.data())
    def accept_at(self, data: st.DataObject) -> None:
        self.seq += 1
        self.move(QueueEntry(self.seq, 0), data.draw(st.integers(0, len(self.model))))

    @rule(data=st.data())
    def move_one(self, data: st.DataObject) -> None:
        if self.model:
            entry = self.rows[data.draw(st.sampled_from(self.model))]
            self.move(entry, data.draw(st.integers(0, len(self.model) - 1)))

    @rule(data=st.data(), times=st.integers(1, 80))
    def move_many_between_the_same_two(self, data: st.DataObject, times: int) -> None:
        if len(self.model) > 2:
            index = data.draw(st.integers(0, len(self.model) - 1))
            for _ in range(times):
                self.move(self.rows[self.model[-1]], index)

    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        if self.model:
            seq = data.draw(st.sampled_from(self.model))
            self.model.remove(seq)
            self.left.append(self.rows.pop(seq))

    @rule()
    def come_back(self) -> None:
        if self.left:
            entry = self.left.pop()
            self.rows[entry.seq] = entry
            self.model = [one.seq for one in self.ordered()]

    @invariant()
    def the_order_is_that_of_the_list(self) -> None:
        assert [one.seq for one in self.ordered()] == self.model

    @invariant()
    def later_downloads_stand_at_the_end(self) -> None:
        assert all(one.position < self.seq + 1 for one in self.rows.values())


TestQueueModel = QueueModel.TestCase
TestQueueModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
