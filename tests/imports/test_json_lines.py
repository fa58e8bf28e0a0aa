"""Lines of JSONL files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.imports import json_lines
from downloadd.imports.json_lines import read_json_lines


@given(lines=st.lists(st.sampled_from([b"{}", b"", b" ", b"xy", b'{"a": 1}\r']), max_size=9), length=st.integers(1, 20))
def test_the_lines_are_those_of_the_whole(lines: list[bytes], length: int) -> None:
    data = b"\n".join(lines)
    pieces = [data[at : at + length] for at in range(0, len(data), length)]
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    assert list(read_json_lines(pieces)) == numbered


@pytest.mark.parametrize("length", [1, 3, 100])
def test_a_line_that_is_too_long_is_none_and_does_not_hide_others(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 5)
    data = b"a\n" + b"x" * 50 + b"\nb\n" + b"y" * 6
    pieces = [data[at : at + length] for at in range(0, len(data), length)]
    assert list(read_json_lines(pieces)) == [(1, b"a"), (2, None), (3, b"b"), (4, None)]
