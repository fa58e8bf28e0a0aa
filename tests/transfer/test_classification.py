import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from multidict import CIMultiDict

from downloadd.download import OriginDigest
from downloadd.errors import FileTooLargeError, NetworkError, RemoteError, RemoteFileNotFoundError
from downloadd.media_types import parse_media_type
from downloadd.transfer.classification import (
    AlreadyComplete,
    AskAgain,
    Classification,
    Restart,
    UseResponse,
    classify,
)
from downloadd.transfer.representation import Representation
from downloadd.transfer.response_head import ResponseHead, parse_response_head
from downloadd.transfer.resume import Evidence, RangeRequest

NOW = 1_700_000_000.0
LAST_MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
MODIFIED = 784_111_777
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """Status and fields of a response, as sent."""

    status: int
    content_length: str | None = None
    content_range: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    date: str | None = None
    retry_after: str | None = None
    repr_digest: str | None = None

    def parse(self) -> ResponseHead:
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "status"}
        lines = CIMultiDict((name.replace("_", "-"), value) for name, value in fields.items() if value is not None)
        return parse_response_head(self.status, lines, now=NOW)


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A request, and what is known of the bytes in the part file."""

    start: int = 0
    end: int | None = None
    validator: str | None = None
    total: int | None = None
    coding: str | None = None
    content_type: str | None = None
    evidence: Evidence | None = None
    weak_tag: str | None = None
    last_modified: int | None = None
    has_overlap: bool = False

    @property
    def request(self) -> RangeRequest:
        is_range = self.start > 0 or self.end is not None
        evidence = (self.evidence or Evidence.IF_RANGE) if is_range else None
        return RangeRequest(
            start=self.start,
            end=self.end,
            evidence=evidence,
            if_range=self.validator if evidence is Evidence.IF_RANGE else None,
            has_overlap=self.has_overlap,
        )

    @property
    def representation(self) -> Representation:
        return Representation(
            total=self.total,
            validator=self.validator,
            weak_tag=self.weak_tag,
            last_modified=self.last_modified,
            coding=self.coding,
            media_type=parse_media_type(self.content_type),
        )


ALL = Known()
BY_TAG = Known(start=400, validator='"v1"', total=1000)
BY_DATE = Known(start=400, validator=LAST_MODIFIED, total=1000, last_modified=MODIFIED)
BY_TAG_OF_UNKNOWN_LENGTH = Known(start=400, validator='"v1"')

WHOLE = Fields(
    status=200,
    content_length="1000",
    content_type="application/zip",
    etag='"v1"',
    last_modified=LAST_MODIFIED,
    date=DATE,
)
REST = Fields(
    status=206, content_length="600", content_range="bytes 400-999/1000", etag='"v1"', last_modified=LAST_MODIFIED
)
REST_BY_DATE = replace(REST, etag=None)
NOTHING_LEFT = Fields(status=416, content_range="bytes */400")


def classified(known: Known, head: Fields, max_size: int = 0) -> Classification:
    return classify(known.request, known.representation, head.parse(), max_size=max_size)


def test_a_complete_representation_is_accepted_from_its_first_byte() -> None:
    assert classified(ALL, replace(WHOLE, content_disposition="attachment; filename=a.zip")) == UseResponse(
        start=0,
        length=1000,
        found=Representation(
            total=1000, validator='"v1"', last_modified=MODIFIED, media_type="application/zip", coding=None
        ),
        content_type="application/zip",
        suggested_filename="a.zip",
    )


def test_a_head_without_fields_is_accepted_and_cannot_be_resumed() -> None:
    assert classified(ALL, Fields(status=200)) == UseResponse(
        start=0, length=None, found=Representation(), content_type=None, suggested_filename=None
    )


def test_the_rest_is_accepted_where_the_part_file_ends() -> None:
    assert classified(BY_TAG, REST) == UseResponse(
        start=400,
        length=600,
        found=Representation(total=1000, validator='"v1"', last_modified=MODIFIED),
        content_type=None,
        suggested_filename=None,
        evidence=Evidence.IF_RANGE,
    )


@pytest.mark.parametrize("status", [200, 203])
@pytest.mark.parametrize("known", [ALL, BY_TAG, BY_DATE])
def test_a_complete_representation_is_used_if_no_range_is_sent_for_its_validator(known: Known, status: int) -> None:
    if known is not ALL:
        assert isinstance(classified(known, replace(WHOLE, status=status)), AskAgain)
        known = replace(known, evidence=Evidence.VALIDATOR)
    got = classified(known, replace(WHOLE, status=status))
    assert isinstance(got, UseResponse)
    assert (got.start, got.found.total, got.found.validator, got.is_partial) == (0, 1000, '"v1"', False)


@pytest.mark.parametrize(
    "content_range", [None, "bytes 0-999/1000", "bytes 0-999/*", "bytes */1000", "items 400-999/1000", "nonsense"]
)
def test_a_complete_representation_may_have_a_content_range(content_range: str | None) -> None:
    got = classified(replace(BY_TAG, evidence=Evidence.VALIDATOR), replace(WHOLE, content_range=content_range))
    assert isinstance(got, UseResponse)
    assert (got.start, got.length, got.found.total) == (0, 1000, 1000)


REST_UNDER_200 = replace(REST, status=200)
SEGMENT = Known(start=400, end=700, validator='"v1"', total=1000)
FIRST_SEGMENT = Known(start=0, end=400, validator='"v1"', total=1000)


@pytest.mark.parametrize(
    ("known", "head", "length"),
    [
        pytest.param(BY_TAG, REST_UNDER_200, 600, id="the rest"),
        pytest.param(BY_TAG, replace(REST_UNDER_200, content_length=None), 600, id="no length"),
        pytest.param(BY_TAG_OF_UNKNOWN_LENGTH, REST_UNDER_200, 600, id="length not known before"),
        pytest.param(BY_DATE, replace(REST_UNDER_200, etag=None), 600, id="same date"),
        pytest.param(
            SEGMENT,
            replace(REST_UNDER_200, content_range="bytes 400-699/1000", content_length="300"),
            300,
            id="segment",
        ),
        pytest.param(
            FIRST_SEGMENT,
            replace(REST_UNDER_200, content_range="bytes 0-399/1000", content_length="400"),
            400,
            id="first segment",
        ),
    ],
)
def test_the_requested_range_under_status_200_is_accepted_as_partial(known: Known, head: Fields, length: int) -> None:
    got = classified(known, head)
    assert isinstance(got, UseResponse)
    assert (got.start, got.length, got.found.total, got.is_partial) == (known.start, length, 1000, True)
    assert got.found.validator == known.validator


PAGE = Fields(status=200, content_length="94", content_type="text/html; charset=utf-8", date=DATE)
TYPED = replace(BY_TAG, content_type="application/zip")


@pytest.mark.parametrize(
    ("known", "head"),
    [
        pytest.param(BY_TAG, replace(WHOLE, etag='"v2"'), id="another tag"),
        pytest.param(BY_TAG, replace(WHOLE, etag='"v2"', content_length="900"), id="another tag and length"),
        pytest.param(TYPED, replace(PAGE, etag='"v2"'), id="another tag and media type"),
        pytest.param(BY_TAG, replace(REST_UNDER_200, etag='"v2"'), id="a part of another version"),
        pytest.param(BY_TAG, replace(WHOLE, etag=None), id="no tag any more"),
        pytest.param(TYPED, replace(WHOLE, etag=None), id="no tag any more, same media type"),
        pytest.param(
            replace(TYPED, content_type="Application/ZIP; x=y"),
            replace(WHOLE, etag=None),
            id="no tag any more, media type respelt",
        ),
        pytest.param(TYPED, replace(WHOLE, etag=None, content_type=None), id="no tag and no media type any more"),
        pytest.param(BY_TAG, replace(WHOLE, etag='W/"v1"'), id="a weak tag"),
        pytest.param(BY_DATE, replace(WHOLE, last_modified="Mon, 07 Nov 1994 08:49:37 GMT"), id="another date"),
        pytest.param(BY_DATE, replace(WHOLE, last_modified=None), id="a tag instead of the date"),
        pytest.param(BY_DATE, replace(WHOLE, etag=None, last_modified=DATE), id="a date that is too fresh"),
        pytest.param(
            BY_DATE, replace(WHOLE, etag=None, content_encoding="gzip"), id="a coding that a date cannot tell"
        ),
        pytest.param(BY_TAG, replace(WHOLE, content_encoding="gzip"), id="a coding that the tag does not tell"),
        pytest.param(BY_TAG, replace(WHOLE, content_length=None), id="no length"),
        pytest.param(BY_TAG_OF_UNKNOWN_LENGTH, WHOLE, id="the length was not known"),
        pytest.param(BY_TAG, replace(WHOLE, content_length="600"), id="the length of the rest"),
        pytest.param(SEGMENT, replace(WHOLE, content_length="300"), id="the length of the segment"),
        pytest.param(FIRST_SEGMENT, replace(WHOLE, content_length="400"), id="the length of the first segment"),
        pytest.param(BY_TAG, replace(REST_UNDER_200, content_range="bytes 401-999/1000"), id="starts later"),
        pytest.param(
            BY_TAG, replace(REST_UNDER_200, content_range="bytes 400-998/1000", content_length="599"), id="ends earlier"
        ),
        pytest.param(BY_TAG, replace(REST_UNDER_200, content_range="bytes 400-999/*"), id="without complete length"),
        pytest.param(
            BY_TAG,
            replace(REST_UNDER_200, content_range="bytes 400-1000/1001", content_length="601"),
            id="of another complete length",
        ),
        pytest.param(BY_TAG, replace(REST_UNDER_200, content_length="599"), id="shorter than its range"),
        pytest.param(SEGMENT, REST_UNDER_200, id="more than the segment"),
        pytest.param(BY_TAG, replace(REST_UNDER_200, etag=None), id="a part without a tag"),
        pytest.param(BY_TAG, replace(REST_UNDER_200, content_encoding="gzip"), id="a part in another coding"),
        pytest.param(BY_TAG, replace(WHOLE, content_type="multipart/byteranges; boundary=x"), id="multipart"),
        pytest.param(TYPED, replace(PAGE, content_type="multipart/byteranges; boundary=x"), id="multipart without tag"),
    ],
)
def test_a_200_that_may_be_partial_is_requested_again_without_a_range(known: Known, head: Fields) -> None:
    got = classified(known, head)
    assert isinstance(got, Restart)
    assert got.reason


@pytest.mark.parametrize(
    ("known", "head", "detail"),
    [
        pytest.param(TYPED, PAGE, "text/html in place of application/zip", id="a login page"),
        pytest.param(TYPED, replace(PAGE, status=203), "text/html", id="a login page by a proxy"),
        pytest.param(TYPED, replace(PAGE, etag='W/"5e"'), "text/html", id="a login page with a weak tag"),
        pytest.param(TYPED, replace(PAGE, last_modified=LAST_MODIFIED), "text/html", id="a login page with a date"),
        pytest.param(TYPED, replace(PAGE, content_length="1000"), "text/html", id="a login page of the same length"),
        pytest.param(
            replace(BY_DATE, content_type="application/zip"), PAGE, "text/html", id="a login page for a dated file"
        ),
        pytest.param(
            replace(TYPED, start=0, evidence=None), PAGE, "text/html", id="a login page in place of everything"
        ),
        pytest.param(BY_TAG, PAGE, "94 bytes instead of 1000", id="another length without a validator"),
        pytest.param(BY_TAG, replace(WHOLE, content_length="999"), "999 bytes instead of 1000", id="shorter"),
        pytest.param(BY_TAG, replace(WHOLE, content_length="1001"), "1001 bytes instead of 1000", id="longer"),
        pytest.param(BY_TAG, replace(WHOLE, content_length="0"), "0 bytes instead of 1000", id="empty"),
        pytest.param(BY_DATE, replace(WHOLE, content_length="999", etag=None), "999 bytes", id="shorter, same date"),
    ],
)
def test_a_200_that_contradicts_known_properties_is_a_transient_failure(
    known: Known, head: Fields, detail: str
) -> None:
    with pytest.raises(RemoteError) as caught:
        classified(known, head)
    assert caught.value.transient
    assert detail in caught.value.detail


@pytest.mark.parametrize("content_type", ["text/html", None])
@pytest.mark.parametrize("head", [PAGE, WHOLE, replace(WHOLE, content_length="999")])
def test_without_a_range_any_complete_representation_is_accepted(head: Fields, content_type: str | None) -> None:
    got = classified(replace(ALL, validator='"v1"', total=1000, content_type=content_type), head)
    assert isinstance(got, UseResponse)
    assert got.start == 0


@pytest.mark.parametrize(
    ("head", "length"),
    [
        pytest.param(replace(WHOLE, content_length="0"), 0, id="empty"),
        pytest.param(replace(WHOLE, content_length=None), None, id="ends with the connection"),
    ],
)
def test_the_length_of_a_complete_representation_is_that_of_its_message(head: Fields, length: int | None) -> None:
    got = classified(ALL, head)
    assert isinstance(got, UseResponse)
    assert got.length == got.found.total == length


@pytest.mark.parametrize(
    ("known", "head", "total"),
    [
        pytest.param(BY_TAG, REST, 1000, id="same tag"),
        pytest.param(BY_TAG, replace(REST, last_modified=DATE), 1000, id="same tag, other date"),
        pytest.param(BY_TAG, replace(REST, content_length=None), 1000, id="no length"),
        pytest.param(BY_TAG, replace(REST, content_range="bytes 400-999/*"), 1000, id="length known from before"),
        pytest.param(BY_TAG_OF_UNKNOWN_LENGTH, REST, 1000, id="length not known before"),
        pytest.param(replace(BY_TAG, coding="gzip"), replace(REST, content_encoding="gzip"), 1000, id="same coding"),
        pytest.param(
            replace(BY_TAG, coding="gzip", has_overlap=True),
            REST,
            1000,
            id="no word of the coding, but bytes to compare",
        ),
        pytest.param(BY_DATE, REST_BY_DATE, 1000, id="same date"),
        pytest.param(BY_DATE, REST, 1000, id="same date, and a tag"),
        pytest.param(BY_DATE, replace(REST_BY_DATE, last_modified=None), 1000, id="no date, as RFC 9110 15.3.7 wants"),
        pytest.param(
            BY_DATE, replace(REST_BY_DATE, last_modified="Sunday, 06-Nov-94 08:49:37 GMT"), 1000, id="date respelt"
        ),
        pytest.param(BY_DATE, replace(REST_BY_DATE, content_encoding="identity"), 1000, id="no coding, in a word"),
    ],
)
def test_the_rest_of_the_same_version_is_accepted(known: Known, head: Fields, total: int) -> None:
    got = classified(known, head)
    assert isinstance(got, UseResponse)
    assert (got.start, got.length, got.found.total) == (400, 600, total)
    assert got.found.validator == known.validator
    assert got.found.last_modified in {MODIFIED, 1_700_000_000}


def test_less_than_the_rest_is_accepted_as_partial() -> None:
    got = classified(BY_TAG, replace(REST, content_range="bytes 400-499/1000", content_length="100"))
    assert isinstance(got, UseResponse)
    assert (got.start, got.length, got.found.total) == (400, 100, 1000)


@pytest.mark.parametrize(
    ("known", "head"),
    [
        pytest.param(BY_TAG, replace(REST, content_range=None), id="no Content-Range"),
        pytest.param(BY_TAG, replace(REST, content_range="bytes 400-/1000"), id="invalid Content-Range"),
        pytest.param(BY_TAG, replace(REST, content_range="bytes */1000"), id="unsatisfied Content-Range"),
        pytest.param(BY_TAG, replace(REST, content_range="items 400-999/1000"), id="another unit"),
        pytest.param(BY_TAG, replace(REST, content_range="bytes 401-999/1000"), id="starts later"),
        pytest.param(BY_TAG, replace(REST, content_range="bytes 0-999/1000"), id="starts at the first byte"),
        pytest.param(
            BY_TAG, replace(REST, content_range="bytes 400-1000/1001", content_length="601"), id="another length"
        ),
        pytest.param(
            BY_TAG, replace(REST, content_range="bytes 400-1000/*", content_length="601"), id="past the known length"
        ),
        pytest.param(
            BY_TAG_OF_UNKNOWN_LENGTH, replace(REST, content_range="bytes 400-999/*"), id="nobody knows the length"
        ),
        pytest.param(BY_TAG, replace(REST, content_length="599"), id="shorter than its range"),
        pytest.param(BY_TAG, replace(REST, content_length="1000"), id="longer than its range"),
        pytest.param(BY_TAG, replace(REST, content_type="multipart/byteranges; boundary=x"), id="multipart"),
        pytest.param(
            BY_TAG,
            replace(REST, content_type="Multipart/Byteranges; boundary=x", content_range=None),
            id="multipart without Content-Range",
        ),
        pytest.param(BY_TAG, replace(REST, etag='"v2"'), id="another tag"),
        pytest.param(BY_TAG, replace(REST, etag='W/"v2"'), id="another weak tag"),
        pytest.param(BY_TAG, replace(REST, etag="v1"), id="a malformed tag"),
        pytest.param(BY_DATE, replace(REST_BY_DATE, last_modified=DATE), id="another date"),
        pytest.param(BY_DATE, replace(REST_BY_DATE, last_modified="lately"), id="a malformed date"),
        pytest.param(BY_DATE, replace(REST_BY_DATE, content_encoding="gzip"), id="a coding that a date cannot tell"),
        pytest.param(BY_TAG, replace(REST, content_encoding="gzip"), id="a coding that the tag does not tell"),
        pytest.param(replace(BY_TAG, coding="gzip"), REST, id="no coding any more"),
        pytest.param(replace(BY_TAG, coding="gzip"), replace(REST, content_encoding="br"), id="another coding"),
        pytest.param(BY_TAG, Fields(status=412), id="412"),
        pytest.param(BY_TAG, Fields(status=416), id="416"),
        pytest.param(BY_TAG, Fields(status=416, content_range="bytes 0-9/400"), id="416 with a range"),
        pytest.param(BY_TAG, Fields(status=416, content_range="bytes */399"), id="416, shorter now"),
        pytest.param(BY_TAG, Fields(status=416, content_range="bytes */1000"), id="416, though the range is there"),
        pytest.param(BY_TAG, NOTHING_LEFT, id="416 at the end, but it was longer"),
        pytest.param(BY_TAG_OF_UNKNOWN_LENGTH, replace(NOTHING_LEFT, etag='"v2"'), id="416 at the end, another tag"),
    ],
)
def test_a_response_that_does_not_continue_the_part_file_starts_over(known: Known, head: Fields) -> None:
    got = classified(known, head)
    assert isinstance(got, Restart)
    assert got.reason


@pytest.mark.parametrize("etag", [None, '"v1"'])
def test_nothing_after_the_end_means_that_the_part_file_is_complete(etag: str | None) -> None:
    assert classified(BY_TAG_OF_UNKNOWN_LENGTH, replace(NOTHING_LEFT, etag=etag)) == AlreadyComplete()


@pytest.mark.parametrize("known", [ALL, BY_TAG])
@pytest.mark.parametrize("status", [404, 410])
def test_a_missing_file_has_its_own_error(known: Known, status: int) -> None:
    with pytest.raises(RemoteFileNotFoundError) as caught:
        classified(known, Fields(status=status))
    assert caught.value.origin_status == status


@pytest.mark.parametrize("known", [ALL, BY_TAG])
@pytest.mark.parametrize(
    ("status", "transient"),
    [
        *((status, False) for status in (100, 201, 202, 204, 205, 226, 299, 300, 302, 304, 400, 401, 403, 418, 451)),
        *((status, True) for status in (408, 421, 425, 429, 500, 502, 503, 504, 507, 520, 522, 524, 599)),
        *((status, False) for status in (501, 505, 600, 999)),
    ],
)
def test_every_other_status_is_an_error_of_the_origin(known: Known, status: int, transient: bool) -> None:
    with pytest.raises(RemoteError) as caught:
        classified(known, replace(WHOLE, status=status))
    assert caught.value.origin_status == status
    assert caught.value.transient is transient
    assert str(status) in caught.value.detail


@pytest.mark.parametrize("head", [replace(REST, content_range="bytes 0-999/1000"), NOTHING_LEFT, Fields(status=412)])
def test_a_range_without_a_range_request_is_an_error(head: Fields) -> None:
    with pytest.raises(RemoteError) as caught:
        classified(ALL, head)
    assert caught.value.origin_status == head.status


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [("120", 120.0), ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0), ("soon", None), (None, None)]
)
@pytest.mark.parametrize("status", [202, 403, 429, 500, 503])
def test_an_error_has_the_seconds_of_retry_after(status: int, retry_after: str | None, seconds: float | None) -> None:
    with pytest.raises(RemoteError) as caught:
        classified(ALL, Fields(status=status, retry_after=retry_after))
    assert caught.value.retry_after == seconds
    # 202 and 403 may pass if the origin says when.
    assert caught.value.transient is (status not in {202, 403} or seconds is not None)


@pytest.mark.parametrize(("known", "head"), [(ALL, WHOLE), (BY_TAG, REST)])
def test_the_limit_applies_to_the_complete_representation(known: Known, head: Fields) -> None:
    assert isinstance(classified(known, head, max_size=1000), UseResponse)
    with pytest.raises(FileTooLargeError) as caught:
        classified(known, head, max_size=999)
    assert caught.value.limit == 999


@pytest.mark.parametrize(
    ("head", "validator"),
    [
        pytest.param(WHOLE, '"v1"', id="tag"),
        pytest.param(replace(WHOLE, etag='W/"v1"'), None, id="weak tag"),
        pytest.param(replace(WHOLE, etag=None), LAST_MODIFIED, id="date"),
        pytest.param(replace(WHOLE, etag=None, date=LAST_MODIFIED), None, id="weak date"),
        pytest.param(replace(WHOLE, content_encoding="gzip"), '"v1"', id="coded, tag"),
        pytest.param(replace(WHOLE, content_encoding="gzip", etag=None), None, id="coded, date"),
        pytest.param(replace(WHOLE, content_encoding="identity, x-gzip", etag=None), None, id="coded twice, date"),
        pytest.param(replace(WHOLE, content_encoding=" Identity ", etag=None), LAST_MODIFIED, id="not coded, date"),
    ],
)
def test_a_complete_representation_is_resumable_under_a_validator_of_its_bytes(
    head: Fields, validator: str | None
) -> None:
    got = classified(ALL, head)
    assert isinstance(got, UseResponse)
    assert got.found.validator == validator


@pytest.mark.parametrize(
    ("text", "shown"),
    [(" text/plain; charset=utf-8 ", "text/plain; charset=utf-8"), ("", None), ("text/\udce4", None), ("a\x01b", None)],
)
def test_a_content_type_is_kept_if_it_can_be_shown(text: str, shown: str | None) -> None:
    got = classified(ALL, replace(WHOLE, content_type=text))
    assert isinstance(got, UseResponse)
    assert got.content_type == shown


def test_a_resumed_download_keeps_the_date_of_its_validator() -> None:
    got = classified(BY_DATE, replace(REST_BY_DATE, last_modified=None))
    assert isinstance(got, UseResponse)
    assert got.found.last_modified == MODIFIED


TEXTS = st.none() | st.sampled_from(
    [
        "", "0", "400", "600", "1000", "x", '"v1"', '"v2"', 'W/"v1"', LAST_MODIFIED, DATE, "gzip", "identity",
        "bytes 400-999/1000", "bytes 400-999/*", "bytes 0-999/1000", "bytes 400-499/1000", "bytes */400",
        "bytes */1000", "attachment; filename=a", "multipart/byteranges",
    ]
) | st.text(st.characters(codec=None), max_size=20)  # fmt: skip

HEADS = st.builds(
    Fields,
    status=st.sampled_from([200, 203, 204, 206, 206, 206, 304, 404, 412, 416, 416, 429, 503]) | st.integers(100, 999),
    content_length=TEXTS,
    content_range=TEXTS,
    content_type=TEXTS,
    content_encoding=TEXTS,
    content_disposition=TEXTS,
    etag=TEXTS,
    last_modified=TEXTS,
    date=TEXTS,
    retry_after=TEXTS,
)


WEAKLY_KNOWN = [
    Known(start=400, total=1000, evidence=Evidence.OVERLAP, has_overlap=True),
    Known(start=400, total=1000, evidence=Evidence.OVERLAP, has_overlap=True, weak_tag='W/"v1"'),
    Known(start=400, end=700, total=1000, evidence=Evidence.OVERLAP, last_modified=MODIFIED),
    Known(start=400, total=1000, evidence=Evidence.DIGEST, has_overlap=True),
]


@given(
    known=st.sampled_from(
        [ALL, BY_TAG, BY_DATE, BY_TAG_OF_UNKNOWN_LENGTH, TYPED, SEGMENT, FIRST_SEGMENT, *WEAKLY_KNOWN]
    ),
    head=HEADS,
)
def test_a_foreign_head_gets_a_consistent_classification_or_an_error_with_a_code(known: Known, head: Fields) -> None:
    try:
        got = classified(known, head, max_size=10_000)
    except (RemoteError, RemoteFileNotFoundError, FileTooLargeError, NetworkError):
        return
    match got:
        case UseResponse():
            assert got.start in {0, known.start}
            assert got.found.total is None or got.found.total <= 10_000
            if got.is_partial:
                assert head.status in {200, 203, 206}
                assert got.start == known.start
                assert known.validator in {None, got.found.validator}
                assert got.found.total is not None
                assert got.length is not None
                assert got.start < got.start + got.length <= got.found.total
                assert known.total in {None, got.found.total}
            else:
                assert got.start == 0
                assert got.length == got.found.total
                # A response with status 200 to a range request is complete only if it has the known length.
                assert not known.request.is_range or (got.found.total is not None and got.found.total == known.total)
        case Restart() | AlreadyComplete() | AskAgain():
            # A restart after a request without Range would repeat without an end.
            assert known.request.is_range


WEAK_REST = replace(REST, etag=None, last_modified=None)


@pytest.mark.parametrize("known", WEAKLY_KNOWN[:2])
@pytest.mark.parametrize(
    "head",
    [
        pytest.param(replace(WEAK_REST, content_range="bytes 400-1000/1001", content_length="601"), id="length"),
        pytest.param(replace(WEAK_REST, content_encoding="gzip"), id="coding"),
        pytest.param(replace(WEAK_REST, content_range="bytes 401-999/1000", content_length="599"), id="position"),
        pytest.param(replace(WEAK_REST, etag="v1"), id="malformed tag"),
        pytest.param(replace(WHOLE, etag=None), id="everything"),
        pytest.param(Fields(status=416, content_range="bytes */1000"), id="416"),
    ],
)
def test_a_compared_range_with_a_sign_of_change_starts_over(known: Known, head: Fields) -> None:
    if known.weak_tag is None and head.etag is not None:
        # Nothing was known to compare it with.
        assert isinstance(classified(known, head), UseResponse)
    else:
        assert isinstance(classified(known, head), Restart)


@pytest.mark.parametrize(
    ("known", "head"),
    [
        pytest.param(replace(WEAKLY_KNOWN[0], weak_tag='W/"v1"'), replace(WEAK_REST, etag='W/"v2"'), id="weak tag"),
        pytest.param(replace(WEAKLY_KNOWN[0], weak_tag='W/"v1"'), replace(WEAK_REST, etag='"v2"'), id="strong tag"),
        pytest.param(
            replace(WEAKLY_KNOWN[0], last_modified=MODIFIED), replace(WEAK_REST, last_modified=DATE), id="date"
        ),
        pytest.param(
            replace(WEAKLY_KNOWN[0], last_modified=MODIFIED, weak_tag='W/"v1"'),
            replace(WEAK_REST, last_modified=DATE, etag='W/"v1"'),
            id="date under the same tag",
        ),
    ],
)
def test_a_compared_range_under_another_weak_validator_starts_over(known: Known, head: Fields) -> None:
    assert isinstance(classified(known, head), Restart)


def test_another_digest_of_the_representation_starts_over_for_all_evidence() -> None:
    digest = OriginDigest(source="Repr-Digest", checksum=f"sha-256={'0' * 64}")
    for evidence in Evidence:
        request = RangeRequest(start=400, evidence=evidence, if_range='"v1"' if evidence is Evidence.IF_RANGE else None)
        known = Representation(total=1000, validator='"v1"', origin_digests=(digest,))
        same = replace(REST, repr_digest=f"sha-256=:{'A' * 43}=:")
        assert isinstance(classify(request, known, same.parse(), max_size=0), UseResponse)
        other = replace(REST, repr_digest=f"sha-256=:{'B' * 42}A=:")
        assert isinstance(classify(request, known, other.parse(), max_size=0), Restart)


def test_a_validator_that_appears_is_known_from_then_on() -> None:
    got = classified(WEAKLY_KNOWN[0], REST)
    assert isinstance(got, UseResponse)
    assert (got.found.validator, got.found.last_modified, got.evidence) == ('"v1"', MODIFIED, Evidence.OVERLAP)
    assert not got.is_divisible
