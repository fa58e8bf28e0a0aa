import os
import re
import tomllib
from pathlib import Path

import pytest
from support.config_files import HOME, load
from support.origin.tls import Authority

from downloadd.config import ALL_PERMISSIONS, UNPRIVILEGED_PERMISSIONS
from downloadd.config.fields import read_settings
from downloadd.config.reference import describe_flag, render_example, render_tables
from downloadd.config.sources import LISTS, TABLES, iter_settings
from downloadd.daemon.configuration import read_config

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


def test_the_example_file_is_fresh() -> None:
    assert EXAMPLE.read_text() == render_example(), "config.example.toml is stale: python -m downloadd.documentation"


def test_the_example_file_holds_every_key_with_its_default() -> None:
    assert read_config(file=EXAMPLE, environment=HOME) == read_config(file=None, environment=HOME)
    written = tomllib.loads(render_example())
    assert {table: list(keys) for table, keys in written.items()} == {
        table: list(struct.__struct_fields__) for table, struct in TABLES.items()
    }


def test_every_key_of_the_example_file_has_its_description_beside_it_or_above() -> None:
    text = " ".join(re.sub(r"\s*\n(?:#? *# )?", " ", render_example()).split())
    for name, struct in {**TABLES, **LISTS}.items():
        for setting in read_settings(name, struct).values():
            assert setting.description in re.sub(r" # (?=[A-Z$])", " ", text) or setting.description in text, (
                setting.key
            )


def test_lines_of_the_example_file_are_short() -> None:
    assert [line for line in render_example().splitlines() if len(line) > 120] == []


def test_the_commented_examples_work_once_uncommented(tmp_path: Path) -> None:
    text = re.sub(r"^#(?=\S)", "", render_example(), flags=re.MULTILINE)
    # Only root may give files to other users.
    text = text.replace('"root:root"', f'"{os.geteuid()}:{os.getegid()}"')
    (tmp_path / "ca.pem").write_bytes(Authority().certificate)
    leaf = Authority().issue("client")
    (tmp_path / "client.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    (tmp_path / "client.key").write_bytes(leaf.private_key_pem.bytes())
    for key, file in (("ca_file", "ca.pem"), ("client_certificate", "client.pem"), ("client_key", "client.key")):
        text = re.sub(rf'^{key} = "/.*"', f'{key} = "{tmp_path}/{file}"', text, flags=re.MULTILINE)
    config = load(tmp_path, text)
    assert [each.host for each in config.hosts] == ["nas.lan"]
    assert [credential.host for credential in config.credentials] == ["files.example.com", "mirror.example.com"]
    assert [user.permissions for user in config.users] == [ALL_PERMISSIONS, UNPRIVILEGED_PERMISSIONS]
    for name, struct in LISTS.items():
        assert {key for item in tomllib.loads(text)[name] for key in item} == set(struct.__struct_fields__)


def test_the_tables_hold_a_row_for_every_setting() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", "\n".join(render_tables()), re.MULTILINE)
    assert rows == [key for struct in {**TABLES, **LISTS}.values() for key in struct.__struct_fields__]


def test_a_row_shows_default_values_variable_flag_and_example() -> None:
    text = "\n".join(render_tables())
    assert (
        '| `root` | `"downloads"` | a text in quotes that is not empty | `DOWNLOADD_STORAGE__ROOT`, `--root` | '
        "Directory that all files are stored below; created if it is missing. |"
    ) in text
    assert "| `stall_timeout` | `60` | a number from 0 to 31536000, seconds |" in text
    assert 'Example: `"10 MiB"`.' in text


def test_every_flag_leads_to_its_setting() -> None:
    for setting in iter_settings():
        if setting.flag:
            assert describe_flag(setting.flag) == setting
    with pytest.raises(LookupError):
        describe_flag("--unknown")
