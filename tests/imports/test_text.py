"""Lines of text are read whatever wrote them, and none is held that is too long."""

import io
from collections.abc import Generator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.imports import text
from downloadd.imports.text import read_lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_read_in_the_encodings_of_spreadsheets(encoding: str, end: str) -> None:
    data = f"grün{end}{end}€ 5".encode(encoding)
    assert list(read_lines(io.BytesIO(data))) == [f"grün{end}", end, "€ 5"]


def test_a_reader_that_ends_early_does_not_need_its_file() -> None:
    file = io.BytesIO(b"a\nb\n")
    lines = read_lines(file)
    assert next(lines) == "a\n"
    file.close()
    cast("Generator[str, None, None]", lines).close()


def test_an_invalid_character_is_replaced() -> None:
    assert list(read_lines(io.BytesIO("\ufeffa\nb".encode() + b"\xff\nc"))) == ["a\n", "b\ufffd\n", "c"]


def test_a_line_that_is_too_long_is_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_LINE_CHARACTERS", 5)
    assert list(read_lines(io.BytesIO(b"12345\n" + b"x" * 23 + b"\nend\n"))) == ["12345\n", "xxxxxx", "end\n"]


@given(data=st.binary(max_size=100))
def test_any_data_has_lines_and_the_file_stays_open(data: bytes) -> None:
    file = io.BytesIO(data)
    lines = list(read_lines(file))
    assert not any(set(line[:-1]) & {"\n"} for line in lines)
    assert next(read_lines(file), "") == next(iter(lines), "")
    assert not file.closed
