"""Decoding of queries and bodies, and the messages about values that do not fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.errors import InvalidParameterError
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.query_decoding import (
    QueryDecoder,
)
from downloadd.fronts.rest.schemas import BatchBody, DirectoryListingQuery, HistoryQuery, StartQuery
from downloadd.fronts.rest.target import parse_query


@pytest.mark.parametrize("type", [StartQuery, DirectoryListingQuery, HistoryQuery])
@given(text=st.text())
def test_any_query_is_read_or_refused(type: type[StartQuery], text: str) -> None:
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
def test_what_a_body_holds_is_not_repeated_where_it_may_be_a_secret(body: str, detail: str) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        decode_body(body.encode(), BatchBody)
    assert refused.value.detail == detail
