"""The events of `GET /api/v1/events` as one table: name, source and data of each.

The stream, the clients, `downloadctl` and the OpenAPI document read it. Pure: no I/O and no clock.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from downloadd.events import DownloadChanged, DownloadEnded, Event, HistoryRemoved, ImportChanged, SettingsChanged
from downloadd.fronts.rest.entries import make_active_entry, make_history_entry
from downloadd.fronts.rest.schemas import ActiveEntry, HistoryEntry
from downloadd.fronts.rocketchat.schemas import OperationEntry
from downloadd.fronts.rocketchat.translation import make_operation_entry
from downloadd.runtime_settings import CurrentSettings


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """Data of a `removed` event."""

    ids: list[str]
    """Ids of downloads that are not in the history any more."""


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """Data of a `reset` event: the stream does not repeat all that was missed; read the history."""

    reason: str = "too many downloads ended since Last-Event-ID; read the history"


EventEntry = ActiveEntry | HistoryEntry | Removed | CurrentSettings | OperationEntry | Reset
"""Data of any event."""


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table of events."""

    name: str
    """The `event` field of the stream."""
    source: type[Event] | None
    """Event of the bus that it reports; None if the stream makes it."""
    entry: type[EventEntry]
    """Struct of its data."""
    make_entry: Callable[[Any], EventEntry]
    """Conversion of the source to the data."""
    description: str
    """Its data, for the API's description."""
    occasion: str
    """Occasion on which it is sent, for the reference."""


EVENT_TYPES: Final = (
    EventType(
        name="download",
        source=DownloadChanged,
        entry=ActiveEntry,
        make_entry=lambda event: make_active_entry(event.snapshot),
        description="the entry of a listing",
        occasion="a download started or changed its state; once a second while it receives bytes",
    ),
    EventType(
        name="history",
        source=DownloadEnded,
        entry=HistoryEntry,
        make_entry=lambda event: make_history_entry(event.download),
        description="the entry of the history",
        occasion="a download finished",
    ),
    EventType(
        name="removed",
        source=HistoryRemoved,
        entry=Removed,
        make_entry=lambda event: Removed(ids=event.ids),
        description="the ids of downloads that were removed from the history",
        occasion="a user removed entries of the history, or `[history]` keeps them no longer",
    ),
    EventType(
        name="import",
        source=ImportChanged,
        entry=OperationEntry,
        make_entry=lambda event: make_operation_entry(event.operation),
        description="an import operation",
        occasion="an import made progress; the data are those of `getCurrentImportOperation`",
    ),
    EventType(
        name="settings",
        source=SettingsChanged,
        entry=CurrentSettings,
        make_entry=lambda event: event.settings,
        description="the limits on all downloads",
        occasion="a user changed them, or hours of `[[limits]]` began or ended; after a reload, which may change them "
        "too, the stream ends and clients connect "
        "again",
    ),
    EventType(
        name="reset",
        source=None,
        entry=Reset,
        make_entry=lambda _: Reset(),
        description="the request to read the history, because the stream does not repeat all that was missed",
        occasion="since `Last-Event-ID`, more downloads finished than the stream repeats, or entries of the history "
        "were removed",
    ),
)

TYPES_BY_NAME: Final[Mapping[str, EventType]] = {row.name: row for row in EVENT_TYPES}
TYPES_BY_SOURCE: Final[Mapping[type, EventType]] = {row.source: row for row in EVENT_TYPES if row.source is not None}
TYPES_BY_ENTRY: Final[Mapping[type, EventType]] = {row.entry: row for row in EVENT_TYPES}


def describe_event_types() -> str:
    """Return one sentence about all events, for the API's description."""
    return "; ".join(f"`{row.name}` event: {row.description}" for row in EVENT_TYPES)
