"""The table of events."""

from typing import get_args

import pytest
from support.fake_imports import make_operation
from support.sample_downloads import sample_change, sample_download

from downloadd.events import DownloadEnded, Event, EventId, HistoryRemoved, ImportChanged, SettingsChanged
from downloadd.fronts.rest.event_stream import encode_event
from downloadd.fronts.rest.event_types import (
    EVENT_TYPES,
    TYPES_BY_ENTRY,
    TYPES_BY_NAME,
    TYPES_BY_SOURCE,
    EventEntry,
    Reset,
    describe_event_types,
)
from downloadd.runtime_settings import CurrentSettings

EVENTS: list[Event] = [
    sample_change(),
    DownloadEnded(download=sample_download(ended_seq=1), before=None),
    HistoryRemoved(ids=["a"]),
    ImportChanged(operation=make_operation()),
    SettingsChanged(settings=CurrentSettings(max_concurrent=4, max_per_host=2, speed_limit=0)),
]


def test_every_event_of_the_bus_has_a_row() -> None:
    assert set(TYPES_BY_SOURCE) == set(get_args(Event)) == {type(event) for event in EVENTS}


def test_every_data_struct_has_a_row() -> None:
    assert set(TYPES_BY_ENTRY) == set(get_args(EventEntry))


def test_names_and_data_structs_are_unique() -> None:
    assert len(TYPES_BY_NAME) == len(TYPES_BY_ENTRY) == len(EVENT_TYPES)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_sent_with_the_name_and_data_of_its_row(event: Event) -> None:
    row = TYPES_BY_SOURCE[type(event)]
    assert isinstance(row.make_entry(event), row.entry)
    frame = encode_event(EventId(generation="a", number=1, ended_seq=2), event)
    assert frame.startswith(f"id: a-1-2\nevent: {row.name}\ndata: {{".encode())
    assert frame.endswith(b"}\n\n")
    assert encode_event(None, event) == frame.partition(b"\n")[2]


def test_the_description_names_every_event() -> None:
    for row in EVENT_TYPES:
        assert f"`{row.name}`" in describe_event_types()


def test_a_reset_requires_reading_the_history() -> None:
    assert "read the history" in Reset().reason
    assert TYPES_BY_NAME["reset"].make_entry(None) == Reset()
