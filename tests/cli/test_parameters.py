"""Types of option values."""

import click
import pytest

from downloadd.cli.parameters import SIZE, Place, one_of
from downloadd.states import State


def test_a_size_may_have_a_unit() -> None:
    assert [SIZE.convert(value, None, None) for value in ("2 MiB", "7", 7)] == [2 << 20, 7, 7]
    with pytest.raises(click.BadParameter, match="expected a size in bytes"):
        SIZE.convert("fast", None, None)


def test_a_choice_takes_the_values_of_an_enumeration() -> None:
    assert one_of([State.QUEUED]).convert("queued", None, None) == "queued"
    with pytest.raises(click.BadParameter):
        one_of([State.QUEUED]).convert("QUEUED", None, None)


def test_a_place_is_a_word_or_an_index() -> None:
    place = Place(["top", "up"])
    assert [place.convert(value, None, None) for value in ("top", "0", "17")] == ["top", 0, 17]
    for wrong in ("bottom", "-1", "1.5", "\u0661", ""):
        with pytest.raises(click.BadParameter, match="expected top, up, or an index such as 0 for the first"):
            place.convert(wrong, None, None)


def test_the_words_of_a_place_are_completed() -> None:
    command = click.Command("move")
    items = Place(["top", "up"]).shell_complete(click.Context(command), click.Argument(["place"]), "u")
    assert [item.value for item in items] == ["up"]
