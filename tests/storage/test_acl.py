"""Access control lists as extended attributes, by the examples of acl(5) and of setfacl(1)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.storage.acl import (
    AclEntry,
    AclTag,
    acl_mode,
    change_acl,
    format_acl,
    has_mask,
    inherit_acl,
    make_acl,
    parse_acl,
)

# What `setfacl -d -m u:1234:rw,g::r,o::- directory` makes of a directory with mode 0777.
DEFAULT = bytes.fromhex("0200000001000700ffffffff02000600d204000004000400ffffffff10000600ffffffff20000000ffffffff")
MODES = st.integers(0, 0o777)


def texts(acl: list[AclEntry]) -> dict[str, str]:
    """Return the list as getfacl(1) prints it."""
    return {
        entry.tag.name + (f":{entry.id}" if entry.tag in {AclTag.USER, AclTag.GROUP} else ""): "".join(
            letter if entry.permissions & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1))
        )
        for entry in acl
    }


def test_a_list_is_parsed_and_formatted() -> None:
    acl = parse_acl(DEFAULT)
    assert texts(acl) == {"OWNER": "rwx", "USER:1234": "rw-", "OWNING_GROUP": "r--", "MASK": "rw-", "OTHER": "---"}
    assert format_acl(acl) == DEFAULT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02\0\0",
        b"\x02\0\0\0",
        b"\x03\0\0\0" + DEFAULT[4:],
        DEFAULT[:-1],
        DEFAULT[:12],
        DEFAULT + struct.pack("<HHI", 0x40, 7, 0),
    ],
)
def test_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"access control list|AclTag"):
        parse_acl(data)


def test_a_new_file_gets_the_default_list_less_the_bits_that_its_mode_lacks() -> None:
    assert texts(inherit_acl(parse_acl(DEFAULT), 0o666)) == {
        "OWNER": "rw-",
        "USER:1234": "rw-",
        "OWNING_GROUP": "r--",
        "MASK": "rw-",
        "OTHER": "---",
    }
    # A part file: the entry of the user stays, and its mask grants nothing.
    assert texts(inherit_acl(parse_acl(DEFAULT), 0o600))["MASK"] == "---"


def test_without_a_mask_the_bits_of_the_group_are_those_of_the_owning_group() -> None:
    assert acl_mode(inherit_acl(make_acl(0o750), 0o666), is_mask_set=False) == 0o640


@given(MODES, MODES)
def test_a_list_without_names_is_a_mode(mode: int, other: int) -> None:
    acl = make_acl(mode)
    assert parse_acl(format_acl(acl)) == acl
    assert not has_mask(acl)
    assert acl_mode(acl, is_mask_set=False) == mode
    assert acl_mode(inherit_acl(acl, other), is_mask_set=False) == mode & other
    assert acl_mode(change_acl(acl, other), is_mask_set=False) == other


@given(MODES)
def test_a_change_of_the_mode_changes_the_mask_and_no_name(mode: int) -> None:
    acl = change_acl(parse_acl(DEFAULT), mode)
    assert acl_mode(acl, is_mask_set=True) == mode
    assert [entry for entry in acl if entry.tag in {AclTag.USER, AclTag.OWNING_GROUP}] == [
        entry for entry in parse_acl(DEFAULT) if entry.tag in {AclTag.USER, AclTag.OWNING_GROUP}
    ]


@given(st.lists(st.integers(0, 7), min_size=5, max_size=5))
def test_a_file_that_cannot_have_the_list_grants_its_group_no_more(permissions: list[int]) -> None:
    acl = [
        AclEntry(tag=tag, permissions=bits)
        for tag, bits in zip(
            (AclTag.OWNER, AclTag.USER, AclTag.OWNING_GROUP, AclTag.MASK, AclTag.OTHER), permissions, strict=True
        )
    ]
    assert acl_mode(acl, is_mask_set=False) >> 3 & 7 == permissions[2] & permissions[3]
    assert acl_mode(acl, is_mask_set=True) >> 3 & 7 == permissions[3]
