from hypothesis import given
from hypothesis import strategies as st

from downloadd.api.crowd import Crowd


class Somebody:
    def __init__(self) -> None:
        self.closed = False

    def abort(self) -> None:
        self.closed = True


def test_whoever_has_been_quiet_for_longest_goes_for_one_too_many() -> None:
    crowd, people = Crowd(3), [Somebody() for _ in range(5)]
    for one in people[:3]:
        crowd.enter(one)
    crowd.ask(people[0])
    crowd.rest(people[0])
    crowd.ask(people[1])
    crowd.enter(people[3])
    crowd.enter(people[4])
    assert [one.closed for one in people] == [True, False, True, False, False]


def test_nobody_who_is_being_answered_goes() -> None:
    crowd, people = Crowd(2), [Somebody() for _ in range(3)]
    for one in people[:2]:
        crowd.enter(one)
        crowd.ask(one)
    crowd.enter(people[2])
    assert [one.closed for one in people] == [False, False, True]


def test_without_a_limit_all_may_stay() -> None:
    crowd, people = Crowd(None), [Somebody() for _ in range(100)]
    for one in people:
        crowd.enter(one)
    assert not any(one.closed for one in people)


@given(st.lists(st.tuples(st.sampled_from(["enter", "ask", "rest", "leave"]), st.integers(0, 9))))
def test_there_are_never_more_than_the_limit(moves: list[tuple[str, int]]) -> None:
    crowd, people = Crowd(4), [Somebody() for _ in range(10)]
    inside: set[int] = set()
    for move, number in moves:
        one = people[number]
        if move == "enter" and (number in inside or one.closed):
            continue
        getattr(crowd, move)(one)
        if move == "enter":
            inside.add(number)
        if move == "leave":
            inside.discard(number)
        inside -= {gone for gone, each in enumerate(people) if each.closed}
        assert len(inside) <= 4
