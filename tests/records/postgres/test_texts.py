"""Escaping of text that PostgreSQL does not store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.records.postgres.texts import decode_text, encode_text, escape, unescape

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(text=ANY_TEXT)
def test_every_text_comes_back_and_is_stored_as_utf8_without_nul(text: str) -> None:
    stored = encode_text(text)
    assert b"\0" not in stored
    assert decode_text(stored) == text


@pytest.mark.parametrize("text", ["", "data.csv", "ä", "\U000f0041", "line\nline"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert escape(text) == text == unescape(text)


@given(first=ANY_TEXT, second=ANY_TEXT)
def test_different_texts_are_stored_differently(first: str, second: str) -> None:
    assert (escape(first) == escape(second)) == (first == second)


@given(text=ANY_TEXT, needle=st.text("0123456789abcdf", min_size=1))
def test_a_search_for_digits_finds_nothing_in_an_escape(text: str, needle: str) -> None:
    assert (needle in escape(text)) == (needle in text)
