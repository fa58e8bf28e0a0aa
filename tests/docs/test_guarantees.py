"""Each promise of docs/explanation/guarantees.md names an existing test."""

import re

import pytest
from docs.pages import TOP, read

GUARANTEES = read("docs/explanation/guarantees.md")
ROWS = re.findall(r"^\| (?!promise|---)(.+) \| (.+) \|$", GUARANTEES, re.MULTILINE)


def test_there_are_promises() -> None:
    assert len(ROWS) > 30
    assert len({promise for promise, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("promise", "cell"), ROWS, ids=[promise for promise, _ in ROWS])
def test_a_promise_is_held_by_a_test(promise: str, cell: str) -> None:
    named = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", cell)
    assert named is not None, promise
    assert re.search(rf"^ *(async )?def {named[2]}\(", (TOP / named[1]).read_text(), re.MULTILINE)
