"""Names of the part files of one download."""

import pytest

from downloadd.errors import InvalidPathError
from downloadd.storage.names import parse_filename
from downloadd.storage.part_names import PartNames

ID = "01234567-89ab-4def-8123-456789abcdef"
NAMES = PartNames(filename=parse_filename("f"), download_id=ID, max_bytes=255)


def test_each_epoch_and_each_restart_has_a_name_of_its_own() -> None:
    assert NAMES.name(2) == f".f.{ID}.2.part"
    assert NAMES.name(2, 1) == f".f.{ID}.2-1.part"


def test_a_killed_run_may_have_renamed_the_part_file() -> None:
    recorded = f".other.{ID}.2-1.part"
    assert NAMES.possible(recorded, before=5) == [recorded, NAMES.name(3), NAMES.name(4)]
    assert NAMES.possible(recorded, before=2) == [recorded]


def test_only_names_of_part_files_are_claimed() -> None:
    with pytest.raises(InvalidPathError):
        NAMES.possible("f", before=2)
