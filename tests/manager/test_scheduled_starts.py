"""Waiting downloads whose requests state a time."""

from downloadd.manager.scheduled_starts import ScheduledStarts
from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_places import QueueEntry


def waiting(seq: int, start_after: float | None) -> WaitingDownload:
    return WaitingDownload(seq=seq, origin="a", priority=0, start_after=start_after)


def test_downloads_are_due_in_the_order_of_their_times() -> None:
    starts = ScheduledStarts()
    for seq, time in ((1, 30), (2, 10), (3, 20)):
        starts.add(waiting(seq, time))
    starts.add(waiting(4, None))
    assert (len(starts), starts.next_due()) == (3, 10)
    assert [one.seq for one in starts.pop_due(20)] == [2, 3]
    assert (len(starts), starts.next_due()) == (1, 30)


def test_the_last_time_of_a_download_counts() -> None:
    starts = ScheduledStarts()
    starts.add(waiting(1, 10))
    starts.add(waiting(1, 30))
    assert list(starts.pop_due(20)) == []
    assert [one.seq for one in starts.pop_due(30)] == [1]
    assert not starts.discard(1)


def test_a_download_can_be_removed_and_moved() -> None:
    starts = ScheduledStarts()
    starts.add(waiting(1, 10))
    starts.add(waiting(2, 10))
    assert starts.discard(1)
    starts.reorder([QueueEntry(1, 5, None), QueueEntry(2, 7, 0.5)])
    [one] = starts.pop_due(10)
    assert (one.seq, one.priority, one.place) == (2, 7, 0.5)
    assert starts.next_due() is None
