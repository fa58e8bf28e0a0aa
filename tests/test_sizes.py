from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.sizes import UNITS, format_rounded_size, format_size, parse_size


@given(st.integers(0, 2**62))
def test_a_formatted_size_parses_to_itself(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 10**6), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]))
def test_a_number_and_a_unit_multiply(number: int, unit: str, space: str) -> None:
    assert parse_size(f"{number}{space}{unit}") == number * UNITS[unit]


@given(st.text())
def test_any_text_is_a_size_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse_size(text) >= 0


@pytest.mark.parametrize(
    ("text", "size"),
    [
        pytest.param("0", 0, id="nothing"),
        pytest.param("1048576", 1 << 20, id="bytes"),
        pytest.param("1_000", 1000, id="underscores"),
        pytest.param("10 MiB", 10 << 20, id="binary"),
        pytest.param("500 kB", 500_000, id="decimal"),
        pytest.param("1GB", 10**9, id="no space"),
        pytest.param(" 4 GiB ", 4 << 30, id="spaces around"),
        pytest.param("1.5 KiB", 1536, id="fraction"),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1 Gb", "4 GiBB", "1.5", "0.1 kiB", "1e3", "1  GB", "٣", "0x10"])
def test_a_malformed_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1 << 30, "1 GiB"), (10**9, "1 GB"), (1536, "1536 B"), (1000, "1 kB")]
)
def test_sizes_are_formatted_exactly(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (3_000_000, "3 MB"),
        (2_384_896, "2.4 MB"),
        (5 << 30, "5.4 GB"),
        (10**15, "1 PB"),
    ],
)
def test_a_size_is_rounded_for_a_message(size: int, text: str) -> None:
    assert format_rounded_size(size) == text
