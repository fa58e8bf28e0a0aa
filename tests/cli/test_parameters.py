"""Types of option values."""

import click
import pytest

from downloadd.cli.parameters import SIZE, one_of
from downloadd.states import State


def test_a_size_may_have_a_unit() -> None:
    assert [SIZE.convert(value, None, None) for value in ("2 MiB", "7", 7)] == [2 << 20, 7, 7]
    with pytest.raises(click.BadParameter, match="expected a size in bytes"):
        SIZE.convert("fast", None, None)


def test_a_choice_takes_the_values_of_an_enumeration() -> None:
    assert one_of([State.QUEUED]).convert("queued", None, None) == "queued"
    with pytest.raises(click.BadParameter):
        one_of([State.QUEUED]).convert("QUEUED", None, None)
