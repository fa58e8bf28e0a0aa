"""Selection of the hooks that receive a message about a finished download, and the message.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from downloadd.config import HookConfig
from downloadd.delivery import Delivery
from downloadd.download import Download
from downloadd.errors import InvalidPathError
from downloadd.fronts.rest.entries import make_history_entry
from downloadd.fronts.rest.schemas import HistoryEntry
from downloadd.policy.directories import is_below
from downloadd.states import State
from downloadd.storage.names import parse_filename, sanitize_directory, sanitize_name

_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """JSON message to a hook, in the envelope of the Standard Webhooks specification."""

    id: str
    """Id of this end of this download."""
    type: str
    """`download.` and the final state."""
    timestamp: datetime
    """Time of the end."""
    data: HistoryEntry
    """Entry of the history."""


class HookRules:
    """Rules of all configured hooks."""

    __slots__ = ("_hooks",)

    def __init__(self, hooks: Iterable[HookConfig]) -> None:
        self._hooks = tuple(hooks)

    @property
    def names(self) -> Sequence[str]:
        """Return the names of all hooks."""
        return [hook.name for hook in self._hooks]

    def deliveries(self, download: Download, now: float) -> Sequence[Delivery]:
        """Return the deliveries about a finished download; `now` is Unix time. It never raises."""
        download = with_safe_path(download)
        subscribed = [hook for hook in self._hooks if is_subscribed(hook, download)]
        if not subscribed:
            return ()
        event_id = make_event_id(download)
        body = encode_message(download, event_id)
        return [
            Delivery(event_id=event_id, hook=hook.name, download_id=download.id, body=body, created=now, due=now)
            for hook in subscribed
        ]

    def names_for(self, download: Download) -> Sequence[str]:
        """Return the names of the hooks that act once a download is completed."""
        completed = msgspec.structs.replace(download, state=State.COMPLETED)
        return [hook.name for hook in self._hooks if is_subscribed(hook, completed)]


def with_safe_path(download: Download) -> Download:
    """Return the download with a path that a program can use safely.

    Directory and name of a refused request are unchecked text from a client.
    """
    # Only a refused request has no origin.
    if download.progress.origin:
        return download
    try:
        name = parse_filename(download.filename)
    except InvalidPathError:
        name = sanitize_name(download.filename)
    return msgspec.structs.replace(
        download.with_request(directory=sanitize_directory(download.request.directory)), filename=name
    )


def is_subscribed(hook: HookConfig, download: Download) -> bool:
    """Return True if a hook receives a message about a finished download."""
    if hook.needs_file and download.state is not State.COMPLETED:
        return False
    return download.state.value in hook.events and is_below(download.request.directory, hook.directory)


def make_event_id(download: Download) -> str:
    """Return the id of an end; a download that is retried gets another one at its next end."""
    return f"{download.id}.{download.result.ended_seq}"


def encode_message(download: Download, event_id: str) -> bytes:
    """Return the message about a finished download."""
    message = Message(
        id=event_id,
        type=f"download.{download.state.value}",
        timestamp=datetime.fromtimestamp(download.result.end_time or download.start_time, UTC),
        data=make_history_entry(download),
    )
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError:
        # Header fields of an origin can contain any byte and are decoded to text with lone surrogates.
        texts = {
            name: _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", value)
            for name, value in msgspec.structs.asdict(message.data).items()
            if type(value) is str
        }
        return msgspec.json.encode(
            msgspec.structs.replace(message, data=msgspec.structs.replace(message.data, **texts))
        )
