"""Manual pages."""

import click
import pytest

from downloadd.documentation import build_man_pages
from downloadd.man_page import render_man_page


@click.group(epilog="\b\nExit codes:\n  0  success")
@click.option("--url", metavar="URL", help="Where\nit is.")
def tool(url: str | None) -> None:
    """Do things.

    A second
    paragraph with C:\\path.

    \b
    .Examples:
      tool run
    """


@tool.group()
def below() -> None:
    """Group them."""


@below.command()
@click.argument("name")
def run(name: str) -> None:
    """Run one."""


def test_a_page_has_all_texts_of_the_help() -> None:
    lines = render_man_page(tool, "tool", see_also=".BR other (1)").splitlines()
    assert r"tool \- do things" in lines
    assert r"A second paragraph with C:\epath." in lines
    assert lines[lines.index(".nf") + 1] == r"\&.Examples:"
    assert lines[lines.index(r".B \-\-url URL") + 1] == "Where it is."
    assert [line for line in lines if line.startswith(".SS")] == ['.SS "tool below"', '.SS "tool below run"']
    assert r"[OPTIONS] NAME" in lines
    assert "  0  success" in lines


@pytest.mark.parametrize("name", ["downloadctl.1", "downloadd.1"])
def test_no_line_is_an_unknown_request(name: str) -> None:
    requests = {line.split()[0] for line in build_man_pages()[name].splitlines() if line.startswith((".", "'"))}
    assert requests <= {'.\\"', ".TH", ".SH", ".SS", ".B", ".BR", ".PP", ".TP", ".nf", ".fi"}
