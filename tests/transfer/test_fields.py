import base64
import hashlib
from urllib.parse import quote

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
    parse_content_disposition,
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
        pytest.param("5, 5", 5, id="identical twice"),
        pytest.param("5,5 ,\t5", 5, id="identical three times"),
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
        pytest.param("5, 6", id="different"),
        pytest.param("5,", id="empty member"),
        pytest.param("5;5", id="semicolon"),
        pytest.param(str(MAX_LENGTH_BYTES + 1), id="too long"),
        pytest.param("9" * 5000, id="more digits than an int may have"),
    ],
)
def test_an_invalid_content_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        parse_content_length(text)


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


# ----- Content-Disposition


def octets(raw: bytes) -> str:
    """Return a field value as the client library returns it."""
    return raw.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        # The cases and names of the public test suite for RFC 6266 at greenbytes.de/tech/tc2231.
        pytest.param("inline", None, id="inlonly"),
        pytest.param('"inline"', None, id="inlonlyquoted"),
        pytest.param('inline; filename="foo.html"', "foo.html", id="inlwithasciifilename"),
        pytest.param('inline; filename="Not an attachment!"', "Not an attachment!", id="inlwithfnattach"),
        pytest.param("attachment", None, id="attonly"),
        pytest.param("ATTACHMENT", None, id="attonlyucase"),
        pytest.param('attachment; filename="foo.html"', "foo.html", id="attwithasciifilename"),
        pytest.param(
            'attachment; filename="00000000001111111111222222222233333"',
            "00000000001111111111222222222233333",
            id="attwithasciifilename35",
        ),
        pytest.param(r'attachment; filename="f\oo.html"', "foo.html", id="attwithasciifnescapedchar"),
        pytest.param(
            r'attachment; filename="\"quoting\" tested.html"', '"quoting" tested.html', id="attwithasciifnescapedquote"
        ),
        pytest.param(
            'attachment; filename="Here\'s a semicolon;.html"', "Here's a semicolon;.html", id="attwithquotedsemicolon"
        ),
        pytest.param('attachment; foo="bar"; filename="foo.html"', "foo.html", id="attwithfilenameandextparam"),
        pytest.param(r'attachment; foo="\"\\";filename="foo.html"', "foo.html", id="attwithfilenameandextparamescaped"),
        pytest.param('attachment; FILENAME="foo.html"', "foo.html", id="attwithasciifilenameucase"),
        pytest.param("attachment; filename=foo.html", "foo.html", id="attwithasciifilenamenq"),
        pytest.param("attachment; filename=foo,bar.html", "foo,bar.html", id="attwithtokfncommanq"),
        pytest.param("attachment; filename=foo.html ;", "foo.html", id="attwithasciifilenamenqs"),
        pytest.param("attachment; ;filename=foo", "foo", id="attemptyparam"),
        pytest.param("attachment; filename=foo bar.html", "foo bar.html", id="attwithasciifilenamenqws"),
        pytest.param("attachment; filename='foo.bar'", "'foo.bar'", id="attwithfntokensq"),
        pytest.param(octets(b'attachment; filename="foo-\xe4.html"'), "foo-ä.html", id="attwithisofnplain"),
        pytest.param(octets(b'attachment; filename="foo-\xc3\xa4.html"'), "foo-ä.html", id="attwithutf8fnplain"),
        pytest.param('attachment; filename="foo-%41.html"', "foo-%41.html", id="attwithfnrawpctenca"),
        pytest.param('attachment; filename="50%.html"', "50%.html", id="attwithfnusingpct"),
        pytest.param(r'attachment; filename="foo-%\41.html"', "foo-%41.html", id="attwithfnrawpctencaq"),
        pytest.param('attachment; name="foo-%41.html"', None, id="attwithnamepct"),
        pytest.param(octets(b'attachment; filename="\xe4-%41.html"'), "ä-%41.html", id="attwithfilenamepctandiso"),
        pytest.param('attachment; filename ="foo.html"', "foo.html", id="attwithasciifilenamews1"),
        pytest.param('attachment; filename="foo.html"; filename="bar.html"', "foo.html", id="attwith2filenames"),
        pytest.param("attachment; filename=foo[1](2).html", "foo[1](2).html", id="attfnbrokentoken"),
        pytest.param(octets(b"attachment; filename=foo-\xe4.html"), "foo-ä.html", id="attfnbrokentokeniso"),
        pytest.param(octets(b"attachment; filename=foo-\xc3\xa4.html"), "foo-ä.html", id="attfnbrokentokenutf"),
        pytest.param("filename=foo.html", "foo.html", id="attmissingdisposition"),
        pytest.param("; filename=foo.html", "foo.html", id="emptydisposition"),
        pytest.param("inline; attachment; filename=foo.html", "foo.html", id="attandinline"),
        pytest.param('attachment; filename="foo.html".txt', "foo.html", id="attbrokenquotedfn"),
        pytest.param('attachment; filename="bar', "bar", id="attbrokenquotedfn2"),
        pytest.param("attachment; foo=foo filename=bar", None, id="attmissingdelim"),
        pytest.param("attachment filename=bar", None, id="attmissingdelim3"),
        pytest.param("filename=foo.html; attachment", "foo.html", id="attreversed"),
        pytest.param("attachment; xfilename=foo.html", None, id="attconfusedparam"),
        pytest.param('attachment; filename="/foo.html"', "/foo.html", id="attabspath"),
        pytest.param(r'attachment; filename="\\foo.html"', r"\foo.html", id="attabspathwin"),
        pytest.param('attachment; creation-date="Wed, 12 Feb 1997 16:29:51 -0500"', None, id="attcdate"),
        pytest.param("foobar", None, id="dispext"),
        pytest.param('foobar; filename="foo.html"', "foo.html", id="dispext with a name"),
        pytest.param('attachment; example="filename=example.txt"', None, id="dispextbadfn"),
        pytest.param("attachment; filename*=iso-8859-1''foo-%E4.html", "foo-ä.html", id="attwithisofn2231iso"),
        pytest.param("attachment; filename*=UTF-8''foo-%c3%a4-%e2%82%ac.html", "foo-ä-€.html", id="attwithfn2231utf8"),
        pytest.param("attachment; filename*=''foo-%c3%a4.html", None, id="attwithfn2231noc"),
        pytest.param(
            "attachment; filename*=UTF-8''foo-a%cc%88.html", "foo-a\N{COMBINING DIAERESIS}.html", id="2231utf8comp"
        ),
        pytest.param("attachment; filename*=utf-8''foo-%E4.html", None, id="attwithfn2231iso-bad"),
        pytest.param("attachment; filename *=UTF-8''foo-%c3%a4.html", None, id="attwithfn2231ws1"),
        pytest.param("attachment; filename*= UTF-8''foo-%c3%a4.html", "foo-ä.html", id="attwithfn2231ws2"),
        pytest.param("attachment; filename* =UTF-8''foo-%c3%a4.html", "foo-ä.html", id="attwithfn2231ws3"),
        pytest.param("attachment; filename*=\"UTF-8''foo-%c3%a4.html\"", "foo-ä.html", id="attwithfn2231quot"),
        pytest.param('attachment; filename*="foo%20bar.html"', None, id="attwithfn2231quot2"),
        pytest.param("attachment; filename*=UTF-8'foo-%c3%a4.html", None, id="attwithfn2231singleqmissing"),
        pytest.param("attachment; filename*=UTF-8''foo%", None, id="attwithfn2231nbadpct1"),
        pytest.param("attachment; filename*=UTF-8''f%oo.html", None, id="attwithfn2231nbadpct2"),
        pytest.param("attachment; filename*=UTF-8''A-%2541.html", "A-%41.html", id="attwithfn2231dpct"),
        pytest.param("attachment; filename*=UTF-8''%5cfoo.html", r"\foo.html", id="attwithfn2231abspathdisguised"),
        pytest.param('attachment; filename*0="foo."; filename*1="html"', None, id="attfncont"),
        pytest.param("attachment; filename*0*=UTF-8''foo-%c3%a4; filename*1=\".html\"", None, id="attfncontenc"),
        pytest.param(
            "attachment; filename=\"foo-ae.html\"; filename*=UTF-8''foo-%c3%a4.html", "foo-ä.html", id="attfnboth"
        ),
        pytest.param(
            "attachment; filename*=UTF-8''foo-%c3%a4.html; filename=\"foo-ae.html\"", "foo-ä.html", id="attfnboth2"
        ),
        pytest.param(
            "attachment; filename*0*=ISO-8859-15''euro-sign%3d%a4; filename*=ISO-8859-1''currency-sign%3d%a4",
            "currency-sign=¤",
            id="attfnboth3",
        ),
        pytest.param('attachment; foobar=x; filename="foo.html"', "foo.html", id="attnewandfn"),
        pytest.param(
            "attachment; filename==?ISO-8859-1?Q?foo-=E4.html?=", "=?ISO-8859-1?Q?foo-=E4.html?=", id="attrfc2047token"
        ),
        # RFC 6266, section 5, and RFC 8187, section 3.2.3.
        pytest.param('INLINE; FILENAME= "an example.html"', "an example.html", id="RFC 6266, 5"),
        pytest.param(
            "attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates", "€ rates", id="RFC 6266, 5: both"
        ),
        pytest.param("attachment; filename*=iso-8859-1'en'%A3%20rates", "£ rates", id="RFC 8187: language"),
        # Beyond them.
        pytest.param("attachment; filename=\"a.txt\"; filename*=UTF-8''%E4", "a.txt", id="broken, so the plain one"),
        pytest.param("attachment; filename=a; filename*=windows-1252''%80", "a", id="unknown charset"),
        pytest.param("attachment; filename=a; filename*=UTF-8''", "a", id="empty extended one"),
        pytest.param("attachment; filename*=UTF-8''%FF; filename*=UTF-8''b", "b", id="the first that can be decoded"),
        pytest.param("attachment; filename*=UTF-8''a b.txt", "a b.txt", id="extended, raw blank"),
        pytest.param(octets("attachment; filename*=UTF-8''ä.txt".encode()), "ä.txt", id="extended, raw UTF-8"),
        pytest.param(octets(b"attachment; filename*=ISO-8859-1''\xe4.txt"), None, id="extended, raw ISO-8859-1"),
        pytest.param("attachment; filename=\"a\" filename*=UTF-8''b; x=y", "a", id="more behind a closing quote"),
        pytest.param('attachment; filename=""', None, id="empty"),
        pytest.param("attachment; filename=", None, id="no value"),
        pytest.param('attachment; filename=""; filename=b', "b", id="the first that has a value"),
        pytest.param('attachment; filename="a\\', "a\\", id="ends in a backslash"),
        pytest.param('attachment;filename="a.txt";size=3', "a.txt", id="no blanks"),
        pytest.param(octets('attachment; filename="日本語.txt"'.encode()), "日本語.txt", id="raw UTF-8, three octets"),
        pytest.param('attachment; filename="../../etc/passwd"', "../../etc/passwd", id="not made safe here"),
        pytest.param("attachment; filename=\ud800x", "?x", id="text that no octets decode to"),
        pytest.param("", None, id="empty field"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_the_name_in_a_content_disposition_is_parsed(text: str | None, name: str | None) -> None:
    assert parse_content_disposition(text) == name


DISPOSITIONS = st.lists(
    st.sampled_from(
        [
            "attachment",
            "; ",
            ";",
            "filename",
            "filename*",
            "=",
            '"',
            "\\",
            "UTF-8''",
            "iso-8859-1''",
            "%",
            "%e4",
            "%c3%a4",
        ]
    )
    | st.text(st.characters(codec=None), max_size=3),
    max_size=12,
).map("".join)


@given(DISPOSITIONS | UNTRUSTED_TEXT | st.binary(max_size=60).map(octets))
def test_a_foreign_disposition_never_crashes_and_its_name_has_utf8(text: str) -> None:
    name = parse_content_disposition(text)
    assert name is None or name.encode()


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@given(NAMES)
def test_any_name_survives_an_extended_parameter(name: str) -> None:
    assert parse_content_disposition(f"attachment; filename=x; filename*=UTF-8''{quote(name, safe='')}") == name


@given(NAMES)
def test_any_name_survives_a_quoted_string(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_content_disposition(octets(f'attachment; filename="{quoted}"; x=y'.encode())) == name


def test_a_long_field_is_parsed_in_linear_time() -> None:
    assert parse_content_disposition("a;" * 500_000 + "filename=x") == "x"
    assert parse_content_disposition('filename="' + "\\" * 1_000_000) is not None


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
