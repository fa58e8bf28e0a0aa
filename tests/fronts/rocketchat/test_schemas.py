"""Structs of import requests."""

from typing import get_args

import msgspec
import pytest

from downloadd.fronts.rocketchat.schemas import (
    MAX_FILE_NAME_CHARACTERS,
    ImporterKey,
    PublicFileBody,
    RawUploadQuery,
    UploadBody,
)


def test_bodies_have_the_names_of_rocket_chat() -> None:
    body = msgspec.json.decode(
        b'{"binaryContent": "", "contentType": "a/b", "fileName": "x", "importerKey": "slack", "more": 1}',
        type=UploadBody,
    )
    assert (body.file_name, body.importer_key) == ("x", "slack")
    fetch = msgspec.json.decode(b'{"fileUrl": "http://h/", "importerKey": "csv"}', type=PublicFileBody)
    assert (fetch.file_url, fetch.importer_key) == ("http://h/", "csv")


def test_a_file_name_has_a_limited_length() -> None:
    query = {"importerKey": "urls", "fileName": "x" * MAX_FILE_NAME_CHARACTERS}
    assert msgspec.convert(query, RawUploadQuery).fileName == query["fileName"]
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**query, "fileName": query["fileName"] + "x"}, RawUploadQuery)


def test_the_description_of_the_key_lists_the_importers() -> None:
    assert get_args(ImporterKey)[1].description == "slack, csv, urls, metalink, mattermost or zulip."
