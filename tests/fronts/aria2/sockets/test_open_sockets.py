from downloadd.fronts.aria2.sockets.open_sockets import OpenSockets


class FakeSocket:
    def __init__(self) -> None:
        self.aborted = self.stopped = 0

    def abort(self) -> None:
        self.aborted += 1

    def stop(self) -> None:
        self.stopped += 1


def test_the_oldest_socket_without_a_token_is_closed_when_there_are_too_many() -> None:
    sockets, each = OpenSockets(max_anonymous=2), [FakeSocket() for _ in range(6)]
    for one in each[:2]:
        sockets.add(one)
    sockets.mark_known(each[0])
    for one in each[2:5]:
        sockets.add(one)
    sockets.remove(each[4])
    sockets.add(each[5])
    assert [one.aborted for one in each] == [0, 1, 1, 0, 0, 0]


def test_all_open_sockets_are_stopped_once_and_later_ones_at_once() -> None:
    sockets, each = OpenSockets(max_anonymous=32), [FakeSocket() for _ in range(4)]
    for one in each[:3]:
        sockets.add(one)
    sockets.mark_known(each[0])
    sockets.mark_known(each[3])
    sockets.remove(each[1])
    sockets.stop_all()
    sockets.add(each[3])
    assert [one.stopped for one in each] == [1, 0, 1, 1]
