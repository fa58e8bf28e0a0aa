import base64
import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.response_fields import format_content_range, format_http_date

from downloadd.transfer.fields import (
    MAX_LENGTH_BYTES,
    MIN_CLOCK_DIFFERENCE_SECONDS,
    ContentRange,
    format_range,
    is_entity_tag,
    parse_content_length,
    parse_content_range,
    parse_digest_field,
    parse_entity_tag,
    parse_http_date,
    parse_legacy_digest,
    parse_retry_after,
    strong_validator,
)
from downloadd.verify import parse_checksum

NOW = 1_700_000_000.0
"""Tue, 14 Nov 2023 22:13:20 GMT."""

UNTRUSTED_TEXT = st.text(st.characters(codec=None), max_size=80)
"""Anything that decoding with `surrogateescape` can give, and more."""

# ----- lengths and ranges


@pytest.mark.parametrize(
    ("text", "length"),
    [
        pytest.param("0", 0, id="nothing"),
        pytest.param("3495", 3495, id="RFC 9110, 8.6"),
        pytest.param(" 42\t", 42, id="blanks around"),
        pytest.param("0042", 42, id="leading zeros"),
        pytest.param(str(MAX_LENGTH_BYTES), MAX_LENGTH_BYTES, id="the longest"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_a_content_length_is_parsed(text: str | None, length: int | None) -> None:
    assert parse_content_length(text) == length


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("-1", id="negative"),
        pytest.param("+1", id="sign"),
        pytest.param("1.0", id="fraction"),
        pytest.param("0x10", id="hexadecimal"),
        pytest.param("1_000", id="underscore"),
        pytest.param("1 000", id="blank inside"),
        pytest.param("٣", id="digits of another script"),
        pytest.param("²", id="superscript"),
        pytest.param("5, 5", id="list"),
        pytest.param("5;5", id="semicolon"),
        pytest.param(str(MAX_LENGTH_BYTES + 1), id="too long"),
        pytest.param("9" * 5000, id="more digits than an int may have"),
    ],
)
def test_what_is_not_a_content_length_is_none(text: str) -> None:
    assert parse_content_length(text) is None


@pytest.mark.parametrize(
    ("text", "first_pos", "last_pos", "complete_length"),
    [
        pytest.param("bytes 42-1233/1234", 42, 1233, 1234, id="RFC 9110, 14.4: known"),
        pytest.param("bytes 42-1233/*", 42, 1233, None, id="RFC 9110, 14.4: unknown"),
        pytest.param("bytes */1234", None, None, 1234, id="RFC 9110, 14.4: unsatisfied"),
        pytest.param("bytes 0-0/1", 0, 0, 1, id="one byte"),
        pytest.param("bytes */0", None, None, 0, id="unsatisfied, empty"),
        pytest.param("Bytes 0-1/2", 0, 1, 2, id="unit in any case"),
        pytest.param(" bytes 0-1/2 ", 0, 1, 2, id="blanks around"),
    ],
)
def test_a_content_range_is_parsed(
    text: str, first_pos: int | None, last_pos: int | None, complete_length: int | None
) -> None:
    expected = ContentRange(first_pos=first_pos, last_pos=last_pos, complete_length=complete_length)
    assert parse_content_range(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="absent"),
        pytest.param("", id="empty"),
        pytest.param("bytes 10-9/100", id="first after last"),
        pytest.param("bytes 0-100/100", id="last is the length"),
        pytest.param("bytes 0-9/9", id="last past the length"),
        pytest.param("bytes */*", id="says nothing"),
        pytest.param("bytes 0-9", id="no length"),
        pytest.param("bytes=0-9/10", id="like a request"),
        pytest.param("bytes: 0-9/10", id="colon"),
        pytest.param("bytes  0-9/10", id="two blanks"),
        pytest.param("0-9/10", id="no unit"),
        pytest.param("items 0-9/10", id="another unit"),
        pytest.param("bytes -9/10", id="no first"),
        pytest.param("bytes 0-/10", id="no last"),
        pytest.param("bytes +0-9/10", id="sign"),
        pytest.param("bytes 0-9/10, 20-29/30", id="two ranges"),
        pytest.param("bytes \N{ARABIC-INDIC DIGIT TWO}-\N{ARABIC-INDIC DIGIT NINE}/10", id="digits of another script"),
        pytest.param(f"bytes 0-9/{MAX_LENGTH_BYTES + 1}", id="too long"),
        pytest.param(f"bytes */{'9' * 5000}", id="more digits than an int may have"),
        pytest.param("bytes 0-9/10\n", id="line end"),
    ],
)
def test_an_invalid_content_range_is_ignored(text: str | None) -> None:
    assert parse_content_range(text) is None


@st.composite
def content_ranges(draw: st.DrawFn) -> ContentRange:
    """Draw any valid Content-Range."""
    complete_length = draw(st.none() | st.integers(1, MAX_LENGTH_BYTES))
    if draw(st.booleans()) and complete_length is not None:
        return ContentRange(complete_length=complete_length)
    last_pos = draw(st.integers(0, (MAX_LENGTH_BYTES if complete_length is None else complete_length) - 1))
    return ContentRange(first_pos=draw(st.integers(0, last_pos)), last_pos=last_pos, complete_length=complete_length)


@given(content_ranges())
def test_a_formatted_content_range_is_parsed_to_itself(content_range: ContentRange) -> None:
    assert parse_content_range(format_content_range(content_range)) == content_range


def test_a_range_has_no_end() -> None:
    assert format_range(300) == "bytes=300-"


# ----- validators

LAST_MODIFIED = "Tue, 15 Nov 1994 12:45:26 GMT"
MUCH_LATER = "Wed, 16 Nov 1994 12:45:26 GMT"


@pytest.mark.parametrize(
    ("etag", "last_modified", "date", "expected"),
    [
        pytest.param('"xyzzy"', None, None, '"xyzzy"', id="RFC 9110, 8.8.3: strong"),
        pytest.param('""', None, None, '""', id="RFC 9110, 8.8.3: empty"),
        pytest.param('W/"xyzzy"', None, None, None, id="RFC 9110, 8.8.3: weak"),
        pytest.param(' "xyzzy"\t', None, None, '"xyzzy"', id="blanks around"),
        pytest.param('"a b"', None, None, None, id="blank inside"),
        pytest.param('"a"b"', None, None, None, id="quote inside"),
        pytest.param("xyzzy", None, None, None, id="unquoted"),
        pytest.param('"xyzzy', None, None, None, id="not closed"),
        pytest.param('"xyzzy"-gzip', None, None, None, id="more behind"),
        pytest.param('"a", "b"', None, None, None, id="a list"),
        pytest.param('w/"xyzzy"', None, None, None, id="lower-case weak"),
        pytest.param('"ä"', None, None, '"ä"', id="UTF-8"),
        pytest.param('"\udce4"', None, None, None, id="octets that are not UTF-8"),
        pytest.param('"\x7f"', None, None, None, id="control"),
        pytest.param("", None, None, None, id="empty field"),
        pytest.param('"x"', LAST_MODIFIED, MUCH_LATER, '"x"', id="the tag wins"),
        pytest.param(None, LAST_MODIFIED, MUCH_LATER, LAST_MODIFIED, id="a date long ago"),
        pytest.param(None, f" {LAST_MODIFIED} ", MUCH_LATER, LAST_MODIFIED, id="a date, blanks around"),
        pytest.param(None, "Tue Nov 15 12:45:26 1994", MUCH_LATER, "Tue Nov 15 12:45:26 1994", id="exactly as sent"),
        pytest.param("xyzzy", LAST_MODIFIED, MUCH_LATER, LAST_MODIFIED, id="a date beside a malformed tag"),
        pytest.param('W/"x"', LAST_MODIFIED, MUCH_LATER, None, id="a date beside a weak tag"),
        pytest.param(None, LAST_MODIFIED, None, LAST_MODIFIED, id="no Date: the time of receipt"),
        pytest.param(None, LAST_MODIFIED, "yesterday", LAST_MODIFIED, id="invalid Date: the time of receipt"),
        pytest.param(None, "Tue, 14 Nov 2023 22:12:30 GMT", None, None, id="no Date, modified 50 s before"),
        pytest.param(None, "yesterday", MUCH_LATER, None, id="invalid Last-Modified"),
        pytest.param(None, None, MUCH_LATER, None, id="nothing"),
        pytest.param(None, LAST_MODIFIED, LAST_MODIFIED, None, id="modified in the same second"),
        pytest.param(None, LAST_MODIFIED, "Tue, 15 Nov 1994 12:46:25 GMT", None, id="modified 59 s before"),
        pytest.param(None, LAST_MODIFIED, "Tue, 15 Nov 1994 12:46:26 GMT", LAST_MODIFIED, id="modified 60 s before"),
        pytest.param(None, MUCH_LATER, LAST_MODIFIED, None, id="modified in the future"),
    ],
)
def test_only_a_strong_validator_allows_a_resume(
    etag: str | None, last_modified: str | None, date: str | None, expected: str | None
) -> None:
    assert strong_validator(etag=etag, last_modified=last_modified, date=date, now=NOW) == expected


@given(etag=st.none() | UNTRUSTED_TEXT, last_modified=st.none() | UNTRUSTED_TEXT, date=st.none() | UNTRUSTED_TEXT)
def test_a_foreign_validator_never_crashes(etag: str | None, last_modified: str | None, date: str | None) -> None:
    strong_validator(etag=etag, last_modified=last_modified, date=date, now=NOW)


@given(modified=st.integers(0, 2**32), age=st.integers(-100, 200))
def test_a_date_is_strong_from_the_clock_difference_on(modified: int, age: int) -> None:
    text = format_http_date(modified)
    date = format_http_date(max(0, modified + age))
    strong = max(0, modified + age) - modified >= MIN_CLOCK_DIFFERENCE_SECONDS
    assert strong_validator(etag=None, last_modified=text, date=date, now=NOW) == (text if strong else None)


@given(UNTRUSTED_TEXT.map(lambda text: f'"{text}"') | UNTRUSTED_TEXT)
def test_a_strong_validator_can_be_stored_and_sent(etag: str) -> None:
    validator = strong_validator(etag=etag, last_modified=None, date=None, now=NOW)
    if validator is not None:
        assert validator.encode()
        assert not any(c in validator for c in "\r\n\0 \t")
        assert is_entity_tag(validator)


def test_a_weak_tag_is_an_entity_tag_and_a_date_is_not() -> None:
    assert parse_entity_tag('W/"1"') == 'W/"1"'
    assert is_entity_tag('W/"1"')
    assert not is_entity_tag("Wed, 16 Nov 1994 12:45:26 GMT")


# ----- dates


@pytest.mark.parametrize(
    ("text", "time"),
    [
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777, id="RFC 9110, 5.6.7: IMF-fixdate"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777, id="RFC 9110, 5.6.7: RFC 850"),
        pytest.param("Sun Nov  6 08:49:37 1994", 784_111_777, id="RFC 9110, 5.6.7: asctime"),
        pytest.param("Wed Nov 16 08:49:37 1994", 784_975_777, id="asctime, two digits"),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", 0, id="the epoch"),
        pytest.param("Wed, 31 Dec 1969 23:59:59 GMT", -1, id="before the epoch"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799, id="the last second"),
        pytest.param("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800, id="leap day"),
        pytest.param("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800, id="leap second"),
        pytest.param("Mon, 06 Nov 1994 08:49:37 GMT", 784_111_777, id="wrong day of the week"),
        pytest.param(" Sun, 06 Nov 1994 08:49:37 GMT ", 784_111_777, id="blanks around"),
        pytest.param("Tuesday, 14-Nov-73 22:13:20 GMT", 3_277_923_200, id="RFC 850: 50 years ahead"),
        pytest.param("Wednesday, 14-Nov-73 22:13:21 GMT", 122_163_201, id="RFC 850: more than 50 years ahead"),
        pytest.param("Saturday, 01-Jan-00 00:00:00 GMT", 946_684_800, id="RFC 850: 2000"),
        pytest.param("Friday, 31-Dec-99 23:59:59 GMT", 946_684_799, id="RFC 850: 1999"),
    ],
)
def test_every_form_of_a_date_is_parsed(text: str, time: int) -> None:
    assert parse_http_date(text, now=NOW) == time


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="absent"),
        pytest.param("", id="empty"),
        pytest.param("0", id="expired, in the manner of Expires"),
        pytest.param("Sun, 06 Nov 1994 08:49:37", id="no zone"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 CET", id="another zone"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 +0000", id="an offset"),
        pytest.param("sun, 06 nov 1994 08:49:37 gmt", id="lower case"),
        pytest.param("Sun, 6 Nov 1994 08:49:37 GMT", id="one digit"),
        pytest.param("Sun, 31 Nov 1994 08:49:37 GMT", id="no such day"),
        pytest.param("Sun, 00 Nov 1994 08:49:37 GMT", id="day zero"),
        pytest.param("Wed, 29 Feb 2023 00:00:00 GMT", id="no leap year"),
        pytest.param("Sun, 06 Nov 1994 24:00:00 GMT", id="hour 24"),
        pytest.param("Sun, 06 Nov 1994 08:60:00 GMT", id="minute 60"),
        pytest.param("Sun, 06 Nov 1994 08:00:61 GMT", id="second 61"),
        pytest.param("Sun, 06 Nov 0000 08:49:37 GMT", id="year zero"),
        pytest.param("Sun, 06 Nov 1899 08:49:37 GMT", id="before 1900"),
        pytest.param("Sun, 06 Nov ٢٠٢٠ 08:49:37 GMT", id="digits of another script"),
        pytest.param("1994-11-06T08:49:37Z", id="RFC 3339"),
    ],
)
def test_other_text_is_not_a_date(text: str | None) -> None:
    assert parse_http_date(text, now=NOW) is None


@given(st.integers(-2_208_988_800, 253_402_300_799))
def test_a_formatted_date_is_parsed_to_itself(time: int) -> None:
    assert parse_http_date(format_http_date(time), now=NOW) == time


@given(year=st.integers(0, 99), now=st.integers(0, 4_000_000_000))
def test_a_year_of_two_digits_is_never_far_ahead_nor_too_long_ago(year: int, now: int) -> None:
    time = parse_http_date(f"Monday, 15-Jun-{year:02} 12:00:00 GMT", now=now)
    assert time is not None
    half_century = 50 * 365.25 * 86_400
    assert now - half_century - 2 * 86_400 <= time <= now + half_century + 2 * 86_400


@given(UNTRUSTED_TEXT)
@example("Thu, 29 Feb 1900 00:00:00 GMT")
@example("Thursday, 29-Feb-00 00:00:00 GMT")
def test_a_foreign_date_never_crashes(text: str) -> None:
    parse_http_date(text, now=NOW)


# ----- Retry-After


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("120", 120.0, id="RFC 9110, 10.2.3: delay"),
        pytest.param("Wed, 15 Nov 2023 22:13:20 GMT", 86_400.0, id="a date"),
        pytest.param("Fri, 31 Dec 1999 23:59:59 GMT", 0.0, id="RFC 9110, 10.2.3: a date, which has passed"),
        pytest.param("0", 0.0, id="at once"),
        pytest.param(" 7 ", 7.0, id="blanks around"),
        pytest.param("9999999999", 9_999_999_999.0, id="ten digits"),
        pytest.param("9" * 5000, float(MAX_LENGTH_BYTES), id="thousands of digits"),
        pytest.param("-1", None, id="negative"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("soon", None, id="a word"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_retry_after_is_parsed(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, now=NOW) == seconds


@given(UNTRUSTED_TEXT)
def test_a_foreign_retry_after_never_crashes(text: str) -> None:
    seconds = parse_retry_after(text, now=NOW)
    assert seconds is None or 0 <= seconds <= MAX_LENGTH_BYTES


SHA_256 = hashlib.sha256(b"abc")
B64 = base64.b64encode(SHA_256.digest()).decode()
B64_512 = base64.b64encode(hashlib.sha512(b"abc").digest()).decode()
B64_MD5 = base64.b64encode(hashlib.md5(b"abc").digest()).decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"sha-256=:{B64}:", "sha-256"),
        (f"md5=:{B64_MD5}:, sha-256=:{B64}:", "sha-256"),
        (f"sha-256=:{B64}:,sha-512=:{B64_512}:", "sha-512"),
        (f"\tsha-256=:{B64}: , unixsum=:AAAA:", "sha-256"),
        (f"md5=:{B64_MD5}:", "md5"),
        (f"sha-512=:{B64}:, sha-256=:{B64}:", "sha-256"),
        (None, None),
        ("", None),
        (f"sha-256={B64}", None),
        ("sha-256=:!!!:", None),
        ("sha-256=::", None),
        ("sha-256=:YWJj:", None),
        ("sha-256", None),
        (f"SHA-256=:{B64}:", None),
        ("\udcff=:\udcff:", None),
    ],
)
def test_the_strongest_digest_of_a_field_is_used_and_malformed_ones_are_ignored(
    text: str | None, expected: str | None
) -> None:
    digests = {"sha-256": SHA_256, "sha-512": hashlib.sha512(b"abc"), "md5": hashlib.md5(b"abc")}
    found = parse_digest_field(text)
    assert found == (None if expected is None else f"{expected}={digests[expected].hexdigest()}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"SHA-256={B64}", f"sha-256={SHA_256.hexdigest()}"),
        (f"md5={B64_MD5},sha-256={B64}", f"sha-256={SHA_256.hexdigest()}"),
        ("SHA=qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", f"sha-1={hashlib.sha1(b'abc').hexdigest()}"),
        (f"sha-256=:{B64}:", None),
        ("sha-256=\udcff", None),
        (None, None),
    ],
)
def test_a_legacy_digest_has_no_colons_and_any_case(text: str | None, expected: str | None) -> None:
    assert parse_legacy_digest(text) == expected


@given(st.text())
def test_a_foreign_digest_field_never_crashes(text: str) -> None:
    for parse in (parse_digest_field, parse_legacy_digest):
        found = parse(text)
        assert found is None or parse_checksum(found) == found
