from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from downloadd.config.fields import ByteSize, Format, Seconds, describe, element_type, read_settings, variable_name


class Table(msgspec.Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=3), describe("A name.", flag="--name", format=Format.PATH)]
    size: Annotated[ByteSize | UnsetType, describe("A size.", examples=["1 MiB"])] = UNSET
    speed: Annotated[ByteSize, describe("A speed.", unit="bytes per second", former_name="rate")] = 0
    timeout: Annotated[Seconds, describe("A time.", secret=True)] = 3
    words: Annotated[dict[str, str], describe("Words.")] = {}


SETTINGS = read_settings("table", Table)


def test_settings_have_the_order_of_the_fields() -> None:
    assert list(SETTINGS) == ["name", "size", "speed", "timeout", "words"]


def test_a_required_field_has_no_default() -> None:
    assert SETTINGS["name"].is_required
    assert SETTINGS["name"].default is UNSET
    assert not SETTINGS["size"].is_required
    assert SETTINGS["words"].default == {}


def test_a_field_has_the_unit_of_its_type_unless_it_has_its_own() -> None:
    assert {name: setting.unit for name, setting in SETTINGS.items() if setting.unit} == {
        "size": "bytes",
        "speed": "bytes per second",
        "timeout": "seconds",
    }
    assert SETTINGS["size"].is_size
    assert SETTINGS["speed"].is_size
    assert not SETTINGS["timeout"].is_size


def test_a_field_carries_what_describes_it() -> None:
    assert (SETTINGS["name"].description, SETTINGS["name"].flag) == ("A name.", "--name")
    assert SETTINGS["name"].format is Format.PATH
    assert SETTINGS["size"].examples == ("1 MiB",)
    assert SETTINGS["speed"].former_name == "rate"
    assert SETTINGS["timeout"].is_secret


def test_key_and_variable_name_the_table() -> None:
    assert SETTINGS["size"].key == "table.size"
    assert SETTINGS["size"].variable == variable_name("table.size") == "DOWNLOADD_TABLE__SIZE"


def test_only_lists_of_tables_have_an_element_type() -> None:
    assert element_type(tuple[Table, ...]) is Table
    assert element_type(Table) is None
