from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.download import Conflict
from downloadd.errors import FileExistsAlreadyError
from downloadd.storage.conflicts import Reservations, find_free_name, find_free_number, resolve_conflict
from downloadd.storage.names import parse_directory, parse_filename

NAME = parse_filename("data.csv")


@pytest.mark.parametrize(
    ("conflict", "taken", "name"),
    [
        pytest.param(Conflict.RENAME, False, "data.csv", id="rename, free"),
        pytest.param(Conflict.RENAME, True, "data (1).csv", id="rename, taken"),
        pytest.param(Conflict.OVERWRITE, False, "data.csv", id="overwrite, free"),
        pytest.param(Conflict.OVERWRITE, True, "data.csv", id="overwrite, taken"),
        pytest.param(Conflict.SKIP, False, "data.csv", id="skip, free"),
        pytest.param(Conflict.SKIP, True, None, id="skip, taken"),
        pytest.param(Conflict.ERROR, False, "data.csv", id="error, free"),
    ],
)
def test_the_policy_decides_on_the_name(conflict: Conflict, taken: bool, name: str | None) -> None:
    settled = resolve_conflict(NAME, conflict, path="d/data.csv", is_taken=lambda asked: taken and asked == NAME)
    assert settled == name


def test_the_error_policy_names_the_path_of_a_taken_name() -> None:
    with pytest.raises(FileExistsAlreadyError) as refused:
        resolve_conflict(NAME, Conflict.ERROR, path="d/data.csv", is_taken=lambda _: True)
    assert refused.value.path == "d/data.csv"


@given(st.integers(min_value=0, max_value=10**7))
def test_the_lowest_free_number_is_found_with_few_calls(taken: int) -> None:
    asked: list[int] = []

    def is_taken(n: int) -> bool:
        asked.append(n)
        return n <= taken

    assert find_free_number(is_taken) == taken + 1
    assert len(asked) <= 2 * log2(taken + 1) + 2


@given(st.sets(st.integers(min_value=1, max_value=200)))
def test_the_number_is_free_when_there_are_gaps(taken: set[int]) -> None:
    assert find_free_number(taken.__contains__) not in taken


def test_the_name_itself_comes_before_numbers() -> None:
    assert find_free_name(NAME, lambda _: False) == NAME


def test_a_reservation_holds_in_its_directory_until_it_is_released() -> None:
    a, b = parse_directory("a"), parse_directory("b")
    x, y = parse_filename("x"), parse_filename("y")
    reservations = Reservations()
    reservations.add(a, x)
    reservations.add(a, y)
    assert reservations.names_in(a) == {"x", "y"}
    assert reservations.names_in(b) == frozenset()
    reservations.discard(a, x)
    reservations.discard(a, x)
    reservations.discard(b, x)
    assert reservations.names_in(a) == {"y"}
    reservations.discard(a, y)
    assert reservations.names_in(a) == frozenset()


def test_a_numbered_name_fits_on_the_disk() -> None:
    name = parse_filename("n" * 139 + ".bin")
    chosen = resolve_conflict(name, Conflict.RENAME, path="", is_taken=name.__eq__, max_name_bytes=143)
    assert chosen == "n" * 135 + " (1).bin"
