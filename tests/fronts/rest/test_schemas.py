"""Structs of queries and bodies."""

from typing import get_args

import msgspec
import pytest

from downloadd.download_request import DownloadItem, RequestFieldParameters, StartParameters
from downloadd.fronts.rest.schemas import (
    ActiveStatus,
    BatchItem,
    DirectoriesQuery,
    DirectoryListingQuery,
    FinishedStatus,
    HistoryQuery,
    ListingQuery,
    StartQuery,
)
from downloadd.request_fields import RequestFields
from downloadd.states import ACTIVE, FINISHED


def test_a_start_and_a_batch_item_take_all_start_parameters() -> None:
    shared = StartParameters.__struct_fields__
    assert set(StartQuery.__struct_fields__) == {*shared, "download", "wait"}
    assert BatchItem.__struct_fields__ == DownloadItem.__struct_fields__
    assert set(BatchItem.__struct_fields__) == {
        *RequestFieldParameters.__struct_fields__,
        "url",
        "mirrors",
        "directory",
        "position",
    }


def test_request_fields_are_in_no_query() -> None:
    own = {*RequestFieldParameters.__struct_fields__} - {*StartParameters.__struct_fields__}
    assert own == {*RequestFields.__struct_fields__}
    assert not own & {*StartQuery.__struct_fields__}


def test_an_item_is_encoded_without_defaults() -> None:
    assert msgspec.json.encode(msgspec.convert({"url": "http://a"}, BatchItem)) == b'{"url":"http://a"}'


@pytest.mark.parametrize(
    "type",
    [StartQuery, BatchItem, ListingQuery, DirectoryListingQuery, HistoryQuery, DirectoriesQuery],
)
def test_every_parameter_has_a_description_in_the_api_document(type: type[msgspec.Struct]) -> None:
    properties = msgspec.json.schema(type)["$defs"][type.__name__]["properties"]
    for name, schema in properties.items():
        assert "description" in str(schema), name


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"url": "a", "colour": 1}, BatchItem)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", -1),
        ("segments", 0),
        ("segments", 17),
        ("priority", 1_000_001),
        ("speed_limit", -1),
        ("conflict", "x"),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"url": "a", field: value}, BatchItem)


def test_the_statuses_of_the_filters_are_those_of_the_table_of_states() -> None:
    assert set(get_args(ActiveStatus)) == {state.value for state in ACTIVE}
    assert set(get_args(FinishedStatus)) == {state.value for state in FINISHED}
