"""Notification of people: a short text through Apprise, which knows the services of its URLs."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from downloadd.config import HookConfig
from downloadd.delivery import Delivery
from downloadd.errors import StartupError
from downloadd.fronts.rest.schemas import HistoryEntry
from downloadd.hooks.outcome import Delivered, DeliveryFailed
from downloadd.hooks.rules import Message
from downloadd.sizes import format_size

_DECODER: Final = msgspec.json.Decoder(Message)
_TYPES: Final = {"completed": "success", "failed": "failure"}
"""Kinds of notifications by the state of the download; others are `info`."""


class Notifier:
    """Sender of notifications."""

    async def send(self, hook: HookConfig, delivery: Delivery) -> Delivered | DeliveryFailed:
        """Notify all URLs of a hook; a failure at one of them repeats the notification at all."""
        entry = _DECODER.decode(delivery.body).data
        try:
            async with asyncio.timeout(hook.timeout):
                # A thread that is given up ends by the timeouts of Apprise.
                is_sent = await asyncio.to_thread(_notify, hook, entry)
        except TimeoutError:
            return DeliveryFailed(reason=f"the services did not answer within {hook.timeout:g} s")
        if is_sent:
            return Delivered(answer="notified")
        return DeliveryFailed(
            reason="a service refused the notification or cannot be reached; check its URL in `notify`"
        )


def check_notify_urls(hooks: Iterable[HookConfig]) -> None:
    """Check that all URLs of the hooks can be notified. Blocks.

    Raises:
        StartupError: Apprise is not installed, or does not know a URL; the message does not repeat it.
    """
    for hook in [each for each in hooks if each.notify]:
        client = _make_client()
        for number, url in enumerate(hook.notify):
            if not client.add(url):
                raise StartupError(f"notify[{number}] of the hook {hook.name} is not a URL of Apprise; correct it")


def describe(entry: HistoryEntry) -> tuple[str, str]:
    """Return title and text of a notification."""
    title = f"Download {entry.status}: {entry.filename}"
    if entry.status != "completed":
        return title, entry.detail or entry.error or entry.url
    size = "" if entry.total_bytes is None else f" ({format_size(entry.total_bytes)})"
    warning = f"\n{entry.warning}" if entry.warning else ""
    return title, f"{entry.file_path}{size}{warning}"


def _notify(hook: HookConfig, entry: HistoryEntry) -> bool:
    client = _make_client()
    for url in hook.notify:
        client.add(url)
    title, text = describe(entry)
    return bool(client.notify(title=title, body=text, notify_type=_TYPES.get(entry.status, "info")))


def _make_client() -> Any:
    """Return a client of Apprise.

    Raises:
        StartupError: it is not installed.
    """
    try:
        # Importing it takes as long as the rest of a start.
        import apprise
    except ModuleNotFoundError as error:
        if error.name != "apprise":
            raise
        raise StartupError(
            "a hook has `notify`, and Apprise is not installed; run: pip install 'downloadd[notifications]'"
        ) from error
    # Its lines repeat URLs, which have secrets.
    logging.getLogger("apprise").disabled = True
    return apprise.Apprise()
