"""Decoding of queries and bodies, and the messages about values that do not fit."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.errors import InvalidParameterError
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.query_decoding import (
    MAX_PROBLEM_CHARACTERS,
    QueryDecoder,
    describe_validation_error,
    parameter_names,
    redact_parameter_name,
)
from downloadd.fronts.rest.schemas import BatchBody, DirectoryListingQuery, HistoryQuery, ListingQuery, StartQuery
from downloadd.fronts.rest.target import parse_query


@pytest.mark.parametrize("type", [StartQuery, DirectoryListingQuery, HistoryQuery])
@given(text=st.text())
def test_any_query_is_decoded_or_refused(type: type[StartQuery], text: str) -> None:
    decoder = QueryDecoder(type)
    try:
        decoder.decode(parse_query(text))
    except InvalidParameterError as error:
        error.detail.encode()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"downloads": [{"url": "a", "colour": 1}]}', "downloads[0]: object contains unknown field colour"),
        ('{"colour": 1}', "body: object contains unknown field colour"),
        (
            '{"downloads": [{"url": "a", "https://u:s3cret@h/?token=s3cret": 1}]}',
            "downloads[0]: object contains an unknown field with a name that is not repeated here",
        ),
        (
            '{"s3cret` - at `$.x`": 1}',
            "body: object contains an unknown field with a name that is not repeated here",
        ),
        (
            '{"downloads": [{"url": "a", "conflict": "https://u:s3cret@h/ - at `$.x`"}]}',
            "downloads[0].conflict: expected one of rename, overwrite, skip, error",
        ),
    ],
)
def test_a_message_about_a_body_repeats_no_secret(body: str, detail: str) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        decode_body(body.encode(), BatchBody)
    assert refused.value.detail == detail


def detail_of(type: type[StartQuery], query: str) -> str:
    with pytest.raises(InvalidParameterError) as refused:
        QueryDecoder(type).decode(parse_query(query))
    return refused.value.detail


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("segments=1", "body: object missing required field download"),
        ("download=a&segments=0", "segments: must be at least 1"),
        ("download=a&segments=17", "segments: must be at most 16"),
        ("download=a&segments=x", "segments: expected an integer in decimal digits"),
        ("download=a&stall_timeout=1e3", "stall_timeout: expected a number in decimal digits, such as 30 or 0.5"),
        ("download=a&stall_timeout=nan", "stall_timeout: expected a number in decimal digits, such as 30 or 0.5"),
        ("download=a&connect_timeout=-0.5", "connect_timeout: must be at least 0"),
        ("download=a&connect_timeout=86401", "connect_timeout: must be at most 86400"),
        ("download=a&conflict=x", "conflict: expected one of rename, overwrite, skip, error"),
        ("download=a&filename=%ff", "filename: not UTF-8; percent-encode its UTF-8 bytes"),
        (f"download=a{'&download=a' * 16}", "download: must have at most 16 entries"),
        (
            "download=a&wait=1&wait=2",
            "wait: given more than once; if it belongs to the URL in download, percent-encode that URL",
        ),
    ],
)
def test_a_query_that_does_not_fit_is_explained(query: str, detail: str) -> None:
    assert detail_of(StartQuery, query) == detail


def test_a_number_may_have_decimals() -> None:
    query = QueryDecoder(StartQuery).decode(parse_query("download=a&stall_timeout=0.5&connect_timeout=30"))
    assert (query.stall_timeout, query.connect_timeout) == (0.5, 30.0)


def test_an_unknown_parameter_is_refused_with_the_known_ones() -> None:
    detail = detail_of(StartQuery, "download=a&colour=red")
    assert detail.startswith("colour: unknown parameter; known are download, filename, ")
    assert "colour" not in detail_of(StartQuery, "download=a&colour%20colour=red")


def test_a_plus_is_a_space_except_in_a_url() -> None:
    query = QueryDecoder(StartQuery).decode(parse_query("download=http://a/b+c&filename=d+e"))
    assert (query.download, query.filename) == (["http://a/b+c"], "d e")


def test_the_status_of_a_listing_is_an_active_state() -> None:
    decoder = QueryDecoder(ListingQuery)
    assert decoder.decode(parse_query("status=queued")).status == "queued"
    with pytest.raises(InvalidParameterError) as refused:
        decoder.decode(parse_query("status=completed"))
    assert refused.value.detail.startswith("status: expected one of downloading, paused, ")


def test_required_parameters_come_first() -> None:
    assert parameter_names(StartQuery)[0] == "download"
    assert set(parameter_names(StartQuery)) == set(StartQuery.__struct_fields__)


@pytest.mark.parametrize("name", ["https://u:s3cret@a.example/", "a b", "", "a" * 33])
def test_a_name_that_may_be_a_secret_is_replaced(name: str) -> None:
    assert redact_parameter_name(name) == "a name that is not repeated here"
    assert redact_parameter_name("colour") == "colour"


def test_a_message_about_a_long_value_is_cut() -> None:
    error = describe_validation_error(msgspec.ValidationError("x" * 1000))
    assert len(error.detail) <= MAX_PROBLEM_CHARACTERS + len("body: ")


class _Flag(msgspec.Struct):
    retry: bool = False


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
def test_a_boolean_is_true_or_false(text: str, value: bool) -> None:
    assert QueryDecoder(_Flag).decode(parse_query(f"retry={text}")).retry is value


@pytest.mark.parametrize("text", ["", "1", "True", "yes"])
def test_another_word_is_no_boolean(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="true, false"):
        QueryDecoder(_Flag).decode(parse_query(f"retry={text}"))
