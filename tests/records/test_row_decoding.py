"""Decoding of rows, some of which are damaged."""

import pytest
from structlog.testing import capture_logs

from downloadd.errors import StorageError
from downloadd.records import row_decoding
from downloadd.records.row_decoding import RowDecoder
from downloadd.records.rows import Row


def decode(row: Row) -> int:
    if not isinstance(row[0], int):
        raise StorageError(f"row {row[0]} is damaged")
    return row[0]


def test_damaged_rows_are_left_out_or_replaced_and_logged_once() -> None:
    decoder, rows = RowDecoder(), [(1,), ("a",), (2,)]
    with capture_logs() as lines:
        assert list(decoder.decode(rows, decode)) == [1, 2]
        assert list(decoder.decode(rows, decode, lambda row: -1)) == [1, -1, 2]
    assert [(line["event"], line["detail"]) for line in lines] == [("row_corrupt", "row a is damaged")]


def test_the_number_of_logged_rows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_decoding, "MAX_LOGGED_ROWS", 2)
    with capture_logs() as lines:
        assert list(RowDecoder().decode([("a",), ("b",), ("c",)], decode)) == []
    assert len(lines) == 2
