"""Parser of the event stream: server-sent events (HTML standard, section 9.2) to structs.

Pure: no I/O and no clock.
"""

import msgspec

from downloadd.client.connection import decode
from downloadd.fronts.rest.event_types import TYPES_BY_NAME, EventEntry


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """The stream is connected; the active downloads come next, unless it continues where it broke off."""


class Disconnected(msgspec.Struct, frozen=True, kw_only=True):
    """The connection is lost; the client reconnects by itself."""

    reason: str


EventData = EventEntry | Connected | Disconnected


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Change of an active download, end of a download, progress of an import, or change of the connection."""

    data: EventData
    id: str
    """Position in the stream, for `last_event_id`."""


class EventParser:
    """Incremental parser of lines.

    Attributes:
        last_id: Id of the last line that stated one.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, line: bytes) -> Event | None:
        """Parse one line, and return the event that it completes; events of unknown types are ignored.

        Raises:
            InvalidResponseError: The data of an event do not have the expected form.
        """
        line = line.rstrip(b"\r\n")
        if not line:
            return self._finish_event()
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

    def _finish_event(self) -> Event | None:
        row, data = TYPES_BY_NAME.get(self._name), b"\n".join(self._data)
        self._name, self._data = "", []
        return Event(data=decode(data, row.entry), id=self.last_id) if row is not None and data else None
