"""Dates of cookies, as RFC 6265, section 5.1.1, reads them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.origin.cookie_dates import parse_cookie_date

DATE = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "06 nov 1994 08:49:37",
        "08:49:37 06 NOVEMBER 94",
        "1994 6 Nov 8:49:37",
        "Sun,06-Nov-1994-08:49:37-GMT",
        "Nov/6/1994;08:49:37",
        "6th Nov 1994 08:49:37.123 UTC",
        "\t06 Nov 1994x 08:49:37x",
        "06 Nov 1994 08:49:37 +0200",
        "06 Nov 1994 08:49:37 07 Dec 1995 09:50:38",
    ],
)
def test_a_date_is_read_in_every_form(text: str) -> None:
    assert parse_cookie_date(text) == DATE


@pytest.mark.parametrize(("year", "expected"), [("70", 1970), ("99", 1999), ("00", 2000), ("69", 2069), ("1601", 1601)])
def test_a_short_year_is_of_this_century_or_the_last(year: str, expected: int) -> None:
    parsed = parse_cookie_date(f"1 Jan {year} 00:00:00")
    assert parsed == datetime(expected, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "06 Nov 1994",
        "Nov 1994 08:49:37",
        "06 1994 08:49:37",
        "06 Nov 08:49:37",
        "00 Nov 1994 08:49:37",
        "32 Nov 1994 08:49:37",
        "30 Feb 1994 08:49:37",
        "06 Nov 1600 08:49:37",
        "06 Nov 1994 24:00:00",
        "06 Nov 1994 08:60:37",
        "06 Nov 1994 08:49:60",
        "06 Nov 1994 08:49",
        "006 Nov 08:49:37",
        "06 Nov 1994 008:49:37",
        "06 Nov 19940 08:49:37",
        "784111777",
        "\u0660\u0666 Nov 1994 08:49:37",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_cookie_date(text) is None


@given(st.integers(0, 253_402_300_799))
def test_written_dates_are_read_again(time: int) -> None:
    moment = datetime.fromtimestamp(time, UTC)
    assert parse_cookie_date(moment.strftime("%a, %d %b ") + f"{moment.year:04} {moment:%H:%M:%S} GMT") == (time)


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    parse_cookie_date(text)
