"""Structs of the body and the answers about settings."""

import msgspec
import pytest
from msgspec import UNSET

from downloadd.fronts.rest.settings_schemas import SettingsBody, SettingsResponse
from downloadd.runtime_settings import RuntimeSettings, SettingsChange


def test_the_body_has_the_fields_of_the_settings() -> None:
    assert SettingsBody.__struct_fields__ == RuntimeSettings.__struct_fields__ == SettingsChange.__struct_fields__


def test_an_omitted_field_is_not_set() -> None:
    body = msgspec.json.decode(b'{"speed_limit": 0}', type=SettingsBody)
    assert (body.max_concurrent, body.max_per_host, body.speed_limit) == (UNSET, UNSET, 0)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"speed": 0}', type=SettingsBody)


def test_the_answer_to_a_change_has_all_settings() -> None:
    answer = SettingsResponse(max_concurrent=1, max_per_host=2, speed_limit=3, success=True, message="m")
    assert msgspec.to_builtins(answer) == {
        "max_concurrent": 1,
        "max_per_host": 2,
        "speed_limit": 3,
        "allow_starts": True,
        "hours": None,
        "next_change": None,
        "success": True,
        "message": "m",
    }
