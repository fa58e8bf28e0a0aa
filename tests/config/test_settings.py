import msgspec
import pytest
from msgspec import inspect

from downloadd.config import Format
from downloadd.config.fields import Setting, read_settings
from downloadd.config.formats import OWN_PARSERS
from downloadd.config.sources import LISTS, TABLES
from downloadd.daemon.configuration import PARSERS

SETTINGS = [setting for name, struct in {**TABLES, **LISTS}.items() for setting in read_settings(name, struct).values()]
EACH = pytest.mark.parametrize("setting", SETTINGS, ids=[setting.key for setting in SETTINGS])


@EACH
def test_every_field_has_a_description(setting: Setting) -> None:
    assert len(setting.description) > 10
    assert setting.description[-1] in '.")'
    assert setting.description[0] != " "


@EACH
def test_every_duration_and_size_has_a_unit(setting: Setting) -> None:
    if isinstance(setting.value_type, inspect.FloatType) or setting.is_size or "timeout" in setting.name:
        assert setting.unit in {"seconds", "bytes", "bytes per second"}


@EACH
def test_every_key_of_a_list_has_an_example(setting: Setting) -> None:
    if setting.table in LISTS:
        assert setting.examples


@EACH
def test_examples_have_the_type_of_the_field(setting: Setting) -> None:
    for example in setting.examples:
        assert setting.is_size or msgspec.convert(example, setting.type) is not None


def test_every_format_has_a_parser() -> None:
    assert {**PARSERS, **OWN_PARSERS}.keys() == set(Format)
    assert not PARSERS.keys() & OWN_PARSERS.keys()
