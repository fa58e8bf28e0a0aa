from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.transfer.head_normalization import MalformedHeadError, find_head_end, normalize_head

STATUS_LINE = b"HTTP/1.1 200 OK\r\n"


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
    assert normalize_head(head) == normalized
    assert normalize_head(normalized) == normalized


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
    with pytest.raises(MalformedHeadError):
        normalize_head(head)


@given(st.binary(max_size=200) | st.text(" \t\r\n:ab\0\x01", max_size=60).map(str.encode))
def test_any_head_is_normalized_or_refused(data: bytes) -> None:
    with suppress(MalformedHeadError):
        normalized = normalize_head(STATUS_LINE + data)
        assert normalized.count(b"\r\n\r\n") == 1
        assert find_head_end(normalized) == len(normalized)
        assert normalize_head(normalized) == normalized


@given(st.text("\r\nab", max_size=30).map(str.encode), st.integers(0, 30))
def test_the_end_is_found_from_any_earlier_position(data: bytes, begin: int) -> None:
    end = find_head_end(data)
    if end is None or end > begin:
        assert find_head_end(data, min(begin, len(data))) == end
