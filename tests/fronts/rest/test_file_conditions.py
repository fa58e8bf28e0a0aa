"""Conditions and ranges of requests for a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.errors import PreconditionFailedError, RangeNotSatisfiableError
from downloadd.fronts.rest.file_conditions import Representation, Selection, select_content

FILE = Representation(size=100, entity_tag='"tag"', modified=1_000_000_000)
DATE = "Sun, 09 Sep 2001 01:46:40 GMT"
EARLIER = "Sun, 09 Sep 2001 01:46:39 GMT"
WHOLE = Selection(status=200, end=100)
UNCHANGED = Selection(status=304)


def part(start: int, end: int) -> Selection:
    return Selection(status=206, start=start, end=end)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, WHOLE),
        ({"Range": "bytes=0-0"}, part(0, 1)),
        ({"Range": "bytes=10-19"}, part(10, 20)),
        ({"Range": "Bytes= 10-19"}, part(10, 20)),
        ({"Range": "bytes=90-"}, part(90, 100)),
        ({"Range": "bytes=90-1000"}, part(90, 100)),
        ({"Range": "bytes=-10"}, part(90, 100)),
        ({"Range": "bytes=-1000"}, part(0, 100)),
        # Several ranges, other units and malformed fields are ignored.
        ({"Range": "bytes=0-1,5-6"}, WHOLE),
        ({"Range": "lines=1-2"}, WHOLE),
        ({"Range": "bytes=-"}, WHOLE),
        ({"Range": "bytes=20-10"}, WHOLE),
        ({"Range": "bytes=\u0661-"}, WHOLE),
        ({"Range": "bytes=10-19", "If-Range": '"tag"'}, part(10, 20)),
        ({"Range": "bytes=10-19", "If-Range": 'W/"tag"'}, WHOLE),
        ({"Range": "bytes=10-19", "If-Range": '"other"'}, WHOLE),
        ({"Range": "bytes=10-19", "If-Range": DATE}, part(10, 20)),
        ({"Range": "bytes=10-19", "If-Range": EARLIER}, WHOLE),
        ({"If-None-Match": '"tag"'}, UNCHANGED),
        ({"If-None-Match": '"a, b", W/"tag"'}, UNCHANGED),
        ({"If-None-Match": "*"}, UNCHANGED),
        ({"If-None-Match": '"other"'}, WHOLE),
        # The date is ignored beside a tag.
        ({"If-None-Match": '"other"', "If-Modified-Since": DATE}, WHOLE),
        ({"If-Modified-Since": DATE}, UNCHANGED),
        ({"If-Modified-Since": EARLIER}, WHOLE),
        ({"If-Modified-Since": "yesterday"}, WHOLE),
        ({"If-Match": '"other", "tag"'}, WHOLE),
        ({"If-Match": "*"}, WHOLE),
        ({"If-Unmodified-Since": DATE}, WHOLE),
        ({"If-Match": '"tag"', "If-Unmodified-Since": EARLIER}, WHOLE),
        ({"If-None-Match": '"tag"', "Range": "bytes=0-0"}, UNCHANGED),
    ],
)
def test_a_request_gets_what_its_conditions_say(fields: dict[str, str], expected: Selection) -> None:
    assert select_content("GET", fields, FILE) == expected


@pytest.mark.parametrize("fields", [{"If-Match": '"other"'}, {"If-Match": 'W/"tag"'}, {"If-Unmodified-Since": EARLIER}])
def test_another_file_than_the_condition_names_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(PreconditionFailedError):
        select_content("GET", fields, FILE)


@pytest.mark.parametrize("field", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_after_the_end_is_refused_with_the_size(field: str) -> None:
    with pytest.raises(RangeNotSatisfiableError) as caught:
        select_content("GET", {"Range": field}, FILE)
    assert caught.value.size == 100


def test_only_get_has_ranges() -> None:
    assert select_content("HEAD", {"Range": "bytes=0-0"}, FILE) == WHOLE


def test_an_empty_file_has_no_range() -> None:
    empty = Representation(size=0, entity_tag='"e"', modified=0)
    assert select_content("GET", {}, empty) == Selection(status=200)
    for field in ("bytes=0-", "bytes=-5"):
        with pytest.raises(RangeNotSatisfiableError):
            select_content("GET", {"Range": field}, empty)


@given(
    st.dictionaries(
        st.sampled_from(["Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"]),
        st.text(max_size=40) | st.from_regex(r"bytes=[0-9]{0,4}-[0-9]{0,4}(,[0-9]-[0-9])?", fullmatch=True),
    ),
    st.integers(0, 5000),
)
def test_whatever_the_fields_are_the_selection_lies_in_the_file(fields: dict[str, str], size: int) -> None:
    file = Representation(size=size, entity_tag='"tag"', modified=1_000_000_000)
    try:
        selection = select_content("GET", fields, file)
    except (PreconditionFailedError, RangeNotSatisfiableError):
        return
    assert 0 <= selection.start <= selection.end <= size
    assert (selection.status == 206) <= (selection.start < selection.end)
