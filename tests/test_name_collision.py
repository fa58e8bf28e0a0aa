import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.name_collision import collision_key, path_collision_key


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
def test_names_that_some_file_system_treats_as_one_collide(one: str, other: str) -> None:
    assert collision_key(one) == collision_key(other)
    assert path_collision_key(f"a/{one}/b") == path_collision_key(f"A/{other}/B")


@pytest.mark.parametrize(
    ("one", "other"), [("a", "b"), ("a", "a1"), ("e", "\u00e9"), (".a", "a"), ("a b", "ab"), ("a/b", "ab")]
)
def test_other_names_do_not_collide(one: str, other: str) -> None:
    assert path_collision_key(one) != path_collision_key(other)


@given(st.text())
def test_every_form_and_case_of_a_name_collides(name: str) -> None:
    assert collision_key(name) == collision_key(collision_key(name))
    for form in ("NFC", "NFD"):
        assert collision_key(unicodedata.normalize(form, name)) == collision_key(name)
    for again in (name.lower(), name.casefold()):
        assert collision_key(again) == collision_key(name)
