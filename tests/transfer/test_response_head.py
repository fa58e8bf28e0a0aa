"""Heads of responses, from their fields to the parts that matter."""

import pytest
from multidict import CIMultiDict

from downloadd.media_types import parse_media_type
from downloadd.transfer.response_head import ResponseHead, parse_response_head


def test_the_lines_of_a_list_are_joined_and_of_other_fields_the_first_is_used() -> None:
    lines = CIMultiDict(
        [
            ("Content-Encoding", "gzip"),
            ("content-encoding", "br"),
            ("ETag", '"a"'),
            ("ETag", '"b"'),
            ("Content-Length", "7"),
        ]
    )
    head = parse_response_head(206, lines)
    assert (head.status, head.content_encoding, head.etag, head.length) == (206, "gzip, br", '"a"', 7)
    assert parse_response_head(200, CIMultiDict()) == ResponseHead(status=200)


def test_a_transfer_coding_overrides_the_length() -> None:
    assert ResponseHead(status=200, content_length="7", transfer_encoding="chunked").length is None
    with pytest.raises(ValueError, match="not a length"):
        _ = ResponseHead(status=200, content_length="x", transfer_encoding="chunked").length


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        (None, False),
        ("chunked", False),
        (" Chunked\t", False),
        ("gzip, chunked", True),
        ("chun\u212aed", True),
        ("\x0bchunked", True),
        ("", True),
    ],
)
def test_only_chunked_is_a_known_transfer_coding(text: str | None, unknown: bool) -> None:
    assert ResponseHead(status=200, transfer_encoding=text).has_unknown_transfer_coding is unknown


@pytest.mark.parametrize(
    ("text", "coding"),
    [(None, None), ("", None), ("identity", None), ("GZIP", "gzip"), (" gzip , identity,br", "gzip,br")],
)
def test_codings_are_listed_in_order_without_identity(text: str | None, coding: str | None) -> None:
    assert ResponseHead(status=200, content_encoding=text).coding == coding


@pytest.mark.parametrize(
    ("text", "shown", "media_type", "multipart"),
    [
        (None, None, "", False),
        (" Text/HTML; charset=utf-8", "Text/HTML; charset=utf-8", "text/html", False),
        ("text/\x00html", None, "", False),
        ("ü/x", None, "", False),
        ("Multipart/ByteRanges; boundary=x", "Multipart/ByteRanges; boundary=x", "multipart/byteranges", True),
    ],
)
def test_a_content_type_is_shown_only_if_it_is_printable(
    text: str | None, shown: str | None, media_type: str, multipart: bool
) -> None:
    head = ResponseHead(status=200, content_type=text)
    assert (head.shown_content_type, head.media_type, head.is_multipart) == (shown, media_type, multipart)
    assert parse_media_type(text) == media_type


def test_a_validator_is_strong_or_none() -> None:
    assert ResponseHead(status=200, etag='"v"').strong_validator(now=0) == '"v"'
    assert ResponseHead(status=200, etag='W/"v"').strong_validator(now=0) is None
