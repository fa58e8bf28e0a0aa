"""Notifications about downloads, made from their events.

Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from downloadd.download import Download
from downloadd.events import DownloadChanged, DownloadEnded, Event
from downloadd.fronts.aria2.status.interruptions import Interruptions
from downloadd.fronts.aria2.status.status import ACTIVE_STATES, STATUS_OF_STATE, Status
from downloadd.states import RUNNING, State


class NotificationMethod(StrEnum):
    """Method of a notification, in the order of `system.listNotifications`."""

    START = "aria2.onDownloadStart"
    """It begins to run: for the first time, or after a pause or its end."""
    PAUSE = "aria2.onDownloadPause"
    STOP = "aria2.onDownloadStop"
    """It was removed while it was active."""
    COMPLETE = "aria2.onDownloadComplete"
    ERROR = "aria2.onDownloadError"
    """It has ended with an error."""
    BT_COMPLETE = "aria2.onBtDownloadComplete"
    """Never sent: there is no BitTorrent."""


_OF_END: Final[Mapping[Status, NotificationMethod]] = MappingProxyType(
    {
        Status.COMPLETE: NotificationMethod.COMPLETE,
        Status.ERROR: NotificationMethod.ERROR,
        Status.REMOVED: NotificationMethod.STOP,
    }
)


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One notification."""

    method: NotificationMethod
    gid: str


def notification_of(event: Event, interruptions: Interruptions) -> Notification | None:
    """Return the notification of an event; most have none: progress, further attempts, and refused requests."""
    match event:
        case DownloadChanged(snapshot=snapshot, before=before):
            download, method = snapshot.download, _of_change(before, snapshot.download, interruptions)
        case DownloadEnded(download=download, before=before):
            interruptions.remove(download)
            method = _of_end(before, download)
        case _:
            return None
    return None if method is None else Notification(method=method, gid=download.gid)


def _of_change(before: State | None, download: Download, interruptions: Interruptions) -> NotificationMethod | None:
    after = download.state
    if before is None or before is after:
        # A download that starts paused was not paused.
        return None
    if after in ACTIVE_STATES and before in {State.QUEUED, State.PAUSED}:
        return None if interruptions.remove(download) else NotificationMethod.START
    if after is State.PAUSED:
        interruptions.remove(download)
        return NotificationMethod.PAUSE
    if after is State.QUEUED and before in RUNNING:
        # It waits for another source, for space, or for a slot after a change of its requests.
        interruptions.add(download)
    return None


def _of_end(before: State | None, download: Download) -> NotificationMethod | None:
    if before is None and download.epoch == 0:
        # Its request was refused, or it never ran in another process.
        return None
    status = STATUS_OF_STATE[download.state]
    if status is Status.REMOVED and before is not None and before not in ACTIVE_STATES:
        return None
    return _OF_END[status]
