from hypothesis import given
from hypothesis import strategies as st

from downloadd.fronts.rest.connection_limit import ConnectionLimit


class FakeConnection:
    def __init__(self) -> None:
        self.closed = False

    def abort(self) -> None:
        self.closed = True


def test_the_connection_idle_longest_is_closed_when_the_limit_is_exceeded() -> None:
    limit, connections = ConnectionLimit(3), [FakeConnection() for _ in range(5)]
    for one in connections[:3]:
        limit.add(one)
    limit.mark_busy(connections[0])
    limit.mark_idle(connections[0])
    limit.mark_busy(connections[1])
    limit.add(connections[3])
    limit.add(connections[4])
    assert [one.closed for one in connections] == [True, False, True, False, False]


def test_a_busy_connection_is_not_closed() -> None:
    limit, connections = ConnectionLimit(2), [FakeConnection() for _ in range(3)]
    for one in connections[:2]:
        limit.add(one)
        limit.mark_busy(one)
    limit.add(connections[2])
    assert [one.closed for one in connections] == [False, False, True]


def test_without_a_limit_no_connection_is_closed() -> None:
    limit, connections = ConnectionLimit(None), [FakeConnection() for _ in range(100)]
    for one in connections:
        limit.add(one)
    assert not any(one.closed for one in connections)


@given(st.lists(st.tuples(st.sampled_from(["add", "mark_busy", "mark_idle", "remove"]), st.integers(0, 9))))
def test_the_limit_is_never_exceeded(moves: list[tuple[str, int]]) -> None:
    limit, connections = ConnectionLimit(4), [FakeConnection() for _ in range(10)]
    inside: set[int] = set()
    for move, number in moves:
        one = connections[number]
        if move == "add" and (number in inside or one.closed):
            continue
        getattr(limit, move)(one)
        if move == "add":
            inside.add(number)
        if move == "remove":
            inside.discard(number)
        inside -= {gone for gone, each in enumerate(connections) if each.closed}
        assert len(inside) <= 4
