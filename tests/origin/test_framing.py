"""Framing of contents: the decoders, and the choice between them."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from downloadd.origin.framing import (
    MAX_CHUNK_LINE_BYTES,
    MAX_TRAILER_BYTES,
    ChunkDecoder,
    CloseDecoder,
    ContentDecoder,
    LengthDecoder,
    is_surplus,
    make_decoder,
    may_reuse,
)
from downloadd.origin.message_head import MalformedResponseError, MessageHead, UnsupportedCodingError


def head(*fields: tuple[str, str], status: int = 200, version: tuple[int, int] = (1, 1)) -> MessageHead:
    return MessageHead(version=version, status=status, fields=CIMultiDict(fields))


def decode(decoder: ContentDecoder, pieces: Sequence[bytes]) -> bytes:
    return b"".join(decoder.decode(piece) for piece in pieces if not decoder.is_complete)


def encode_chunks(chunks: Sequence[bytes], *, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return framed + b"0\r\n" + trailer + b"\r\n"


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    extension=st.sampled_from([b"", b";a", b';a="b"', b" ; a=b"]),
    trailer=st.sampled_from([b"", b"X: y\r\n", b"X: y\r\nZ: a\r\n b\r\n"]),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    behind=st.binary(max_size=5),
)
def test_chunks_are_decoded_however_they_are_cut(
    chunks: list[bytes], extension: bytes, trailer: bytes, cuts: list[int], behind: bytes
) -> None:
    raw = encode_chunks(chunks, extension=extension, trailer=trailer) + behind
    at = sorted({0, *(min(cut, len(raw)) for cut in cuts), len(raw)})
    decoder, content, unread = ChunkDecoder(), b"", b""
    for begin, end in pairwise(at):
        if decoder.is_complete:
            unread += raw[begin:end]
        else:
            content += decoder.decode(raw[begin:end])
    assert (content, decoder.is_complete) == (b"".join(chunks), True)
    assert decoder.surplus + unread == behind


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1;a\0\r\n",
        b"1;a\rb\r\n",
        b"1\na\n0\n\n\r\n",
        b"1_0\r\n",
        b"f" * 16 + b"\r\n",
        b"1\r\nab\r\n",
        b"1\r\nabc",
        b"2\r\na\r\n0\r\n\r\n",
        b"0\r\nno field\r\n\r\n",
        b"0\r\nX: a\0b\r\n",
        b"0\r\nX: a\rb\r\n",
    ],
)
@pytest.mark.parametrize("is_cut", [False, True])
def test_other_chunks_are_refused(raw: bytes, is_cut: bool) -> None:
    pieces = [raw[at : at + 1] for at in range(len(raw))] if is_cut else [raw]
    with pytest.raises(MalformedResponseError):
        decode(ChunkDecoder(), pieces)


@pytest.mark.parametrize(
    "raw",
    [
        b"1;" + b"a" * (MAX_CHUNK_LINE_BYTES + 1),
        b"0" * (MAX_CHUNK_LINE_BYTES + 1),
        b"0\r\nX: " + b"a" * (MAX_TRAILER_BYTES + 1),
        b"0\r\n" + b"X: a\r\n" * (MAX_TRAILER_BYTES // 6 + 1),
    ],
)
@pytest.mark.parametrize("size", [100, 1 << 20])
def test_floods_are_refused(raw: bytes, size: int) -> None:
    with pytest.raises(MalformedResponseError, match="too long"):
        decode(ChunkDecoder(), [raw[at : at + size] for at in range(0, len(raw), size)])


def test_a_length_ends_the_content_and_keeps_what_follows() -> None:
    decoder = LengthDecoder(5)
    assert decode(decoder, [b"ab", b"cdefg"]) == b"abcde"
    assert (decoder.is_complete, decoder.remaining, decoder.surplus) == (True, 0, b"fg")


def test_bytes_that_another_reader_received_count() -> None:
    decoder = LengthDecoder(5)
    decoder.decode(b"a")
    decoder.skip(4)
    assert decoder.is_complete


@pytest.mark.parametrize(
    ("given_head", "kind"),
    [
        (head(("Content-Length", "5")), LengthDecoder),
        (head(("Content-Length", "005")), LengthDecoder),
        (head(("Transfer-Encoding", "chunked")), ChunkDecoder),
        (head(("Transfer-Encoding", "CHUNKED")), ChunkDecoder),
        (head(), CloseDecoder),
        (head(("Content-Length", "5"), status=204), LengthDecoder),
        (head(("Transfer-Encoding", "chunked"), status=304), LengthDecoder),
        (head(status=101), LengthDecoder),
    ],
)
def test_the_fields_choose_the_framing(given_head: MessageHead, kind: type[ContentDecoder]) -> None:
    decoder = make_decoder(given_head)
    assert type(decoder) is kind
    assert decoder.is_complete is (given_head.status in {101, 204, 304})


@pytest.mark.parametrize(
    "fields",
    [
        [("Content-Length", "")],
        [("Content-Length", "-1")],
        [("Content-Length", "+1")],
        [("Content-Length", "1, 1")],
        [("Content-Length", "1"), ("Content-Length", "1")],
        [("Content-Length", "\u0661")],
        [("Content-Length", "\u00b2")],
        [("Content-Length", "1_0")],
        [("Content-Length", str(2**62 + 1))],
        [("Content-Length", "9" * 5000)],
        [("Content-Length", "1"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "")],
        [("Transfer-Encoding", "gzip, chunked")],
        [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "\x0bchunked")],
        [("Transfer-Encoding", "chun\u212aed")],
        [("Transfer-Encoding", "identity")],
    ],
)
@pytest.mark.parametrize("status", [200, 204, 404])
def test_an_ambiguous_framing_is_refused(fields: list[tuple[str, str]], status: int) -> None:
    with pytest.raises(MalformedResponseError):
        make_decoder(head(*fields, status=status))


def test_another_transfer_coding_is_its_own_error() -> None:
    with pytest.raises(UnsupportedCodingError):
        make_decoder(head(("Transfer-Encoding", "gzip, chunked")))


@pytest.mark.parametrize(
    ("given_head", "expected"),
    [
        (head(), True),
        (head(("Connection", "keep-alive")), True),
        (head(("Connection", "close")), False),
        (head(("Connection", "x"), ("Connection", "y, Close")), False),
        (head(version=(1, 0)), False),
        (head(("Connection", "keep-alive"), version=(1, 0)), False),
        (head(status=204), False),
        (head(status=304), False),
        (head(status=101), False),
    ],
)
def test_a_connection_is_reused_only_if_its_framing_is_reliable(given_head: MessageHead, expected: bool) -> None:
    assert may_reuse(given_head) is expected


def test_an_empty_line_behind_a_content_is_no_surplus() -> None:
    assert [is_surplus(data) for data in (b"", b"\r\n", b"\n\r\n", b"\r\nH")] == [False, False, False, True]
