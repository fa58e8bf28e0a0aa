"""Settings that users may change."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from downloadd.config import DownloadsConfig
from downloadd.errors import InvalidParameterError
from downloadd.runtime_settings import RuntimeSettings, SettingsChange, change_settings

SETTINGS = RuntimeSettings(max_concurrent=64, max_per_host=16, speed_limit=1000)
NAMES = sorted(set(RuntimeSettings.__struct_fields__) & set(DownloadsConfig.__struct_fields__))
ANY_VALUE = st.none() | st.integers(-2, 3) | st.sampled_from([10**9, 10**9 + 1, 2**62, 2**62 + 1])


def test_values_that_are_not_given_stay() -> None:
    assert change_settings(SETTINGS, SettingsChange()) == SETTINGS
    changed = change_settings(SETTINGS, SettingsChange(max_per_host=2, speed_limit=0))
    assert changed == RuntimeSettings(max_concurrent=64, max_per_host=2, speed_limit=0)


@pytest.mark.parametrize("change", [{"max_concurrent": 0}, {"max_per_host": 10**9 + 1}, {"speed_limit": -1}])
def test_a_value_out_of_range_is_refused_by_its_name(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(change))):
        change_settings(SETTINGS, SettingsChange(**change))


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, ANY_VALUE)))
def test_a_value_is_taken_if_the_configuration_takes_it(values: dict[str, Any]) -> None:
    given_ones = {name: value for name, value in values.items() if value is not None}
    try:
        msgspec.convert(given_ones, DownloadsConfig)
    except msgspec.ValidationError:
        with pytest.raises(InvalidParameterError):
            change_settings(SETTINGS, SettingsChange(**values))
    else:
        assert asdict(change_settings(SETTINGS, SettingsChange(**values))) == asdict(SETTINGS) | given_ones
