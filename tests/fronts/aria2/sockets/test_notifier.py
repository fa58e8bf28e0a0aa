"""Notifications: who receives them, and when the bus is watched."""

import json

from support.fake_rpc import fake_notification_of
from support.sample_downloads import sample_change, sample_download
from support.waiting import wait_until

from downloadd.download import Snapshot
from downloadd.events import DownloadChanged, DownloadEnded, EventBus
from downloadd.fronts.aria2.sockets.notifier import Notifier
from downloadd.states import State


class FakeRecipient:
    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.allowed = True

    def may_be_notified(self) -> bool:
        return self.allowed

    def notify(self, message: bytes) -> None:
        self.messages.append(message)


class Watched:
    """A notifier and its bus."""

    def __init__(self, *, backlog: int = 100, replay_limit: int = 100) -> None:
        self.bus = EventBus(backlog=backlog, replay_limit=replay_limit)
        self.counts: list[int] = []
        self.notifier = Notifier(self.bus, fake_notification_of, self.counts.append)

    async def add(self, *recipients: FakeRecipient) -> None:
        for each in recipients:
            self.notifier.add(each)
        await wait_until(lambda: self.bus.reader_count == 1)


def started(number: int = 0) -> DownloadChanged:
    return DownloadChanged(before=None, snapshot=Snapshot(download=sample_download(number, state=State.DOWNLOADING)))


async def test_the_bus_is_watched_only_while_there_is_a_recipient() -> None:
    watched, first, second = Watched(), FakeRecipient(), FakeRecipient()
    assert watched.bus.reader_count == 0
    await watched.add(first, second)
    watched.notifier.remove(first)
    watched.notifier.remove(first)
    await watched.add()
    watched.notifier.remove(second)
    await wait_until(lambda: watched.bus.reader_count == 0)
    await watched.add(second)
    watched.notifier.remove(second)
    await wait_until(lambda: watched.bus.reader_count == 0)


async def test_every_recipient_gets_the_same_bytes_in_order() -> None:
    watched, recipients = Watched(), [FakeRecipient(), FakeRecipient()]
    await watched.add(*recipients)
    watched.bus.publish(sample_change(1))
    watched.bus.publish(started(1))
    watched.bus.publish(DownloadEnded(before=None, download=sample_download(1)))
    await wait_until(lambda: len(recipients[1].messages) == 2)
    first, second = recipients
    assert [json.loads(message)["method"] for message in first.messages] == [
        "aria2.onDownloadStart",
        "aria2.onDownloadComplete",
    ]
    assert all(one is other for one, other in zip(first.messages, second.messages, strict=True))
    assert watched.counts == [2, 2]
    for each in recipients:
        watched.notifier.remove(each)


async def test_after_a_reload_only_users_that_may_still_look_are_notified() -> None:
    watched, gone, kept = Watched(), FakeRecipient(), FakeRecipient()
    await watched.add(gone, kept)
    gone.allowed = False
    watched.bus.disconnect()
    watched.bus.publish(started())
    await wait_until(lambda: kept.messages)
    assert gone.messages == []
    kept.allowed = False
    watched.bus.disconnect()
    await wait_until(lambda: watched.bus.reader_count == 0)


async def test_events_beyond_the_backlog_of_the_bus_are_not_lost() -> None:
    watched, recipient = Watched(backlog=3), FakeRecipient()
    await watched.add(recipient)
    for number in range(10):
        watched.bus.publish(started(number))
    await wait_until(lambda: len(recipient.messages) == 10)
    watched.notifier.remove(recipient)


async def test_it_ends_with_the_bus() -> None:
    watched, recipient = Watched(), FakeRecipient()
    await watched.add(recipient)
    watched.bus.close()
    await wait_until(lambda: watched.bus.reader_count == 0)
    watched.notifier.add(FakeRecipient())
    watched.notifier.remove(recipient)
