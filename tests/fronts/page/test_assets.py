"""Files of the page."""

import json
import re
import subprocess
from pathlib import Path

from imports.test_importers import GUESSES

from downloadd.fronts.page.assets import (
    INDEX,
    STATES_MODULE,
    load_assets,
    render_import_statuses_module,
    render_states_module,
)
from downloadd.fronts.rocketchat.statuses import FINISHED_STATUSES, ImportStatus
from downloadd.states import STATES, State, StateGroup

ASSETS = load_assets()


def test_the_states_module_has_the_table_of_states() -> None:
    text = render_states_module().decode()
    table = json.loads(text.removeprefix("export const STATES = ").removesuffix(";\n"))
    assert table == {
        state.value: {
            "title": row.label.capitalize(),
            "label": row.label,
            "group": row.group.value,
            "isSuccess": row.is_success,
        }
        for state, row in STATES.items()
    }


def test_the_module_of_import_statuses_has_each_status() -> None:
    text = render_import_statuses_module().decode()
    table = json.loads(text.removeprefix("export const IMPORT_STATUSES = ").removesuffix(";\n"))
    assert {status: row["isFinished"] for status, row in table.items()} == {
        status.value: status in FINISHED_STATUSES for status in ImportStatus
    }


GUESS_ALL = """import { guessKind } from "./links.js";
const files = JSON.parse(process.argv[2]);
console.log(JSON.stringify(files.map(([name, head]) => guessKind(name, Uint8Array.from(head)))));
"""


def test_the_page_guesses_the_same_importers_as_the_daemon(tmp_path: Path) -> None:
    for name in ("links.js", "importers.js"):
        (tmp_path / name).write_bytes(ASSETS[name].content)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "guess.js").write_text(GUESS_ALL)
    files = json.dumps([(name, list(head)) for name, head, _ in GUESSES])
    run = subprocess.run(["node", tmp_path / "guess.js", files], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [key for _, _, key in GUESSES]


def test_every_file_has_a_media_type_and_a_validator() -> None:
    assets = load_assets()
    assert {INDEX, STATES_MODULE, "app.js", "client.js", "style.css", "icon.svg"} <= set(assets)
    assert "package.json" not in assets
    assert len({asset.entity_tag for asset in assets.values()}) == len(assets)
    assert assets[STATES_MODULE].media_type.startswith("text/javascript")


def test_every_module_that_a_module_imports_is_served() -> None:
    assets = load_assets()
    for name, asset in assets.items():
        if name.endswith(".js"):
            for line in asset.content.decode().splitlines():
                if line.startswith("import "):
                    assert line.partition('from "./')[2].removesuffix('";') in assets, f"{name}: {line}"


def test_the_filters_of_the_page_are_groups_of_states() -> None:
    script = "".join(ASSETS[name].content.decode() for name in ("downloads.js", "ordering.js"))
    for group in set(StateGroup) - {StateGroup.FINISHED}:
        assert f'STATES[entry.status]?.group === "{group}"' in script


def test_the_page_has_no_list_of_states_of_its_own() -> None:
    text = load_assets()[INDEX].content.decode()
    assert [state for state in State if f'value="{state}"' in text] == []


def test_every_file_has_a_media_type_and_a_strong_entity_tag() -> None:
    types = {name.rpartition(".")[2]: asset.media_type for name, asset in ASSETS.items()}
    assert types["html"] == "text/html; charset=utf-8"
    assert types["js"] == "text/javascript; charset=utf-8"
    assert all(re.fullmatch(r'"[0-9a-f]{32}"', asset.entity_tag) for asset in ASSETS.values())


def test_different_files_have_different_entity_tags() -> None:
    assert len({asset.entity_tag for asset in ASSETS.values()}) == len({asset.content for asset in ASSETS.values()})


def test_the_index_refers_to_files_that_exist() -> None:
    text = ASSETS[INDEX].content.decode()
    references = {name.rpartition("/")[2] for name in re.findall(r'(?:href|src)="([^":#]+\.(?:js|css|svg))"', text)}
    assert references
    assert references <= set(ASSETS)
