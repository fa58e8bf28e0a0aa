"""Filters turned into SQL."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.records.history import contains_folded, escape_like, history_query
from downloadd.records.protocol import HistoryFilter

_LIKE = st.text("aAbB%_\\ .", max_size=6)


@given(text=_LIKE, part=_LIKE)
def test_an_escaped_pattern_matches_itself_only(text: str, part: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        (found,) = connection.execute("SELECT ? LIKE ? ESCAPE '\\'", (text, f"%{escape_like(part)}%")).fetchone()
    assert bool(found) == (part.lower() in text.lower())


@pytest.mark.parametrize(
    ("text", "needle", "found"),
    [
        pytest.param("Über.pdf", "über", True, id="umlaut"),
        pytest.param("data.csv", "über", False, id="absent"),
        pytest.param(b"\xff", "x", False, id="no-unicode"),
        pytest.param(None, "x", False, id="null"),
    ],
)
def test_case_is_folded_by_the_rules_of_unicode(text: str | bytes | None, needle: str, found: bool) -> None:
    assert contains_folded(text, needle) is found


def test_a_negative_limit_selects_no_row() -> None:
    assert history_query(HistoryFilter(limit=-1)).parameters == (0,)
