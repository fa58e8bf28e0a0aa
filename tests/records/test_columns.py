"""The table of columns: complete, in the order of the structs, and the same as the table of the database."""

from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from types import NoneType
from typing import get_type_hints

import msgspec
import pytest
from records.contract import ManualClock, sample_download

from downloadd.download import Control, Download, Progress, Request, Result
from downloadd.records.columns import (
    COLUMNS,
    INITIAL_COLUMNS,
    PARTS,
    RUN_COLUMNS,
    USER_COLUMNS,
    WRITTEN_COLUMNS,
    Column,
    ColumnOwner,
)
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State


def fields_of(kind: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind)]


def test_the_parts_of_a_download_are_its_nested_structs() -> None:
    hints = get_type_hints(Download)
    nested = {name: kind for name, kind in hints.items() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)}
    assert nested == PARTS
    assert set(PARTS.values()) == {Request, Control, Progress, Result}


def test_every_field_of_a_download_itself_has_one_column() -> None:
    flat = [column.path for column in COLUMNS if not column.group]
    assert sorted(flat) == sorted(set(fields_of(Download)) - set(PARTS))


@pytest.mark.parametrize("part", PARTS)
def test_every_field_of_a_part_has_one_column_in_the_order_of_the_struct(part: str) -> None:
    assert [column.field for column in COLUMNS if column.group == part] == fields_of(PARTS[part])


def test_the_columns_of_a_part_stand_side_by_side_in_the_order_of_the_parts() -> None:
    groups = [column.group for column in COLUMNS]
    assert list(dict.fromkeys(groups)) == ["", *PARTS]
    assert sum(before != after for before, after in pairwise(groups)) == len(PARTS)


def test_the_row_begins_with_seq_which_an_insertion_leaves_out() -> None:
    assert COLUMNS[0].name == "seq"
    assert COLUMNS[1:] == WRITTEN_COLUMNS


def test_users_own_the_control_and_runs_the_progress() -> None:
    owned = [column for column in COLUMNS if column.owner is ColumnOwner.USER]
    assert {column.group for column in owned} == {"request", "control", "result"}
    assert [column.path for column in owned if column.group == "result"] == ["result.cleared"]
    assert all(column.owner is ColumnOwner.USER for column in COLUMNS if column.group == "control")
    assert tuple(column for column in owned if column.group != "result") == USER_COLUMNS
    assert all(column.owner is ColumnOwner.RUN for column in COLUMNS if column.group == "progress")
    assert {column.group for column in RUN_COLUMNS} == {"", "progress", "result"}


async def test_the_table_of_the_database_has_these_columns_and_the_defaults_of_the_structs(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path / "state", ManualClock()) as records:
        table = await records.read(lambda connection: connection.execute("PRAGMA table_info(downloads)").fetchall())
        download = sample_download(state=State.PAUSED)
        (seq,) = (await records.accept([download])).seqs
        assert await records.get(download.id) == msgspec.structs.replace(download, seq=seq)
    assert {name for _, name, *_ in table} == {column.name for column in COLUMNS}
    needed = {name for _, name, _, not_null, default, key in table if not_null and default is None and not key}
    assert needed <= {column.name for column in INITIAL_COLUMNS}


def test_every_field_can_be_read_by_its_path() -> None:
    download = sample_download()
    assert [attrgetter(column.path)(download) for column in COLUMNS if column.name == "id"] == [download.id]
    attrgetter(*(column.path for column in COLUMNS))(download)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_every_column_is_stored_as_a_type_of_sqlite(column: Column) -> None:
    assert column.stored <= {str, int, float, NoneType}
