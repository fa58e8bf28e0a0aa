from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.origin.message_head import MalformedResponseError, find_head_end, parse_message_head, split_head

STATUS_LINE = b"HTTP/1.1 200 OK\r\n"


def join(start: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    """Return a head in its strict form."""
    return b"\r\n".join([start, *(b"%s: %s" % field for field in fields), b"", b""])


def normalize(head: bytes) -> bytes:
    return join(*split_head(head))


@pytest.mark.parametrize(
    ("head", "normalized"),
    [
        pytest.param(STATUS_LINE + b"\r\n", STATUS_LINE + b"\r\n", id="no field"),
        pytest.param(STATUS_LINE + b"A: b\r\n\r\n", STATUS_LINE + b"A: b\r\n\r\n", id="one field"),
        pytest.param(b"HTTP/1.1 200\r\n\r\n", b"HTTP/1.1 200\r\n\r\n", id="no reason"),
        pytest.param(b"HTTP/1.1 200 OK\nA: b\n\n", STATUS_LINE + b"A: b\r\n\r\n", id="line feeds alone"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\n\r\n", STATUS_LINE + b"A: b\r\n\r\n", id="some line feeds alone"),
        pytest.param(STATUS_LINE + b"A:b \t\r\n\r\n", STATUS_LINE + b"A: b\r\n\r\n", id="blanks around a value"),
        pytest.param(STATUS_LINE + b"A \t: b\r\n\r\n", STATUS_LINE + b"A: b\r\n\r\n", id="blanks before a colon"),
        pytest.param(STATUS_LINE + b"A: b\r\n  c\r\n\td\r\n\r\n", STATUS_LINE + b"A: b   c \td\r\n\r\n", id="folded"),
        pytest.param(STATUS_LINE + b"A: b\r\n \r\n\r\n", STATUS_LINE + b"A: b\r\n\r\n", id="folded, with nothing"),
        pytest.param(STATUS_LINE + b"A: b\x01\x7fc\r\n\r\n", STATUS_LINE + b"A: b  c\r\n\r\n", id="controls"),
        pytest.param(STATUS_LINE + b"A: \xff\r\n\r\n", STATUS_LINE + b"A: \xff\r\n\r\n", id="octets"),
        pytest.param(
            STATUS_LINE + b"A: b\r\na: c\r\n\r\n", STATUS_LINE + b"A: b\r\na: c\r\n\r\n", id="any field twice"
        ),
        pytest.param(
            STATUS_LINE + b"Server: a\r\nserver: b\r\n\r\n", STATUS_LINE + b"Server: a\r\n\r\n", id="the first counts"
        ),
        pytest.param(
            STATUS_LINE + b'ETag: "a"\r\nX: y\r\nETag: "b"\r\n\r\n', STATUS_LINE + b"X: y\r\n\r\n", id="contradiction"
        ),
        pytest.param(
            STATUS_LINE + b'ETag: "a"\r\nEtag:"a"\r\n\r\n', STATUS_LINE + b'ETag: "a"\r\n\r\n', id="said twice"
        ),
        pytest.param(
            STATUS_LINE + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
            STATUS_LINE + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
            id="the parser refuses these itself",
        ),
        pytest.param(
            STATUS_LINE + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
            STATUS_LINE + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
            id="and these",
        ),
    ],
)
def test_a_head_gets_its_strict_form(head: bytes, normalized: bytes) -> None:
    assert find_head_end(head) == len(head)
    assert normalize(head) == normalized
    assert normalize(normalized) == normalized


@pytest.mark.parametrize(
    "head",
    [
        b"ICY 200 OK\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 200 O\0K\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\n\r\n",
        STATUS_LINE + b" \r\nA: b\r\n\r\n",
        STATUS_LINE + b" A: b\r\n\r\n",
        STATUS_LINE + b"A\r\n\r\n",
        STATUS_LINE + b": b\r\n\r\n",
        STATUS_LINE + b"A b: c\r\n\r\n",
        STATUS_LINE + b"A\xc3\xa4: c\r\n\r\n",
        STATUS_LINE + b"A: b\0\r\n\r\n",
        STATUS_LINE + b"A: b\rc\r\n\r\n",
        STATUS_LINE + b"A: b\r\r\n\r\n",
        STATUS_LINE + b"A: b\r\n" * 1_000 + b"\r\n",
        STATUS_LINE + b"A: b\r\n" + b" \r\n" * 1_000 + b"\r\n",
    ],
)
def test_an_ambiguous_head_is_refused(head: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        parse_message_head(head)


@given(st.binary(max_size=200) | st.text(" \t\r\n:ab\0\x01", max_size=60).map(str.encode))
def test_any_head_is_normalized_or_refused(data: bytes) -> None:
    with suppress(MalformedResponseError):
        normalized = normalize(STATUS_LINE + data)
        assert normalized.count(b"\r\n\r\n") == 1
        assert find_head_end(normalized) == len(normalized)
        assert normalize(normalized) == normalized


@given(st.text("\r\nab", max_size=30).map(str.encode), st.integers(0, 30))
def test_the_end_is_found_from_any_earlier_position(data: bytes, begin: int) -> None:
    end = find_head_end(data)
    if end is None or end > begin:
        assert find_head_end(data, min(begin, len(data))) == end


@pytest.mark.parametrize(
    ("line", "version", "status"),
    [
        (b"HTTP/1.1 200 OK", (1, 1), 200),
        (b"HTTP/1.0 404", (1, 0), 404),
        (b"HTTP/1.1 206 ", (1, 1), 206),
        (b"HTTP/2.0 999 Any \xff reason", (2, 0), 999),
    ],
)
def test_a_status_line_is_parsed(line: bytes, version: tuple[int, int], status: int) -> None:
    head = parse_message_head(line + b"\r\nA: b\r\na: \xff\r\n\r\n")
    assert (head.version, head.status, head.fields.getall("A")) == (version, status, ["b", "\udcff"])


@pytest.mark.parametrize(
    "line",
    [
        *(b"HTTP/1.1", b"HTTP/1.1 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1 20", b"HTTP/1.1 2000", b"HTTP/1.1 099"),
        *(b"HTTP/11 200", b"HTTP/1.1\t200", b"HTTP/1.1 200OK", b"HTTP/1.1 +20", "HTTP/1.1 2\u06610".encode()),
    ],
)
def test_a_malformed_status_line_is_refused(line: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        parse_message_head(line + b"\r\n\r\n")
