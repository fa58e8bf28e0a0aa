"""Heads of responses, from their fields to the values that matter."""

import pytest
from multidict import CIMultiDict

from downloadd.download import OriginDigest
from downloadd.media_types import parse_media_type
from downloadd.transfer.fields import ContentRange
from downloadd.transfer.response_head import ResponseHead, parse_response_head

NOW = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
"""The same as `NOW`."""


def parsed(**fields: str | None) -> ResponseHead:
    """Return the head of a 200 with these fields; `_` stands for `-`."""
    lines = CIMultiDict((name.replace("_", "-"), value) for name, value in fields.items() if value is not None)
    return parse_response_head(200, lines, now=NOW)


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
    head = parse_response_head(206, lines, now=NOW)
    assert (head.status, head.coding, head.entity_tag, head.length) == (206, "gzip,br", '"a"', 7)
    assert parse_response_head(200, CIMultiDict(), now=NOW) == ResponseHead(status=200)


@pytest.mark.parametrize(
    ("text", "coding"),
    [(None, None), ("", None), ("identity", None), ("GZIP", "gzip"), (" gzip , identity,br", "gzip,br")],
)
def test_codings_are_listed_in_order_without_identity(text: str | None, coding: str | None) -> None:
    head = parsed(Content_Encoding=text)
    assert (head.coding, head.states_coding) == (coding, text is not None)


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
def test_a_type_is_shown_and_compared_if_it_is_printable(
    text: str | None, shown: str | None, media_type: str, multipart: bool
) -> None:
    head = parsed(Content_Type=text)
    assert (head.content_type, head.media_type, head.is_multipart) == (shown, media_type, multipart)
    assert parse_media_type(text) == media_type


@pytest.mark.parametrize(
    ("fields", "validator", "weak_tag"),
    [
        ({"ETag": '"v"'}, '"v"', None),
        ({"ETag": 'W/"v"'}, None, 'W/"v"'),
        ({"ETag": 'W/"v"', "Last_Modified": "Mon, 13 Nov 2023 22:13:20 GMT"}, None, 'W/"v"'),
        ({"Last_Modified": "Mon, 13 Nov 2023 22:13:20 GMT"}, "Mon, 13 Nov 2023 22:13:20 GMT", None),
        ({"Last_Modified": DATE}, None, None),
        ({"Last_Modified": "Mon, 13 Nov 2023 22:13:20 GMT", "Content_Encoding": "gzip"}, None, None),
        ({"ETag": '"v"', "Content_Encoding": "gzip"}, '"v"', None),
    ],
)
def test_a_validator_is_strong_if_it_identifies_the_bytes(
    fields: dict[str, str], validator: str | None, weak_tag: str | None
) -> None:
    head = parsed(**fields)
    assert (head.validator, head.weak_tag) == (validator, weak_tag)


def test_malformed_validators_are_noticed() -> None:
    head = parsed(ETag="v", Last_Modified="lately")
    assert (head.entity_tag, head.has_malformed_tag, head.last_modified, head.has_malformed_date) == (
        None,
        True,
        None,
        True,
    )


@pytest.mark.parametrize(
    ("text", "date", "seconds"),
    [
        ("120", None, 120.0),
        ("120", "Tue, 14 Nov 2023 00:00:00 GMT", 120.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", None, 60.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", "Tue, 14 Nov 2023 22:14:18 GMT", 2.0),
        ("Wed, 15 Nov 2023 00:14:20 GMT", "Wed, 15 Nov 2023 00:14:18 GMT", 2.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", "yesterday", 60.0),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_time_to_wait_is_measured_by_the_clock_of_the_origin(
    text: str | None, date: str | None, seconds: float | None
) -> None:
    assert parsed(Retry_After=text, Date=date).retry_after == seconds


def test_range_name_and_digests_are_parsed() -> None:
    head = parsed(
        Content_Range="bytes 0-9/20",
        Content_Disposition="attachment; filename=a.zip",
        Repr_Digest=f"sha-256=:{'A' * 43}=:",
        Content_Digest=f"sha-256=:{'B' * 42}A=:",
    )
    assert head.content_range == ContentRange(first_pos=0, last_pos=9, complete_length=20)
    assert head.suggested_filename == "a.zip"
    assert head.representation_digests == (OriginDigest(source="Repr-Digest", checksum=f"sha-256={'0' * 64}"),)
    assert [digest.source for digest in head.content_digests] == ["Content-Digest"]
