"""Selections in every form that a client sends."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.errors import InvalidParameterError
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rocketchat.schemas import PublicFileBody, SelectionBody, UploadBody
from downloadd.fronts.rocketchat.selection import parse_selection
from downloadd.imports.refusal import ImportRefusedError

KEYS = st.sampled_from(["users", "channels", "user_id", "channel_id", "do_import", "all", "list", "input", "fileName"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("given_", "selected"),
    [
        ({"all": True}, None),
        ({"all": False}, set()),
        (None, set()),
        ({"list": ["a", "b", "a"]}, {"a", "b"}),
        ([{"user_id": "a", "do_import": True}, {"user_id": "b", "do_import": False}, {"user_id": "c"}], {"a", "c"}),
    ],
)
def test_each_form_is_parsed(given_: Any, selected: set[str] | None) -> None:
    users = parse_selection({"users": given_}).users
    assert users == selected


@given(value=ANY_JSON)
def test_any_selection_is_parsed_or_refused(value: Any) -> None:
    for given_ in (
        value,
        {"users": value},
        {"users": [value], "channels": {"list": value}},
        {"users": {"list": [value]}, "channels": [{"channel_id": value, "do_import": True}]},
    ):
        with suppress(ImportRefusedError):
            selection = parse_selection(given_)
            for ids in (selection.users, selection.channels):
                assert ids is None or all(isinstance(id, str) for id in ids)


@given(body=st.binary(max_size=60) | ANY_JSON.map(msgspec.json.encode))
def test_any_body_is_decoded_or_refused(body: bytes) -> None:
    for shape in (SelectionBody, UploadBody, PublicFileBody):
        with suppress(InvalidParameterError):
            assert isinstance(decode_body(body, shape), shape)
    for start in (b'{"input":', b'{"fileName":'):
        with suppress(InvalidParameterError, ImportRefusedError):
            parse_selection(decode_body(start + body + b"}", SelectionBody).input)
