"""Ids of the part files of import operations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.download import new_id
from downloadd.import_operation import OPERATION_ID_ALPHABET, OPERATION_ID_LENGTH
from downloadd.import_part import operation_of_part, part_id_of
from downloadd.storage.names import SafeName, format_part_name, parse_part_name

OPERATIONS = st.text(OPERATION_ID_ALPHABET, min_size=OPERATION_ID_LENGTH, max_size=OPERATION_ID_LENGTH)


@given(operation=OPERATIONS)
def test_the_operation_is_found_by_the_name_of_its_part(operation: str) -> None:
    parsed = parse_part_name(format_part_name(SafeName("manifest.jsonl"), part_id_of(operation), 3))
    assert parsed is not None
    assert (operation_of_part(parsed[0]), parsed[1]) == (operation, 3)


@pytest.mark.parametrize(
    "id", ["3837bc04-5451-4f68-a2fc-18b149d79224", new_id(1.0, 5), "x", "ffffffff-ffff-8fff-bfff-ffffffffffff"]
)
def test_other_ids_belong_to_no_operation(id: str) -> None:
    assert operation_of_part(id) is None


def test_only_the_id_of_an_operation_has_a_part() -> None:
    with pytest.raises(ValueError, match="not the id of an import operation"):
        part_id_of("run")
