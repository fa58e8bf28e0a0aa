"""The event stream: server-sent events (the HTML standard, section 9.2) to structs.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.client.connection import decode
from downloadd.fronts.rest.schemas import ActiveEntry, HistoryEntry
from downloadd.fronts.rocketchat.schemas import OperationEntry


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """So much has ended since the last event that the history has to be read."""

    reason: str


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """From here on everything is told; what is active comes next, unless the stream goes on where it broke off."""


class Disconnected(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is told until the next `Connected`, which is tried for."""

    reason: str


EventData = ActiveEntry | HistoryEntry | OperationEntry | Reset | Connected | Disconnected


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened: to an active download, by the end of one, to an import, or to the connection itself."""

    data: EventData
    id: str
    """The place in the stream, to come back to with `last_event_id`."""


_EVENT_TYPES: Final[dict[str, type[EventData]]] = {
    "download": ActiveEntry,
    "history": HistoryEntry,
    "import": OperationEntry,
    "reset": Reset,
}


class EventParser:
    """Puts lines together to events; `last_id` is the place that has been reached."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, line: bytes) -> Event | None:
        """Takes one line; gives the event that it ends. Events of unknown kinds are left out.

        Raises:
            InvalidResponseError: the data of an event are not as they must be.
        """
        line = line.rstrip(b"\r\n")
        if not line:
            name, data = self._name, b"\n".join(self._data)
            self._name, self._data = "", []
            kind = _EVENT_TYPES.get(name)
            return Event(data=decode(data, kind), id=self.last_id) if kind is not None and data else None
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"event":
                self._name = value.decode("utf-8", "replace")
            case b"data":
                self._data.append(value)
            case b"id":
                self.last_id = value.decode("utf-8", "replace")
        return None
