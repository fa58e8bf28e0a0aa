import msgspec
import pytest

from downloadd.client.connection import InvalidResponseError, format_directory, format_query, parse_error_response
from downloadd.client.events import Event, EventParser
from downloadd.fronts.rest.event_types import Reset
from downloadd.fronts.rest.schemas import HistoryEntry
from downloadd.states import State

PAST = HistoryEntry(
    id="1", filename="f", file_path="d/f", directory="d", url="http://a.example/f", status=State.COMPLETED,
    total_bytes=1, start_time=1, end_time=2, error=None, checksum=None, content_type=None, user="u", detail=None,
)  # fmt: skip


def feed_lines(*lines: bytes) -> list[Event]:
    parser = EventParser()
    return [event for line in lines if (event := parser.feed(line)) is not None]


def test_lines_become_events_in_whatever_form_they_end() -> None:
    data = msgspec.json.encode(PAST)
    assert feed_lines(b"id: 1-2-3\r", b"event: history\r", b"data: " + data + b"\r", b"\r") == [
        Event(data=PAST, id="1-2-3")
    ]
    assert feed_lines(b"event:reset", b'data:{"reason":', b'data:"r"}', b"") == [Event(data=Reset(reason="r"), id="")]


def test_comments_and_kinds_of_newer_daemons_are_left_out() -> None:
    assert feed_lines(b": heartbeat", b"", b"retry: 2000", b"", b"event: news", b'data: {"x": 1}', b"") == []


def test_the_place_is_kept_when_nothing_was_said_there() -> None:
    parser = EventParser("0-0-0")
    parser.feed(b"id: 4-5-6")
    assert parser.feed(b"") is None
    assert parser.last_id == "4-5-6"


def test_data_that_are_none_are_said_to_be_so() -> None:
    with pytest.raises(InvalidResponseError):
        feed_lines(b"event: history", b"data: {", b"")


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        (b'{"error": "INVALID_URL", "detail": "x"}', "INVALID_URL", "x"),
        (b'{"error": "Not allowed [error-unauthorized]"}', "error-unauthorized", "Not allowed"),
        (b"<html>", "HTTP_502", None),
        (b'{"error": 5}', "HTTP_502", None),
        (b"[]", "HTTP_502", None),
        (b"\xff", "HTTP_502", None),
    ],
)
def test_whatever_refuses_is_told_with_a_code(body: bytes, code: str, detail: str | None) -> None:
    error = parse_error_response(502, body, "7")
    assert (error.code, error.detail, error.retry_after) == (code, detail, 7)


def test_queries_and_directories_are_encoded_once() -> None:
    assert format_query({"a": "x&y", "b": None, "c": ["1", "2"], "d": 0}) == "a=x%26y&c=1&c=2&d=0"
    assert format_directory("/a b//c%2Fd/") == "a%20b%2Fc%252Fd"
    assert format_directory("..") == "%2F.."
