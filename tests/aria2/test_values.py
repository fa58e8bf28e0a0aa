from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.aria2.values import MAX_SIZE, expand_home, parse_boolean, parse_number, parse_size


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("+7", 7)])
def test_a_number_has_digits_only(text: str, number: int) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["", "-1", "3x", "1.5", "1K", "\u0661", "9" * 40])
def test_another_text_is_not_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number from 0 on"):
        parse_number(text)


def test_a_number_has_limits() -> None:
    assert parse_number("1", 1, 1) == 1
    with pytest.raises(ValueError, match="expected a number from 1 on"):
        parse_number("0", 1)
    with pytest.raises(ValueError, match="expected a number from 1 to 5"):
        parse_number("6", 1, 5)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("0", 0), ("20", 20), ("20K", 20 << 10), ("20k", 20 << 10), ("1M", 1 << 20), ("1m", 1 << 20)),
        # aria2 1.36 reads these too.
        *(("+1K", 1 << 10), ("1 K", 1 << 10), ("1KB", 1 << 10), ("1MiB", 1 << 20)),
    ],
)
def test_a_size_may_be_in_k_or_m(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1G", "1.5M", "-1", "K", "1B", "1KX", "1  K"])
def test_another_text_is_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="such as 1048576, 1024K or 1M"):
        parse_size(text)


@pytest.mark.parametrize("text", ["1K", "5K", str(MAX_SIZE + 1)])
def test_a_size_has_limits(text: str) -> None:
    assert parse_size("2K", 2 << 10, 4 << 10) == 2 << 10
    with pytest.raises(ValueError, match="expected from 2048 to 4096 bytes"):
        parse_size(text, 2 << 10, 4 << 10)


@given(st.from_regex(r"[0-9]{1,19}[KkMm]?", fullmatch=True))
def test_a_size_fits_into_a_column(text: str) -> None:
    with suppress(ValueError):
        assert 0 <= parse_size(text) <= MAX_SIZE


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("", True)])
def test_a_boolean_without_a_value_is_true(text: str, value: bool) -> None:
    assert parse_boolean(text) is value


@pytest.mark.parametrize("text", ["TRUE", "yes", "1", " true"])
def test_another_text_is_not_a_boolean(text: str) -> None:
    with pytest.raises(ValueError, match="expected true or false"):
        parse_boolean(text)


@pytest.mark.parametrize(
    ("path", "expanded"),
    [
        ("${HOME}/x", "/home/ann/x"),
        ("~/x", "/home/ann/x"),
        ("~", "/home/ann"),
        ("/a/${HOME}", "/a//home/ann"),
        ("~bob/x", "~bob/x"),
        ("a/~/x", "a/~/x"),
        ("$HOME/x", "$HOME/x"),
        ("", ""),
    ],
)
def test_the_home_directory_is_inserted(path: str, expanded: str) -> None:
    assert expand_home(path, "/home/ann") == expanded


def test_a_home_directory_that_is_not_known_cannot_be_inserted() -> None:
    assert expand_home("/srv", "") == "/srv"
    for path in ("~/x", "${HOME}"):
        with pytest.raises(ValueError, match="the daemon has no HOME"):
            expand_home(path, "")
