"""The reference: generated pages are fresh, and hand-written tables are those of the code."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args
from unittest.mock import MagicMock

import click
import msgspec
import pytest
from docs.pages import GENERATED, TOP, first_cells, read, rows, section

from downloadd.cli.main import downloadctl
from downloadd.config import ALL_PERMISSIONS, Config
from downloadd.daemon.main import command
from downloadd.errors import ERRORS, ErrorCode
from downloadd.fronts.rest.event_types import EVENT_TYPES
from downloadd.fronts.rest.item_bodies import PROBE_PARAMETERS
from downloadd.fronts.rest.query_decoding import parameter_names
from downloadd.fronts.rest.routes import build_routes
from downloadd.fronts.rest.schemas import (
    DirectoryListingQuery,
    HistoryQuery,
    ProbeResponse,
    StartQuery,
)
from downloadd.request_fields import REFUSED_NAMES, RequestFields
from downloadd.states import FINISHED, TRANSITIONS, State, Trigger

HTTP = read("docs/reference/http.md")
STATES = read("docs/reference/states.md")
MAN_PAGES = ("docs/man/downloadctl.1", "docs/man/downloadd.1")
COMMANDS = read("docs/reference/command-line.md")


# -- generated pages ---------------------------------------------------------------------------------------------------


def test_the_generated_files_are_fresh(tmp_path: Path) -> None:
    for folder in ("docs/reference", "docs/man"):
        (tmp_path / folder).mkdir(parents=True)
    subprocess.run([sys.executable, "-Im", "downloadd.documentation"], cwd=tmp_path, check=True)
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {"config.example.toml", *(f"docs/reference/{name}" for name in GENERATED), *MAN_PAGES}
    for name in made:
        assert read(name) == (tmp_path / name).read_text(), f"{name} is stale: python -m downloadd.documentation"


def test_every_error_code_has_a_section_with_its_advice() -> None:
    page = read("docs/reference/errors.md")
    assert re.findall(r"^## `(\w+)`$", page, re.MULTILINE) == list(ErrorCode)
    for code, kind in ERRORS.items():
        assert kind.advice in section(page, f"`{code}`")


def test_every_setting_has_a_row_with_its_meaning() -> None:
    page = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", read("docs/reference/configuration.md"), re.MULTILINE)
    assert [name for name, _ in page] == list(settings())
    assert [name for name, meaning in page if not meaning] == []


def settings() -> Iterator[str]:
    for table in msgspec.structs.fields(Config):
        struct, *_ = get_args(table.type) or (table.type,)
        yield from struct.__struct_fields__


def test_every_endpoint_has_a_section() -> None:
    titles = set(re.findall(r"^## `(\w+ \S+)`$", read("docs/reference/api.md"), re.MULTILINE))
    assert {f"{one.method} {one.path}" for one in build_routes(MagicMock()) if one.selector == ""} <= titles
    assert {f"GET {one.path}" for one in build_routes(MagicMock())} <= titles | {
        f"GET {one.path}" for one in build_routes(MagicMock()) if one.method != "GET"
    }


# -- requests and answers ----------------------------------------------------------------------------------------------


def test_the_table_of_endpoints_is_that_of_the_code_row_by_row() -> None:
    def shown(method: str, path: str, selector: str) -> str:
        return f"`{method} {path}?{selector}=`" if selector else f"`{method} {path}`"

    # The handlers do not matter here.
    table = build_routes(MagicMock())
    page = rows(section(HTTP, "Endpoints"))
    assert [cells[0] for cells in page] == [shown(one.method, one.path, one.selector) for one in table]
    for one, cells in zip(table, page, strict=True):
        permission = str(getattr(one.access, "value", ""))
        assert (cells[1] == f"`{permission}`") == (permission in ALL_PERMISSIONS), cells


def test_the_table_of_parameters_is_that_of_a_start() -> None:
    assert first_cells(section(HTTP, "Parameters of a start")) == list(parameter_names(StartQuery))


def test_the_table_of_request_fields_is_that_of_a_batch_item() -> None:
    page = section(HTTP, "Request fields")
    assert first_cells(page) == list(RequestFields.__struct_fields__)
    for name in REFUSED_NAMES.keys() - {"http2-settings"}:
        assert name in page.lower() or name.startswith("if-"), name


def test_the_table_of_a_probe_has_the_fields_of_its_answer() -> None:
    text = section(HTTP, "Probe of a URL")
    cells = [name for row in rows(text) for name in re.findall(r"`(\w+)`", row[0])]
    assert [*cells, "success"] == list(ProbeResponse.__struct_fields__)
    for name in {*PROBE_PARAMETERS} - {*RequestFields.__struct_fields__}:
        assert f"`{name}`" in text


@pytest.mark.parametrize("query", [HistoryQuery, DirectoryListingQuery])
def test_every_parameter_of_a_listing_is_named(query: type[msgspec.Struct]) -> None:
    text = section(HTTP, "Listings and history")
    for name in query.__struct_fields__:
        assert re.search(rf"`\??{name}\b", text), name


def test_every_kind_of_event_is_documented() -> None:
    kinds = [row.name for row in EVENT_TYPES]
    assert first_cells(section(read("docs/reference/events.md"), "Events")) == kinds
    assert set(kinds) <= set(re.findall(r"`(\w+)`", section(read("docs/reference/api.md"), "`GET /api/v1/events`")))


# -- states ------------------------------------------------------------------------------------------------------------


def test_the_table_of_states_is_that_of_the_code() -> None:
    page = {
        (State(row[0].strip("`")), Trigger(event)): State(after)
        for row in rows(STATES)
        for event, after in re.findall(r"(\w+) → `(\w+)`", row[1])
    }
    assert page == TRANSITIONS
    arrows = sum(row[1].count("→") for row in rows(STATES))
    assert arrows == len(TRANSITIONS), "an arrow was not understood, or is there twice"


def test_the_drawing_of_states_shows_transitions_of_the_code() -> None:
    arrows = re.findall(r"^    (\w+) --> (\w+): (\w+)$", STATES, re.MULTILINE)
    assert len(arrows) > 5
    for before, after, event in arrows:
        assert TRANSITIONS[State(before), Trigger(event)] == after


def test_every_trigger_of_the_states_is_explained() -> None:
    assert re.findall(r"^- \*\*(\w+)\*\*", STATES, re.MULTILINE) == [event.value for event in Trigger]


def test_the_finished_states_are_named() -> None:
    [sentence] = re.findall(r"^(.*) are finished:", STATES, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", sentence)) == set(FINISHED)


# -- command line ------------------------------------------------------------------------------------------------------


def test_every_flag_of_the_daemon_is_explained_with_its_setting() -> None:
    assert isinstance(command, click.Command)
    flags = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert set(first_cells(section(COMMANDS, "`downloadd`"))) >= flags | {"--help"}
    assert set(re.findall(r"`(--[a-z0-9-]+)", section(COMMANDS, "`downloadd`"))) == flags | {"--help"}


def test_every_command_and_option_of_downloadctl_is_explained() -> None:
    assert isinstance(downloadctl, click.Group)
    cells = first_cells(section(COMMANDS, "`downloadctl`"))
    options = {option for parameter in downloadctl.params for option in parameter.opts if option.startswith("--")}
    assert set(downloadctl.commands) <= set(cells)
    assert options - {"--help", "--version"} <= set(cells)


# -- architecture ------------------------------------------------------------------------------------------------------

MOVING = frozenset({"api", "web"})
"""Packages that the page describes below `fronts/` already."""


def test_the_table_of_packages_names_every_package() -> None:
    package = Path(inspect.getfile(command.callback or command)).parents[1]
    folders = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    cells = [row[0] for row in rows(read("docs/explanation/architecture.md"))]
    page = {name for cell in cells for name in re.findall(r"`(\w+)/", cell)}
    assert folders - MOVING <= page


def test_every_benchmark_is_named() -> None:
    page = read("docs/explanation/performance.md")
    benchmarks = [*(TOP / "tests/benchmarks").glob("bench_*.py")]
    assert benchmarks
    for path in benchmarks:
        assert path.name in page, path.name
