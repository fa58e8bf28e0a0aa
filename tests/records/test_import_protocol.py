"""Protocols of the records of imports, and the classes that keep them."""

from pathlib import Path

import msgspec
import pytest
from support.clocks import ManualClock
from support.fake_imports import make_operation
from support.protocol_methods import differences

from downloadd.records.import_contents import SqliteImportContents
from downloadd.records.import_files import SqliteImportFiles
from downloadd.records.import_operations import SqliteImportOperations
from downloadd.records.import_protocol import (
    GivenUp,
    ImportContentRecords,
    ImportFileRecords,
    ImportOperationRecords,
    ImportRecords,
    Reservation,
)
from downloadd.records.sqlite import SqliteRecords


@pytest.mark.parametrize(
    ("protocol", "implementation"),
    [
        (ImportOperationRecords, SqliteImportOperations),
        (ImportContentRecords, SqliteImportContents),
        (ImportFileRecords, SqliteImportFiles),
    ],
)
def test_an_implementation_has_the_methods_of_its_protocol(protocol: type, implementation: type) -> None:
    assert list(differences(protocol, implementation)) == []


def test_the_records_have_each_subject_once(tmp_path: Path) -> None:
    imports: ImportRecords = SqliteRecords(tmp_path, ManualClock()).imports
    assert [type(each) for each in msgspec.structs.astuple(imports)] == [
        SqliteImportOperations,
        SqliteImportContents,
        SqliteImportFiles,
    ]


async def test_records_without_imports_have_empty_answers(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        operations, contents, files = msgspec.structs.astuple(records.imports)
        assert await operations.get("x") is None
        assert (await operations.current("ann"), await operations.latest(9)) == (None, [])
        assert (await contents.users("x", "", 9), await contents.count_skipped("x")) == ([], 0)
        assert await files.give_up(["x"], None) == GivenUp(count=0, runs=())
        assert not await files.needs_archive("x", found=True)


def test_a_run_without_earlier_ones_names_none() -> None:
    assert Reservation(run=make_operation()).earlier_runs == ()
