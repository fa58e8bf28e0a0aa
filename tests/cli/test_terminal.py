"""Output of commands."""

import json

import pytest
from rich.table import Table

from downloadd.cli.errors import CommandError, ErrorReport, ExitStatus
from downloadd.cli.progress_display import PlainProgressDisplay
from downloadd.cli.terminal import Terminal, write_error
from downloadd.clock import SystemClock


@pytest.fixture
def terminal() -> Terminal:
    return Terminal({}, SystemClock())


def test_a_result_is_text_or_json(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.write_result({"a": 1}, "one")
    terminal.as_json = True
    terminal.write_result({"a": 1}, "one")
    terminal.write_text("omitted")
    assert capsys.readouterr().out == 'one\n{"a":1}\n'


def test_the_lines_of_a_table_have_no_padding(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name", box=None)
    table.add_row("a")
    table.add_row("longer")
    terminal.write_text(table)
    assert all(line == line.rstrip() for line in capsys.readouterr().out.splitlines())


def test_an_error_is_written_to_standard_error_and_as_json(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    error = CommandError(ExitStatus.FAILED, "It failed.", "Try again.", report=ErrorReport(error="X", detail="d"))
    terminal.as_json = True
    write_error(terminal, error)
    output = capsys.readouterr()
    assert output.err == "downloadctl: It failed.\n  Try again.\n"
    assert json.loads(output.out) == {"success": False, "error": "X", "detail": "d"}


def test_without_a_terminal_progress_is_written_as_lines(terminal: Terminal) -> None:
    assert isinstance(terminal.progress_display(), PlainProgressDisplay)
