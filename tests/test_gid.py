"""Gids of downloads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.gid import MAX_MADE_SEQ, family_of_prefix, is_gid, is_gid_prefix, is_made, make_gid, seq_of_gid

SEQS = st.integers(1, 2**64 - 1)


def test_the_gid_of_a_number_never_changes() -> None:
    # Clients keep gids across versions of the daemon.
    assert [make_gid(seq) for seq in (1, 2, 1_000_000)] == ["51c7a4f79b9773e9", "a28f49ef273fe6c3", "04f67db4e86be1df"]


@given(seq=SEQS)
def test_each_number_has_a_gid_of_its_own(seq: int) -> None:
    gid = make_gid(seq)
    assert is_gid(gid)
    assert seq_of_gid(gid) == seq
    assert is_made(gid) == (seq < MAX_MADE_SEQ)


@given(seq=SEQS, other=SEQS, digits=st.integers(1, 16))
def test_the_numbers_of_a_prefix_are_evenly_spaced(seq: int, other: int, digits: int) -> None:
    prefix = make_gid(seq)[:digits]
    family = family_of_prefix(prefix)
    assert seq % family.modulus == family.residue
    assert (other % family.modulus == family.residue) == make_gid(other).startswith(prefix)


def test_six_digits_tell_sixteen_million_downloads_in_a_row_apart() -> None:
    assert family_of_prefix(make_gid(7)[:6]).modulus == 16_777_216
    assert len({make_gid(seq)[0] for seq in range(1, 17)}) == 16


@pytest.mark.parametrize("text", ["", "g", "0" * 16, "A" * 16, "1" * 15, "1" * 17, " 123456789abcdef", "\uff11" * 16])
def test_other_texts_are_not_gids(text: str) -> None:
    assert not is_gid(text)
    with pytest.raises(ValueError, match="16 lower-case hexadecimal digits"):
        seq_of_gid(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("", False), ("0", True), ("f" * 16, True), ("f" * 17, False), ("F", False)]
)
def test_a_prefix_has_one_to_sixteen_lower_case_digits(text: str, *, expected: bool) -> None:
    assert is_gid_prefix(text) is expected
    if not expected:
        with pytest.raises(ValueError, match="1 to 16 lower-case"):
            family_of_prefix(text)
