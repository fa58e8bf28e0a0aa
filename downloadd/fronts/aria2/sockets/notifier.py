"""Notifications: events of the bus to the WebSockets that may receive them."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from downloadd.events import Event, EventBus
from downloadd.fronts.aria2.wire.json_rpc import encode_notification


class Notification(Protocol):
    """Notification about one download."""

    @property
    def method(self) -> str:
        """The name of the notification, such as `aria2.onDownloadStart`."""
        ...

    @property
    def gid(self) -> str:
        """The gid of the download."""
        ...


class Recipient(Protocol):
    """One WebSocket."""

    def may_be_notified(self) -> bool:
        """Return True if it may still receive notifications; users may have changed."""
        ...

    def notify(self, message: bytes) -> None:
        """Send an encoded notification, without waiting."""
        ...


class Notifier:
    """Subscriber of the bus for all WebSockets; it subscribes only while there is one that may receive notifications.

    Publishers omit the progress of downloads that no one watches.
    """

    def __init__(
        self, bus: EventBus, notification_of: Callable[[Event], Notification | None], on_notified: Callable[[int], None]
    ) -> None:
        """Take the parts.

        Args:
            bus: the events.
            notification_of: returns the notification of an event; None for an event without one.
            on_notified: called with the number of WebSockets that a notification is sent to.
        """
        self._bus = bus
        self._notification_of = notification_of
        self._on_notified = on_notified
        self._recipients: set[Recipient] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, recipient: Recipient) -> None:
        """Send notifications to a WebSocket from now on."""
        self._recipients.add(recipient)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def remove(self, recipient: Recipient) -> None:
        """Send no further notification to a WebSocket."""
        self._recipients.discard(recipient)
        self._stop_without_recipients()

    async def _run(self) -> None:
        position = None
        while True:
            with self._bus.subscribe(position) as subscription:
                if subscription.is_closed:
                    # The daemon stops.
                    return
                position = subscription.start
                for published in subscription.missed or ():
                    self._notify(published.event)
                while events := await subscription.receive():
                    for published in events:
                        self._notify(published.event)
                    position = events[-1].id
            # The bus has disconnected its readers: users have changed, or there were too many events at once.
            self._recipients = {each for each in self._recipients if each.may_be_notified()}
            self._stop_without_recipients()

    def _notify(self, event: Event) -> None:
        notification = self._notification_of(event)
        if notification is None:
            return
        message = encode_notification(notification.method, notification.gid)
        self._on_notified(len(self._recipients))
        # A copy: one that does not read is removed meanwhile.
        for recipient in tuple(self._recipients):
            recipient.notify(message)

    def _stop_without_recipients(self) -> None:
        if not self._recipients and self._task is not None:
            self._task.cancel()
            self._task = None
