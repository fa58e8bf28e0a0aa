"""Notification of changes and ends."""

import pytest
from structlog.testing import capture_logs
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.download import Snapshot
from downloadd.errors import ErrorCode
from downloadd.events import DownloadChanged, DownloadEnded, EventBus
from downloadd.manager.notifier import Notifier
from downloadd.metrics import GaugeSnapshot, Metrics
from downloadd.states import State

ENDED = sample_download(1, state=State.COMPLETED, total=5, end_time=8, ended_seq=3)


@pytest.fixture
def bus() -> EventBus:
    return EventBus()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def notifier(bus: EventBus, metrics: Metrics) -> Notifier:
    return Notifier(bus, metrics.downloads)


def rendered(metrics: Metrics) -> str:
    return metrics.render(GaugeSnapshot(active={}))[0].decode()


async def test_changes_and_ends_are_published_in_order(notifier: Notifier, bus: EventBus) -> None:
    watched = [notifier.is_watched]
    with bus.subscribe() as subscription:
        watched.append(notifier.is_watched)
        notifier.publish_changed(Snapshot(download=sample_download(1)), before=None)
        notifier.publish_ended(DownloadEnded(download=ENDED, before=State.VERIFYING))
        events = [published.event for published in await subscription.receive()]
    assert events == [
        DownloadChanged(snapshot=Snapshot(download=sample_download(1)), before=None),
        DownloadEnded(download=ENDED, before=State.VERIFYING),
    ]
    assert watched == [False, True]


async def test_an_end_is_logged_with_its_outcome_and_without_credentials(notifier: Notifier) -> None:
    with capture_logs() as lines:
        notifier.count_ended(with_fields(ENDED, url="https://u:secret@files.example.com/a"))
    [line] = lines
    assert (line["event"], line["outcome"], line["size"], line["path"]) == ("download_ended", State.COMPLETED, 5, "a")
    assert "secret" not in repr(line)


async def test_a_clock_that_was_set_back_does_not_count_a_negative_time(notifier: Notifier, metrics: Metrics) -> None:
    notifier.count_ended(with_fields(ENDED, start_time=100, end_time=50))
    assert 'seconds_sum{outcome="completed"} -' not in rendered(metrics)
    assert "-50" not in rendered(metrics)


async def test_the_newest_end_of_the_records_is_the_position_of_the_bus(notifier: Notifier, bus: EventBus) -> None:
    notifier.record_ended_seq(7)
    assert bus.position.ended_seq == 7


async def test_an_end_wakes_those_who_wait_for_it(notifier: Notifier) -> None:
    waiter, other = notifier.ends.add(ENDED.id), notifier.ends.add(sample_download(2).id)
    notifier.publish_ended(DownloadEnded(download=ENDED, before=State.VERIFYING))
    assert (await waiter, other.done()) == (ENDED, False)


async def test_the_time_in_the_queue_is_counted_for_the_first_attempt_alone(
    notifier: Notifier, metrics: Metrics
) -> None:
    def queue_seconds() -> list[str]:
        return [line for line in rendered(metrics).splitlines() if "wait" in line and "_count" in line]

    before = queue_seconds()
    notifier.count_attempt(with_fields(sample_download(1), epoch=2), now=50)
    assert queue_seconds() == before
    notifier.count_attempt(with_fields(sample_download(1), epoch=1), now=50)
    assert queue_seconds() != before


async def test_failed_attempts_received_bytes_and_accepted_downloads_are_counted(
    notifier: Notifier, metrics: Metrics
) -> None:
    before = rendered(metrics)
    notifier.count_failed_attempt(ErrorCode.NETWORK_ERROR)
    notifier.count_received(1234)
    notifier.count_accepted(7)
    changed = set(rendered(metrics).splitlines()) - set(before.splitlines())
    values = {line.rpartition(" ")[2] for line in changed}
    assert {"1.0", "1234.0", "7.0"} <= values
