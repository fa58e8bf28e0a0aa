"""The table of errors of the page about file systems."""

import errno
import re

import pytest
from docs.pages import read, rows, section

from downloadd.storage.os_errors import CAUSES, Cause

ROWS = rows(section(read("docs/explanation/file-systems.md"), "Errors"))

CONSEQUENCES = {
    Cause.FULL: "INSUFFICIENT_STORAGE",
    Cause.TOO_LARGE: "FILE_TOO_LARGE",
    Cause.NAME: "INVALID_PATH",
    Cause.BUSY: "another attempt, which counts",
    Cause.REMOVED: "another attempt makes it again",
    Cause.AWAY: "the disk is away",
}


@pytest.mark.parametrize("number", sorted(CAUSES), ids=errno.errorcode.__getitem__)
def test_each_error_has_the_consequence_that_the_page_says(number: int) -> None:
    # After a semicolon, a row has errors whose cause is found by a trial.
    found = [
        row[2]
        for row in ROWS
        if {number} & {getattr(errno, name) for name in re.findall(r"`(\w+)`", row[0].split(";")[0])}
    ]
    assert len(found) == 1
    assert CONSEQUENCES[CAUSES[number]] in found[0]


def test_the_page_says_nothing_of_other_errors_but_that_they_are_tried() -> None:
    named = {name for row in ROWS[:-1] for name in re.findall(r"`(\w+)`", row[0].split(";")[0])}
    assert {getattr(errno, name) for name in named} == set(CAUSES)
    assert "STORAGE_ERROR" in ROWS[-1][2]
