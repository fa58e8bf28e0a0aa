"""Facts that heads state of a download that has not started: one row of the table for each kind of head."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from multidict import CIMultiDict

from downloadd.download import Request
from downloadd.errors import (
    DownloadError,
    FileTooLargeError,
    RemoteError,
    RemoteFileNotFoundError,
    UnexpectedContentError,
)
from downloadd.policy.url import parse_url
from downloadd.transfer.probe import (
    FIRST_BYTE,
    ProbeResult,
    complete_head,
    describe,
    must_ask_for_everything,
    supports_ranges,
)
from downloadd.transfer.response_head import ResponseHead, parse_response_head
from downloadd.transfer.resume import format_range_fields

NOW = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
OLD = "Sun, 06 Nov 1994 08:49:37 GMT"
SHA = "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:"
SHA_HEX = "sha-256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
REQUEST = Request(url="http://h/app.zip", redacted_url="http://h/app.zip", directory="", timeout=0)


def head(status: int, **fields: str) -> ResponseHead:
    """Return a head with these fields; `_` stands for a hyphen."""
    lines = CIMultiDict((name.replace("_", "-"), value) for name, value in fields.items())
    return parse_response_head(status, lines, now=NOW)


def first_byte(complete: str = "100", **fields: str) -> ResponseHead:
    return head(206, Content_Range=f"bytes 0-0/{complete}", Content_Length="1", **fields)


def found(
    response: ResponseHead,
    request: Request = REQUEST,
    *,
    final: str = "http://h/app.zip",
    has_ranges: bool = True,
    **limits: Any,
) -> ProbeResult:
    return describe(
        request,
        complete_head(response),
        first_url=parse_url(request.url),
        final_url=parse_url(final),
        redirects=int(final != request.url),
        has_ranges=has_ranges,
        **{"max_size": 0, "allows_overlap": True, **limits},
    )


def test_the_first_byte_is_requested_without_a_precondition() -> None:
    assert format_range_fields(FIRST_BYTE) == [("Range", "bytes=0-0")]


@pytest.mark.parametrize(
    ("response", "asks_again", "has_ranges"),
    [
        pytest.param(first_byte(), False, True, id="the first byte"),
        pytest.param(first_byte("*"), True, True, id="the first byte, of an unknown length"),
        pytest.param(head(206, Content_Range="bytes 0-99/100", Content_Length="100"), False, True, id="more bytes"),
        pytest.param(head(206, Content_Range="bytes 5-5/100"), True, False, id="another byte"),
        pytest.param(head(206), True, False, id="a 206 without Content-Range"),
        pytest.param(head(206, Content_Type="multipart/byteranges; boundary=x"), True, False, id="several ranges"),
        pytest.param(head(200, Content_Length="100"), False, False, id="everything"),
        pytest.param(head(203, Content_Length="100"), False, False, id="everything, transformed"),
        pytest.param(head(200, Content_Range="bytes 0-0/100", Content_Length="1"), False, True, id="a range under 200"),
        pytest.param(head(200, Content_Range="bytes 5-5/100"), True, False, id="another range under 200"),
        pytest.param(head(416, Content_Range="bytes */0"), True, True, id="an empty file"),
        pytest.param(head(416, Content_Range="bytes */9"), True, False, id="a range that is refused"),
        pytest.param(head(416), True, False, id="a range that is refused without a length"),
        pytest.param(head(400), True, False, id="a request that is refused"),
        pytest.param(replace(head(400), is_encrypted=True), True, False, id="a request over TLS that is refused"),
        pytest.param(head(501), True, False, id="ranges that are not implemented"),
        pytest.param(head(404), False, False, id="a missing file"),
        pytest.param(head(403), False, False, id="a forbidden file"),
        pytest.param(head(503), False, False, id="an origin that fails"),
        pytest.param(head(204), False, False, id="no content"),
    ],
)
def test_everything_is_requested_if_the_answer_to_a_range_says_too_little(
    response: ResponseHead, asks_again: bool, has_ranges: bool
) -> None:
    assert (must_ask_for_everything(response), supports_ranges(response)) == (asks_again, has_ranges)


@pytest.mark.parametrize(
    ("response", "size"),
    [
        pytest.param(first_byte("3000000000"), 3_000_000_000, id="a range"),
        pytest.param(head(200, Content_Range="bytes 0-0/7", Content_Length="1"), 7, id="a range under 200"),
        pytest.param(head(200, Content_Length="9"), 9, id="everything"),
        pytest.param(head(203, Content_Length="9"), 9, id="everything, transformed"),
        pytest.param(head(200, Content_Length="0"), 0, id="an empty file"),
        pytest.param(head(200), None, id="an unknown length"),
    ],
)
def test_the_size_is_the_complete_length(response: ResponseHead, size: int | None) -> None:
    assert found(response).size == size


@pytest.mark.parametrize(
    ("response", "strict", "lenient"),
    [
        pytest.param(first_byte(ETag='"v"'), True, True, id="a strong entity tag"),
        pytest.param(first_byte(Last_Modified=OLD, Date=DATE), True, True, id="a strong date"),
        pytest.param(first_byte(ETag='W/"v"'), False, True, id="a weak entity tag"),
        pytest.param(first_byte(), False, True, id="no validator"),
        pytest.param(first_byte(Repr_Digest=SHA), True, True, id="a digest"),
        pytest.param(head(200, Content_Encoding="gzip", Last_Modified=OLD), False, False, id="an unknown length"),
        pytest.param(head(200, ETag='"v"'), True, True, id="a validator without a length"),
    ],
)
def test_a_download_is_resumable_under_the_evidence_that_the_configuration_allows(
    response: ResponseHead, strict: bool, lenient: bool
) -> None:
    assert found(response, allows_overlap=False).is_resumable is strict
    assert found(response).is_resumable is lenient
    assert not found(response, has_ranges=False).is_resumable


def test_all_facts_of_a_head_are_described() -> None:
    response = first_byte(
        Content_Type="application/zip",
        ETag='"v"',
        Last_Modified=OLD,
        Repr_Digest=SHA,
        Content_Disposition="attachment; filename=../release.zip",
        # Of one byte.
        Content_Digest="sha-256=:ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=:",
    )
    assert found(response, final="https://ann:pw@cdn.example:8443/x?token=secret&v=1") == ProbeResult(
        redacted_url="https://cdn.example:8443/x?token=***&v=1",
        redirects=1,
        filename="release.zip",
        size=100,
        content_type="application/zip",
        has_ranges=True,
        entity_tag='"v"',
        last_modified=784_111_777,
        checksum=SHA_HEX,
        is_resumable=True,
        warning=None,
    )


def test_a_head_without_facts_says_nothing() -> None:
    assert found(head(200), has_ranges=False) == ProbeResult(
        redacted_url="http://h/app.zip",
        redirects=0,
        filename="app.zip",
        size=None,
        content_type=None,
        has_ranges=False,
        entity_tag=None,
        last_modified=None,
        checksum=None,
        is_resumable=False,
        warning=None,
    )


def test_the_digest_of_complete_content_is_that_of_the_file() -> None:
    assert found(head(200, Content_Digest=SHA)).checksum == SHA_HEX


def test_the_requested_name_is_used() -> None:
    response = first_byte(Content_Disposition="attachment; filename=release.zip")
    assert found(response, replace(REQUEST, requested_name="mine.zip")).filename == "mine.zip"


def test_a_web_page_in_place_of_a_file_gives_a_warning() -> None:
    page = head(200, Content_Type="text/html; charset=utf-8")
    assert "in place of a .zip file" in (found(page).warning or "")
    assert found(page, replace(REQUEST, requested_name="page.html")).warning is None


@pytest.mark.parametrize(
    ("response", "kind", "detail"),
    [
        pytest.param(head(404), RemoteFileNotFoundError, "answered 404", id="404"),
        pytest.param(head(410), RemoteFileNotFoundError, "answered 410", id="410"),
        pytest.param(head(403), RemoteError, "answered 403", id="403"),
        pytest.param(head(500), RemoteError, "answered 500", id="500"),
        pytest.param(head(204), RemoteError, "success without the file", id="204"),
        pytest.param(head(304), RemoteError, "not modified", id="304"),
        pytest.param(head(416), RemoteError, "though none was requested", id="416 to everything"),
        pytest.param(head(206, Content_Range="bytes 5-5/9"), RemoteError, "a part of the file", id="another range"),
        pytest.param(first_byte("1001"), FileTooLargeError, "the limit of 1000 bytes", id="too large"),
        pytest.param(head(200, Content_Length="1001"), FileTooLargeError, "the limit of 1000", id="too large, all"),
    ],
)
def test_an_error_is_that_of_a_download(response: ResponseHead, kind: type[DownloadError], detail: str) -> None:
    with pytest.raises(kind, match=detail):
        found(response, max_size=1000)


def test_another_media_type_than_the_expected_one_is_refused() -> None:
    request = replace(REQUEST, expected_type="application/zip")
    assert found(first_byte(Content_Type="application/zip"), request).size == 100
    with pytest.raises(UnexpectedContentError, match="a web page"):
        found(first_byte(Content_Type="text/html"), request)


def test_the_time_that_an_origin_asks_for_is_passed_on() -> None:
    with pytest.raises(RemoteError) as caught:
        found(head(503, Retry_After="120"))
    assert caught.value.retry_after == 120


def test_a_head_that_is_no_range_stays_as_it_is() -> None:
    for response in (head(200, Content_Length="9"), head(404), head(206, Content_Range="bytes 5-5/9")):
        assert complete_head(response) == response
    assert msgspec.structs.asdict(complete_head(first_byte()))["status"] == 200
