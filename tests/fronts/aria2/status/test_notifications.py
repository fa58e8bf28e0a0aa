"""Notifications about downloads, by the states before and after."""

import pytest
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.download import Download, Snapshot
from downloadd.events import DownloadChanged, DownloadEnded, HistoryRemoved
from downloadd.fronts.aria2.status.interruptions import Interruptions
from downloadd.fronts.aria2.status.notifications import NotificationMethod, notification_of
from downloadd.states import ACTIVE, FINISHED, RUNNING, State

DOWNLOAD = sample_download(seq=3)


def notified(
    before: State | None, after: State, *, download: Download = DOWNLOAD, interruptions: Interruptions | None = None
) -> str | None:
    download = with_fields(download, state=after)
    event = (
        DownloadEnded(download=download, before=before)
        if after in FINISHED
        else DownloadChanged(snapshot=Snapshot(download=download), before=before)
    )
    notification = notification_of(event, interruptions or Interruptions())
    if notification is None:
        return None
    assert notification.gid == download.gid
    return notification.method.value


@pytest.mark.parametrize(
    ("before", "after", "method"),
    [
        (None, State.QUEUED, None),
        (None, State.PAUSED, None),
        (None, State.FAILED, None),
        (State.QUEUED, State.STARTING, "aria2.onDownloadStart"),
        (State.QUEUED, State.DOWNLOADING, "aria2.onDownloadStart"),
        (State.STARTING, State.DOWNLOADING, None),
        (State.DOWNLOADING, State.DOWNLOADING, None),
        (State.DOWNLOADING, State.VERIFYING, None),
        (State.DOWNLOADING, State.RETRYING, None),
        (State.RETRYING, State.DOWNLOADING, None),
        (State.RETRYING, State.QUEUED, None),
        (State.DOWNLOADING, State.QUEUED, None),
        (State.FAILED, State.QUEUED, None),
        (State.CANCELLED, State.QUEUED, None),
        (State.PAUSED, State.QUEUED, None),
        (State.PAUSED, State.PAUSED, None),
        (State.QUEUED, State.PAUSED, "aria2.onDownloadPause"),
        (State.DOWNLOADING, State.PAUSED, "aria2.onDownloadPause"),
        (State.RETRYING, State.PAUSED, "aria2.onDownloadPause"),
        (State.VERIFYING, State.COMPLETED, "aria2.onDownloadComplete"),
        (State.STARTING, State.SKIPPED, "aria2.onDownloadComplete"),
        (State.DOWNLOADING, State.FAILED, "aria2.onDownloadError"),
        (State.QUEUED, State.FAILED, "aria2.onDownloadError"),
        (State.DOWNLOADING, State.CANCELLED, "aria2.onDownloadStop"),
        (State.RETRYING, State.CANCELLED, "aria2.onDownloadStop"),
        (State.QUEUED, State.CANCELLED, None),
        (State.PAUSED, State.CANCELLED, None),
    ],
)
def test_a_change_of_state_has_a_notification_or_none(before: State | None, after: State, method: str | None) -> None:
    assert notified(before, after) == method


@pytest.mark.parametrize(
    ("after", "method"),
    [
        (State.COMPLETED, "aria2.onDownloadComplete"),
        (State.FAILED, "aria2.onDownloadError"),
        (State.CANCELLED, "aria2.onDownloadStop"),
    ],
)
def test_an_end_that_another_process_recorded_is_told_if_the_download_has_run(after: State, method: str) -> None:
    assert notified(None, after, download=with_fields(DOWNLOAD, epoch=1)) == method
    assert notified(None, after, download=with_fields(DOWNLOAD, epoch=0)) is None


def test_progress_has_none() -> None:
    for state in ACTIVE:
        assert notified(state, state) is None


def test_every_removal_of_an_active_download_is_told() -> None:
    for state in RUNNING:
        assert notified(state, State.CANCELLED) == NotificationMethod.STOP.value


@pytest.mark.parametrize("running", sorted(RUNNING))
def test_a_start_after_an_interruption_is_not_told(running: State) -> None:
    known, before, after = Interruptions(), with_fields(DOWNLOAD, epoch=3), with_fields(DOWNLOAD, epoch=4)
    assert notified(running, State.QUEUED, download=before, interruptions=known) is None
    assert notified(State.QUEUED, State.STARTING, download=after, interruptions=known) is None
    # Only the next one.
    assert notified(State.QUEUED, State.STARTING, download=after, interruptions=known) == NotificationMethod.START.value


@pytest.mark.parametrize(
    ("before", "after"), [(State.QUEUED, State.PAUSED), (State.QUEUED, State.CANCELLED), (State.QUEUED, State.FAILED)]
)
def test_a_start_after_a_pause_or_an_end_is_told_though_there_was_an_interruption(before: State, after: State) -> None:
    known, first, second = Interruptions(), with_fields(DOWNLOAD, epoch=3), with_fields(DOWNLOAD, epoch=4)
    notified(State.DOWNLOADING, State.QUEUED, download=first, interruptions=known)
    notified(before, after, download=first, interruptions=known)
    assert (
        notified(State.QUEUED, State.STARTING, download=second, interruptions=known) == NotificationMethod.START.value
    )


def test_other_events_have_none() -> None:
    assert notification_of(HistoryRemoved(ids=["x"]), Interruptions()) is None


def test_the_names_are_those_of_aria2() -> None:
    assert [method.value for method in NotificationMethod] == [
        "aria2.onDownloadStart",
        "aria2.onDownloadPause",
        "aria2.onDownloadStop",
        "aria2.onDownloadComplete",
        "aria2.onDownloadError",
        "aria2.onBtDownloadComplete",
    ]
