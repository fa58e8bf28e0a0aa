"""Parser of the event stream."""

import msgspec
import pytest

from downloadd.client.connection import InvalidResponseError
from downloadd.client.events import Event, EventParser
from downloadd.fronts.rest.event_types import EVENT_TYPES, Reset
from downloadd.fronts.rest.schemas import HistoryEntry
from downloadd.states import State

ENTRY = HistoryEntry(
    id="1", filename="f", file_path="d/f", directory="d", url="http://a.example/f", status=State.COMPLETED,
    total_bytes=1, start_time=1, end_time=2, error=None, checksum=None, content_type=None, user="u", detail=None,
    resumed_by=None,
)  # fmt: skip


def feed_lines(*lines: bytes) -> list[Event]:
    parser = EventParser()
    return [event for line in lines if (event := parser.feed(line)) is not None]


def test_lines_become_events_with_any_line_ending() -> None:
    data = msgspec.json.encode(ENTRY)
    assert feed_lines(b"id: 1-2-3\r", b"event: history\r", b"data: " + data + b"\r", b"\r") == [
        Event(data=ENTRY, id="1-2-3")
    ]
    assert feed_lines(b"event:reset", b'data:{"reason":', b'data:"r"}', b"") == [Event(data=Reset(reason="r"), id="")]


def test_comments_and_events_of_newer_daemons_are_ignored() -> None:
    assert feed_lines(b": heartbeat", b"", b"retry: 2000", b"", b"event: news", b'data: {"x": 1}', b"") == []


def test_an_id_without_data_is_recorded() -> None:
    parser = EventParser("0-0-0")
    parser.feed(b"id: 4-5-6")
    assert parser.feed(b"") is None
    assert parser.last_id == "4-5-6"


def test_invalid_data_are_reported() -> None:
    with pytest.raises(InvalidResponseError):
        feed_lines(b"event: history", b"data: {", b"")


def test_every_event_of_the_table_is_parsed() -> None:
    for row in EVENT_TYPES:
        with pytest.raises(InvalidResponseError):
            feed_lines(f"event: {row.name}".encode(), b"data: 1", b"")
