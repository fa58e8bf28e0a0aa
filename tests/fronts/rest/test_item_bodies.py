"""Bodies that take some of the parameters of a download."""

from typing import Any

import msgspec
import pytest

from downloadd.attempt_options import AttemptOptions
from downloadd.download_request import ChangeOptions, DownloadItem, RequestFieldParameters
from downloadd.fronts.rest.item_bodies import (
    CHANGE_PARAMETERS,
    AmendBody,
    ProbeBody,
    given_changes,
    make_download_change,
)
from downloadd.manager.protocol import DownloadChange
from downloadd.request_fields import Credentials, RequestFields

BOTH = pytest.mark.parametrize("body", [ProbeBody, AmendBody])


def test_a_probe_takes_what_a_download_sends_and_what_its_answer_depends_on() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(ProbeBody)}
    assert set(fields) == {"url", "filename", "type", *RequestFields.__struct_fields__}
    for field in msgspec.structs.fields(DownloadItem):
        if field.name in fields:
            assert fields[field.name] == field


def test_a_change_takes_the_options_of_the_client() -> None:
    assert AmendBody.__struct_fields__ == tuple(ChangeOptions.__annotations__) == CHANGE_PARAMETERS
    own = {*DownloadChange.__struct_fields__} - {"fields"}
    assert own == {*CHANGE_PARAMETERS} - {*RequestFields.__struct_fields__}
    assert {*AttemptOptions.__struct_fields__} <= own


@BOTH
def test_no_secret_is_shown(body: type[msgspec.Struct]) -> None:
    shown = msgspec.convert({"url": "http://ann:secret@a/", "headers": {"X-Key": "secret"}}, body)
    assert repr(shown) == f"{body.__name__}(...)"


@BOTH
def test_an_item_is_encoded_without_defaults(body: type[msgspec.Struct]) -> None:
    assert msgspec.json.encode(msgspec.convert({"url": "http://a"}, body)) == b'{"url":"http://a"}'


@BOTH
def test_every_parameter_has_a_description_in_the_api_document(body: type[msgspec.Struct]) -> None:
    properties = msgspec.json.schema(body)["$defs"][body.__name__]["properties"]
    for name, schema in properties.items():
        assert "description" in str(schema), name


@BOTH
def test_an_unknown_field_is_refused(body: type[msgspec.Struct]) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"url": "a", "colour": 1}, body)


@pytest.mark.parametrize(
    "change", [{"filename": None}, {"segments": 17}, {"conflict": "x"}, {"max_retries": 1001}, {"stall_timeout": -1}]
)
def test_a_value_that_a_start_refuses_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(change, AmendBody)


def test_only_given_parameters_are_changed() -> None:
    assert given_changes(msgspec.convert({}, AmendBody)) == {}
    given = given_changes(msgspec.convert({"priority": 0, "mirrors": [], "directory": ""}, AmendBody))
    assert make_download_change(given) == DownloadChange(priority=0, mirrors=[], directory="")


def test_request_fields_are_one_value() -> None:
    body = msgspec.convert({"headers": {"X-Key": "k"}, "auth": {"user": "u"}, "segments": 2}, AmendBody)
    assert make_download_change(given_changes(body)) == DownloadChange(
        segments=2, fields=RequestFieldParameters(headers={"X-Key": "k"}, auth=Credentials(user="u"))
    )
    removed = make_download_change(given_changes(msgspec.convert({"headers": {}}, AmendBody)))
    assert removed.fields == RequestFieldParameters()
