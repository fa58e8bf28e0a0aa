"""Parsing of whole responses: the result must not depend on the division of their bytes into packets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from security.malformed_responses import MALFORMED_RESPONSES
from support.parsed_responses import parse_response

from downloadd.origin.framing import is_surplus
from downloadd.origin.message_head import MAX_HEAD_BYTES, MalformedResponseError
from downloadd.origin.response_parser import MAX_INTERIM_RESPONSES, MAX_PRELIMINARY_BYTES, ResponseParser

SHORT = {name: case for name, case in MALFORMED_RESPONSES.items() if len(case.raw) < 2_000}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"


def parse(pieces: list[bytes]) -> tuple[int, bytes] | str:
    """Return status and content of a whole response, or "refused"."""
    parsed = parse_response(pieces)
    if parsed is None or not (parsed.is_complete or parsed.is_ended_by_close) or is_surplus(parsed.behind):
        return "refused"
    return parsed.status, parsed.content


@pytest.mark.parametrize("name", SHORT)
def test_one_byte_at_a_time_has_the_same_result(name: str) -> None:
    raw, outcome = SHORT[name].raw, SHORT[name].outcome
    at_once = parse([raw])
    assert parse([raw[position : position + 1] for position in range(len(raw))]) == at_once
    if isinstance(outcome, bytes):
        assert at_once[1] == outcome


@given(st.sampled_from(sorted(SHORT)), st.lists(st.integers(1, 300), max_size=6))
def test_any_packets_have_the_same_result(name: str, cuts: list[int]) -> None:
    raw = SHORT[name].raw
    at = sorted({0, *(min(cut, len(raw)) for cut in cuts), len(raw)})
    assert parse([raw[begin:end] for begin, end in pairwise(at)]) == parse([raw])


def test_interim_responses_and_empty_lines_are_skipped() -> None:
    parser = ResponseParser()
    assert parser.feed(b"\r\n" + CONTINUE + b"\r\n" + CONTINUE) is None
    head = parser.feed(FINAL + b"abc")
    assert head is not None
    assert (head.status, head.version, head.fields["content-length"], parser.rest) == (200, (1, 1), "3", b"abc")


def test_a_response_begins_with_its_first_byte() -> None:
    parser = ResponseParser()
    parser.feed(b"")
    before = parser.has_input
    parser.feed(b"H")
    assert (before, parser.has_input) == (False, True)


def test_interim_responses_are_bounded() -> None:
    assert ResponseParser().feed(CONTINUE * MAX_INTERIM_RESPONSES + FINAL) is not None
    with pytest.raises(MalformedResponseError, match="too many interim responses"):
        ResponseParser().feed(CONTINUE * (MAX_INTERIM_RESPONSES + 1) + FINAL)


def test_bytes_before_the_final_head_are_bounded() -> None:
    parser = ResponseParser()
    for _ in range(MAX_PRELIMINARY_BYTES // 1024):
        assert parser.feed(b"\r\n" * 512) is None
    with pytest.raises(MalformedResponseError, match="too many bytes before the final response"):
        parser.feed(b"\r\n")


def test_a_head_is_bounded() -> None:
    with pytest.raises(MalformedResponseError, match="too long a head"):
        ResponseParser().feed(b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD_BYTES)


@pytest.mark.parametrize("raw", [b"ICY 200 OK\r\n\r\n", b"X", b"<html>", b"HTTP/1.1 2000 OK\r\n\r\n"])
def test_another_protocol_is_refused_with_its_first_bytes(raw: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        ResponseParser().feed(raw)
