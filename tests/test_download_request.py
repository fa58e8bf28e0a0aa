"""The download request and its start parameters."""

from typing import get_args, get_type_hints

import msgspec
import pytest

from downloadd.download import Conflict
from downloadd.download_request import (
    DownloadItem,
    DownloadRequest,
    StartOptions,
    StartParameters,
    make_download_request,
)


def test_the_options_of_the_client_are_the_start_parameters() -> None:
    options = get_type_hints(StartOptions)
    fields = {field.name: field.type for field in msgspec.structs.fields(StartParameters)}
    assert list(options) == list(fields)
    for name, annotation in options.items():
        expected: tuple[type, ...] = (
            next((kind for kind in (float, int, bool) if kind.__name__ in str(fields[name])), str),
        )
        if name == "not_before":
            expected = (str, float)
        assert get_args(annotation) == (*expected, type(None)), name


def test_every_parameter_is_optional_and_has_a_description() -> None:
    schema = msgspec.json.schema(StartParameters)["$defs"]["StartParameters"]
    assert schema.get("required", []) == []
    for name, each in schema["properties"].items():
        assert "description" in str(each), name


def test_a_request_has_all_values_of_the_parameters() -> None:
    item = DownloadItem(
        url="http://a.example/f",
        mirrors=["http://b.example/f"],
        directory="d",
        filename="n",
        timeout=1,
        segments=2,
        checksum="md5=x",
        conflict=Conflict.SKIP,
        priority=3,
        speed_limit=4,
    )
    request = make_download_request(item)
    assert {name: getattr(request, name) for name in DownloadItem.__struct_fields__} == msgspec.structs.asdict(item)
    assert (request.size, request.operation, request.id, request.problem) == (None, None, None, None)


def test_given_values_replace_those_of_the_parameters() -> None:
    class Query(StartParameters, frozen=True, kw_only=True):
        download: str
        wait: int

    request = make_download_request(Query(download="u", wait=1, priority=5), url="u", directory="d", priority=6)
    assert (request.url, request.directory, request.priority) == ("u", "d", 6)


def test_a_request_needs_a_directory() -> None:
    with pytest.raises(TypeError, match="directory"):
        DownloadRequest(url="u")  # type: ignore[call-arg]
