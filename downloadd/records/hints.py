"""Hints between the nodes that share a store: something has changed, which they may read at once.

A hint can be lost. Each reader also looks by itself, about as often as heartbeats are sent.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Final, Protocol, Self

HintListener = Callable[[Sequence[str]], None]
"""Receives the ids of the downloads that have changed; without any, all may have."""


class Topic(StrEnum):
    """What has changed."""

    ENDS = "ends"
    """Downloads have ended."""
    DESIRED = "desired"
    """Users have changed running downloads, with their ids."""
    QUEUE = "queue"
    """Downloads wait that did not wait before, or in another order."""
    CHANGED = "changed"
    """Active downloads have changed their states or what users want of them."""
    REMOVED = "removed"
    """Downloads were removed from the history."""
    IMPORTS = "imports"
    """Users have changed imports."""
    LIMITS = "limits"
    """Users have changed limits over all nodes."""
    USERS = "users"
    """Administrators have changed users."""


class Hints(Protocol):
    """Hints from this node to the others and back."""

    def send(self, topic: Topic, ids: Sequence[str] = ()) -> None:
        """Send a hint to the other nodes soon, together with those of the same moment; never waits and never fails."""
        ...

    def subscribe(self, topic: Topic, listener: HintListener) -> None:
        """Call `listener` on the event loop with the hints of other nodes, and when some may have been lost."""
        ...


class NoHints:
    """`Hints` of a store that only this node can use. Opens and closes with `async with`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def send(self, topic: Topic, ids: Sequence[str] = ()) -> None:
        """Do nothing."""

    def subscribe(self, topic: Topic, listener: HintListener) -> None:
        """Do nothing."""


class PendingHints:
    """Hints that wait to be sent together."""

    def __init__(self) -> None:
        # None for all downloads.
        self._topics: dict[Topic, dict[str, None] | None] = {}

    def __bool__(self) -> bool:
        return bool(self._topics)

    def add(self, topic: Topic, ids: Sequence[str]) -> None:
        """Add a hint."""
        known = self._topics.setdefault(topic, {})
        if not ids:
            self._topics[topic] = None
        elif known is not None:
            known |= dict.fromkeys(ids)

    def take(self) -> dict[Topic, Sequence[str]]:
        """Return all hints, one for each topic; one with more than `MAX_HINT_IDS` downloads is for all of them."""
        topics, self._topics = self._topics, {}
        return {topic: () if ids is None or len(ids) > MAX_HINT_IDS else tuple(ids) for topic, ids in topics.items()}


MAX_HINT_IDS: Final = 5_000
"""Downloads that a hint names; one about more is for all of them."""
MAX_MESSAGE_IDS: Final = 100
"""Downloads in one message of a hint; a message of PostgreSQL has less than 8,000 bytes."""


def encode_hint(session: str, topic: Topic, ids: Sequence[str]) -> list[str]:
    """Return the messages of a hint; `session` is that of its sender."""
    starts = range(0, max(len(ids), 1), MAX_MESSAGE_IDS)
    return [" ".join((session, topic, *ids[start : start + MAX_MESSAGE_IDS])) for start in starts]


def decode_hint(message: str, own_session: str) -> tuple[Topic, Sequence[str]] | None:
    """Return topic and ids of a message; None for one of this session, or of a topic that is not known here."""
    session, *words = message.split(" ")
    if session == own_session or not words or words[0] not in list(Topic):
        return None
    return Topic(words[0]), words[1:]
