import pytest
from multidict import CIMultiDict

from downloadd.download import OriginDigest
from downloadd.transfer.representation import Representation
from downloadd.transfer.response_facts import Answer, Facts, Length, Version, find_facts
from downloadd.transfer.response_head import parse_response_head
from downloadd.transfer.resume import Evidence, RangeRequest

NOW = 1_700_000_000.0
OLD = "Sun, 06 Nov 1994 08:49:37 GMT"
OLD_TIME = 784_111_777
OTHER_OLD = "Mon, 07 Nov 1994 08:49:37 GMT"
FRESH = "Tue, 14 Nov 2023 22:13:00 GMT"
FRESH_TIME = 1_699_999_980
REST = RangeRequest(start=400, evidence=Evidence.OVERLAP)
UNDER_PRECONDITION = RangeRequest(start=400, evidence=Evidence.IF_RANGE, if_range="x")
BY_TAG = Representation(total=1000, validator='"v"')
BY_DATE = Representation(total=1000, validator=OLD, last_modified=OLD_TIME)


def found(request: RangeRequest, known: Representation, status: int, **fields: str) -> Facts:
    lines = CIMultiDict((name.replace("_", "-"), value) for name, value in fields.items())
    return find_facts(request, known, parse_response_head(status, lines, now=NOW))


@pytest.mark.parametrize(
    ("request_", "status", "fields", "answer"),
    [
        (RangeRequest(), 200, {}, Answer.COMPLETE),
        (RangeRequest(), 203, {}, Answer.COMPLETE),
        (RangeRequest(), 200, {"Content_Range": "bytes 0-9/20"}, Answer.ERROR),
        (RangeRequest(), 206, {"Content_Range": "bytes 0-9/10"}, Answer.ERROR),
        (RangeRequest(), 416, {}, Answer.ERROR),
        (REST, 200, {}, Answer.COMPLETE),
        (REST, 200, {"Content_Range": "bytes 0-999/1000"}, Answer.COMPLETE),
        (REST, 200, {"Content_Range": "bytes 400-999/1000"}, Answer.RANGE_UNDER_200),
        (REST, 200, {"Content_Range": "bytes 400-998/1000"}, Answer.OTHER_RANGE),
        (REST, 200, {"Content_Range": "bytes 400-999/*"}, Answer.OTHER_RANGE),
        (REST, 200, {"Content_Type": "multipart/byteranges; boundary=x"}, Answer.OTHER_RANGE),
        (REST, 206, {"Content_Range": "bytes 400-999/1000"}, Answer.RANGE),
        (REST, 206, {"Content_Range": "bytes 400-499/1000"}, Answer.RANGE),
        (REST, 206, {"Content_Range": "bytes 400-999/1000", "Content_Length": "599"}, Answer.OTHER_RANGE),
        (REST, 206, {"Content_Range": "bytes 399-999/1000"}, Answer.OTHER_RANGE),
        (REST, 206, {}, Answer.OTHER_RANGE),
        (REST, 416, {"Content_Range": "bytes */400"}, Answer.END_REACHED),
        (REST, 416, {"Content_Range": "bytes */1000"}, Answer.REFUSED_RANGE),
        (REST, 416, {}, Answer.REFUSED_RANGE),
        (REST, 412, {}, Answer.PRECONDITION_FAILED),
        (REST, 503, {}, Answer.ERROR),
    ],
)
def test_the_kind_of_a_response_follows_from_status_and_framing(
    request_: RangeRequest, status: int, fields: dict[str, str], answer: Answer
) -> None:
    assert found(request_, BY_TAG, status, **fields).answer is answer


@pytest.mark.parametrize(
    ("known", "fields", "version"),
    [
        (BY_TAG, {"ETag": '"v"'}, Version.SAME),
        (BY_TAG, {"ETag": '"v"', "Last_Modified": "lately"}, Version.SAME),
        (BY_TAG, {"ETag": '"w"'}, Version.OTHER),
        (BY_TAG, {"ETag": 'W/"v"'}, Version.MISSING),
        (BY_TAG, {"ETag": 'W/"w"'}, Version.OTHER_WEAK),
        (BY_TAG, {"ETag": "v"}, Version.OTHER),
        (BY_TAG, {}, Version.MISSING),
        (BY_DATE, {"Last_Modified": OLD}, Version.SAME),
        (BY_DATE, {"Last_Modified": "Sunday, 06-Nov-94 08:49:37 GMT"}, Version.SAME),
        (BY_DATE, {"Last_Modified": OTHER_OLD}, Version.OTHER),
        (BY_DATE, {"Last_Modified": FRESH}, Version.OTHER_WEAK),
        (BY_DATE, {"Last_Modified": "lately"}, Version.OTHER),
        (BY_DATE, {}, Version.MISSING),
        (Representation(), {}, Version.UNCHANGED),
        (Representation(), {"ETag": '"v"'}, Version.UNCHANGED),
        (Representation(weak_tag='W/"v"'), {"ETag": 'W/"v"'}, Version.UNCHANGED),
        (Representation(weak_tag='W/"v"'), {"ETag": '"v"'}, Version.UNCHANGED),
        (Representation(weak_tag='W/"v"'), {"ETag": 'W/"w"'}, Version.OTHER_WEAK),
        (Representation(weak_tag='W/"v"'), {"ETag": '"w"'}, Version.OTHER),
        (Representation(weak_tag='W/"v"'), {}, Version.MISSING),
        (Representation(weak_tag='W/"v"'), {"ETag": "v"}, Version.OTHER),
        (Representation(last_modified=FRESH_TIME), {"Last_Modified": FRESH}, Version.UNCHANGED),
        (Representation(last_modified=FRESH_TIME), {"Last_Modified": OLD}, Version.OTHER),
        (Representation(last_modified=OLD_TIME), {"Last_Modified": FRESH}, Version.OTHER_WEAK),
        (Representation(last_modified=FRESH_TIME), {}, Version.MISSING),
        (Representation(last_modified=FRESH_TIME), {"Last_Modified": "lately"}, Version.OTHER),
        (
            Representation(last_modified=FRESH_TIME, weak_tag='W/"v"'),
            {"ETag": 'W/"v"', "Last_Modified": OLD},
            Version.OTHER_WEAK,
        ),
        (Representation(last_modified=FRESH_TIME, weak_tag='W/"v"'), {"ETag": 'W/"v"'}, Version.UNCHANGED),
    ],
)
def test_validators_are_compared(known: Representation, fields: dict[str, str], version: Version) -> None:
    assert found(REST, known, 206, **fields).version is version


@pytest.mark.parametrize(
    ("status", "fields", "version"),
    [
        (206, {}, Version.SAME),
        (416, {}, Version.SAME),
        (200, {}, Version.MISSING),
        (206, {"ETag": '"v"'}, Version.MISSING),
    ],
)
def test_a_date_need_not_be_repeated_if_it_was_a_precondition(
    status: int, fields: dict[str, str], version: Version
) -> None:
    assert found(UNDER_PRECONDITION, BY_DATE, status, **fields).version is version


@pytest.mark.parametrize(("value", "version"), [("A" * 43, Version.SAME), ("B" * 42 + "A", Version.OTHER)])
def test_another_digest_is_another_version_whatever_the_validator_is(value: str, version: Version) -> None:
    digests = (OriginDigest(source="Digest", checksum=f"sha-256={'0' * 64}"),)
    known = Representation(validator='"v"', origin_digests=digests)
    assert found(REST, known, 206, ETag='"v"', Repr_Digest=f"sha-256=:{value}=:").version is version
    # Another algorithm says nothing.
    assert found(REST, known, 206, ETag='"v"', Repr_Digest="md5=:AAAAAAAAAAAAAAAAAAAAAA==:").version is Version.SAME


@pytest.mark.parametrize(
    ("total", "status", "fields", "length"),
    [
        (1000, 200, {"Content_Length": "1000"}, Length.SAME),
        (1000, 200, {"Content_Length": "600"}, Length.REST),
        (1000, 200, {"Content_Length": "599"}, Length.OTHER),
        (1000, 200, {}, Length.UNKNOWN),
        (None, 200, {"Content_Length": "1000"}, Length.UNKNOWN),
        (1000, 206, {"Content_Range": "bytes 400-999/1000"}, Length.SAME),
        (1000, 206, {"Content_Range": "bytes 400-999/*"}, Length.SAME),
        (None, 206, {"Content_Range": "bytes 400-999/1000"}, Length.SAME),
        (None, 206, {"Content_Range": "bytes 400-999/*"}, Length.UNKNOWN),
        (1000, 206, {"Content_Range": "bytes 400-999/1001"}, Length.OTHER),
        (1000, 206, {"Content_Range": "bytes 400-1000/*"}, Length.OTHER),
    ],
)
def test_lengths_are_compared(total: int | None, status: int, fields: dict[str, str], length: Length) -> None:
    assert found(REST, Representation(total=total), status, **fields).length is length


def test_codings_and_media_types_are_compared() -> None:
    zipped = Representation(coding="gzip", media_type="application/zip")
    facts = found(REST, zipped, 206, Content_Encoding="gzip", Content_Type="application/zip; x=y")
    assert (facts.has_other_coding, facts.has_other_media_type) == (False, False)
    facts = found(REST, zipped, 206, Content_Type="text/html")
    assert (facts.has_other_coding, facts.has_other_media_type) == (True, True)
    # A range may leave the coding out: then the overlap decides.
    overlapping = RangeRequest(start=400, evidence=Evidence.OVERLAP, has_overlap=True)
    assert not found(overlapping, zipped, 206).has_other_coding
    assert found(overlapping, zipped, 206, Content_Encoding="identity").has_other_coding
    assert not found(REST, Representation(), 206, Content_Type="text/html").has_other_media_type
