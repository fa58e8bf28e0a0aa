"""Cost of a change: one new fact of each kind, added to a copy of the package by edits to the files of `CHANGES` only.

Each copy writes its reference with `downloadd.documentation`, and then works with the new fact.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from support.measure_code import CHANGES

pytestmark = pytest.mark.system

TOP: Final = Path(__file__).parents[1]

STRUCT_FIELD: Final = "    note: str | None = None\n"
MIGRATION: Final = "ALTER TABLE downloads ADD COLUMN note TEXT;\n"
ERROR: Final = """class TeapotError(DownloadError, code="TEAPOT"):
    status = 502
    title = description = resolution = "Teapot"
    advice = "Ask a server: teapots have no files."
    occasions = frozenset({Occasion.END})
"""
EVENT: Final = 'class Alarm(msgspec.Struct):\n    text: str = "fire"\n\n\n'
EVENT_ROW: Final = (
    'EventType(name="alarm", source=Alarm, entry=Alarm, make_entry=lambda event: event, description="an alarm", '
    'occasion="an alarm was raised"),'
)
STATE_ROW: Final = """State.SCANNING: StateDescription(
    group=StateGroup.RUNNING, label="scanning", transitions={Trigger.COMMIT: State.COMPLETED}),
"""
IMPORTER: Final = "from downloadd.imports.url_list import read_urls as read_bookmarks"
IMPORTER_ROW: Final = (
    'Importer(key="bookmarks", title="Bookmarks", upload_hint="Adr", content="bookmarks", read=read_bookmarks, '
    'suffixes=("adr",)),'
)

EDITS: Final[dict[str, dict[str, list[tuple[str, str]]]]] = {
    "start parameter": {
        "downloadd/download_request.py": [
            ('to be resumed later.")] = False\n', STRUCT_FIELD),
            ("    paused: bool | None\n", "    note: str | None\n"),
        ],
        "downloadd/download.py": [("    segments: int = 1\n", STRUCT_FIELD)],
        "downloadd/records/columns.py": [('"request.segments", _USER),', 'Column("note", "request.note", _REQUEST),')],
        "downloadd/records/migrations/<new>.sql": [("", MIGRATION)],
        "downloadd/records/postgres/migrations/<new>.sql": [("", MIGRATION)],
        "docs/reference/http.md": [("it is [resumed](#endpoints) |\n", "| `note` |  | remark |\n")],
    },
    "column": {
        "downloadd/download.py": [('in the order of ends; the store assigns it."""\n', STRUCT_FIELD)],
        "downloadd/records/columns.py": [('"result.ended_seq", _STORE),', 'Column("note", "result.note", _RUN),')],
        "downloadd/records/migrations/<new>.sql": [("", MIGRATION)],
        "downloadd/records/postgres/migrations/<new>.sql": [("", MIGRATION)],
    },
    "error code": {"downloadd/errors/origin.py": [("errors.base import DownloadError, Occasion\n", ERROR)]},
    "event": {
        "downloadd/events.py": [
            ('may wait for one subscriber."""\n', EVENT),
            ("Event = DownloadChanged | DownloadEnded | HistoryRemoved | ImportChanged", " | Alarm"),
        ],
        "downloadd/fronts/rest/event_types.py": [
            ("from downloadd.events import ", "Alarm, "),
            ("OperationEntry | Reset", " | Alarm"),
            ("EVENT_TYPES: Final = (\n", EVENT_ROW),
        ],
    },
    "state": {
        "downloadd/states.py": [
            ('    VERIFYING = "verifying"\n', '    SCANNING = "scanning"\n'),
            ("STATES: Final[Mapping[State, StateDescription]] = {\n", STATE_ROW),
        ],
        "docs/reference/states.md": [
            ("with the next state |\n| --- | --- |\n", "| `scanning` | commit → `completed` |\n")
        ],
    },
    "importer": {
        "downloadd/imports/<new>.py": [("", IMPORTER)],
        "downloadd/imports/importers.py": [
            ("import_operation import ImportItem\n", "from downloadd.imports.new import read_bookmarks\n"),
            ("_TABLE: Final = (\n", IMPORTER_ROW),
        ],
    },
    "setting": {
        "downloadd/config/settings.py": [
            ('in the queue.")] = 1_000_000\n', '    max_notes: Annotated[Count, describe("Most notes.")] = 7\n')
        ]
    },
}
"""Edits of each file: `(anchor, text)` inserts the text after the anchor, which the file has once."""

PROBES: Final = {
    "start parameter": """
from manager.test_admission import accept
from downloadd.download_request import DownloadRequest, make_download_request
from downloadd.fronts.rest.schemas import BatchItem, StartQuery

query = msgspec.convert({"download": [URL], "note": "mine"}, StartQuery)
item = msgspec.convert({"url": URL, "note": "mine"}, BatchItem)
assert item.note == "mine"
download = accept(make_download_request(query, url=URL, directory=""))
assert download.request.note == "mine"
assert asyncio.run(stored(download)).request.note == "mine"
start = document["paths"]["/{directory}"]["get"]
assert "note" in [parameter["name"] for parameter in start["parameters"]]
assert "note" in document["components"]["schemas"]["BatchItem"]["properties"]
assert "--note" in downloadctl_help("add")
test_reference.test_the_table_of_parameters_is_that_of_a_start()
""",
    "column": """
download = sample_download().with_result(note="mine")
assert rows.decode((1, *rows.encode(download, None))).result.note == "mine"
assert asyncio.run(stored(download)).result.note == "mine"
""",
    "error code": """
from downloadd.errors import ERRORS, ErrorCode, TeapotError

assert ERRORS[ErrorCode("TEAPOT")] is TeapotError
assert '"TEAPOT"' in json.dumps(document)
test_reference.test_every_error_code_has_a_section_with_its_advice()
download = sample_download().with_result(error=TeapotError("short and stout").code)
assert asyncio.run(stored(download)).result.error == "TEAPOT"
""",
    "event": """
from downloadd.client.events import EventParser
from downloadd.events import Alarm, EventBus
from downloadd.fronts.rest.event_stream import encode_event

frame = encode_event(EventBus().position, Alarm())
parser = EventParser()
[event] = filter(None, map(parser.feed, frame.splitlines()))
assert b"event: alarm" in frame and event.data == Alarm()
test_reference.test_every_kind_of_event_is_documented()
""",
    "state": """
from downloadd.fronts.page.assets import render_states_module
from downloadd.states import RUNNING, State, Trigger, advance

assert State.SCANNING in RUNNING and advance(State.SCANNING, Trigger.COMMIT) is State.COMPLETED
assert '"scanning"' in json.dumps(document) and b'"scanning"' in render_states_module()
assert asyncio.run(stored(sample_download(state=State.SCANNING))).state is State.SCANNING
test_reference.test_the_table_of_states_is_that_of_the_code()
""",
    "importer": """
from docs.pages import first_cells, read, section
from downloadd.fronts.page.assets import render_importers_module
from downloadd.imports.importers import IMPORTERS, guess_importer

assert guess_importer("mine.adr", b"http://a.example/") is IMPORTERS["bookmarks"]
assert "bookmarks" in downloadctl_help("import")
assert b'"bookmarks":{"uploadHint":"Adr"' in render_importers_module()
assert first_cells(section(read("docs/reference/importers.md"), "Importers")) == list(IMPORTERS)
""",
    "setting": """
from downloadd.config.loader import load_config

Path("own.toml").write_text("[downloads]\\nmax_notes = 9\\n")
for file, expected in ((None, 7), (Path("own.toml"), 9)):
    environment = {"HOME": "/h"}
    assert load_config(file=file, environment=environment, parsers={}).config.downloads.max_notes == expected
assert "max_notes = 7" in Path("config.example.toml").read_text()
test_reference.test_every_setting_has_a_row_with_its_meaning()
""",
}

START: Final = """
import asyncio, json, msgspec
from pathlib import Path
import downloadd
assert Path(downloadd.__file__).is_relative_to(Path.cwd()), downloadd.__file__
from click.testing import CliRunner
from downloadd import documentation
documentation.main()
from docs import test_reference
from downloadd.cli.main import downloadctl
from downloadd.cli.terminal import Terminal
from downloadd.fronts.rest.openapi import build_document
from downloadd.fronts.rest.routes import build_routes
from downloadd.records import rows
from downloadd.records.sqlite import SqliteRecords
from records.contract import ManualClock, sample_download

URL = "https://files.example.com/data.csv"
document = build_document(build_routes(documentation._EndpointStub()))

def downloadctl_help(command):
    return CliRunner().invoke(downloadctl, [command, "--help"], obj=Terminal({}, ManualClock())).output

async def stored(download):
    async with SqliteRecords(Path("state"), ManualClock()) as records:
        await records.accept([download])
    async with SqliteRecords(Path("state"), ManualClock()) as records:
        return await records.get(download.id)
"""


def edit(path: Path, edits: list[tuple[str, str]]) -> None:
    for anchor, text in edits:
        before = path.read_text(encoding="utf-8") if anchor else ""
        assert before.count(anchor) == 1, (path, anchor)
        path.write_text(before.replace(anchor, anchor + text), encoding="utf-8")


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_needs_edits_to_these_files_only(kind: str, tmp_path: Path) -> None:
    assert tuple(EDITS[kind]) == CHANGES[kind]
    # With their times and compiled modules, so that Python compiles only those with edits.
    for folder in ("downloadd", "docs", "tests/docs"):
        shutil.copytree(TOP / folder, tmp_path / folder)
    for name, edits in EDITS[kind].items():
        edit(tmp_path / name.replace("<new>", "9999_new" if name.endswith(".sql") else "new"), edits)
    paths = (tmp_path, tmp_path / "tests", TOP / "tests")
    run = subprocess.run(
        [sys.executable, "-c", START + PROBES[kind]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
