import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.folding import fold, fold_path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Data", "dATA"),
        ("\u00e9", "E\u0301"),
        ("stra\u00dfe", "STRASSE"),
        ("\u017fum", "Sum"),
        ("\u0131", "I"),
        ("\u00b5", "\u03bc"),
        ("\uff41", "a"),
        ("a\u200db", "ab"),
        ("a\ufe0f", "a"),
        ("x. .", "x"),
        ("\u212a", "k"),
    ],
)
def test_what_some_file_system_takes_for_one_is_alike(one: str, other: str) -> None:
    assert fold(one) == fold(other)
    assert fold_path(f"a/{one}/b") == fold_path(f"A/{other}/B")


@pytest.mark.parametrize(
    ("one", "other"), [("a", "b"), ("a", "a1"), ("e", "\u00e9"), (".a", "a"), ("a b", "ab"), ("a/b", "ab")]
)
def test_other_names_are_not(one: str, other: str) -> None:
    assert fold_path(one) != fold_path(other)


@given(st.text())
def test_every_form_and_case_of_a_name_is_alike(name: str) -> None:
    assert fold(name) == fold(fold(name))
    for form in ("NFC", "NFD"):
        assert fold(unicodedata.normalize(form, name)) == fold(name)
    for again in (name.lower(), name.casefold()):
        assert fold(again) == fold(name)
