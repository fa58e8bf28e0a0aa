"""The command `downloadd records-copy`."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import click
import pytest
from click.testing import CliRunner, Result
from support.clocks import ManualClock
from support.filled_records import fill, make_deliveries
from support.missing_driver import hide_asyncpg
from support.postgres_server import PASSWORD, PostgresServer
from support.waiting import CONDITION_TIMEOUT

from downloadd.daemon import records_copy
from downloadd.daemon.main import command, main
from downloadd.errors import StartupError
from downloadd.records.database import RecordsLockedError
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import HistoryFilter
from downloadd.records.sqlite import SqliteRecords


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["records-copy", *arguments])


@pytest.mark.system
async def test_the_command_copies_all_records_once_and_says_how_many(
    tmp_path: Path, database: str, postgres_server: PostgresServer
) -> None:
    state_dir = tmp_path / "state"
    async with SqliteRecords(state_dir, ManualClock(), make_deliveries=make_deliveries) as source:
        await fill(source)
        history = await source.history(HistoryFilter())
    config = tmp_path / "config.toml"
    config.write_text(f'[server]\nstate_dir = "{state_dir}"\n')
    name = re.sub(r"postgresql:///(\w+)\?.*", r"\1", database)
    to = ["--config", str(config), "--to", postgres_server.url(name, password=quote(PASSWORD, safe=""))]
    program = [sys.executable, "-Im", "downloadd", "records-copy", *to]
    first = subprocess.run(program, capture_output=True, text=True, timeout=CONDITION_TIMEOUT)
    assert (first.returncode, first.stderr) == (0, "")
    place = f"{name} on 127.0.0.1:{postgres_server.port}"
    assert first.stdout.startswith(f"Copied to {place}:\n")
    assert f"{len(history)} downloads of the history\n" in first.stdout
    assert "s3cret" not in first.stdout
    second = await asyncio.to_thread(invoke, *to)
    assert second.output == f"Nothing was changed: these records were copied to {place} before.\n"
    async with PostgresRecords(database, ManualClock()) as target:
        assert await target.history(HistoryFilter()) == history


@pytest.mark.parametrize("source", ["configuration", "variable", "credential", "standard input"])
def test_the_url_need_not_be_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    url = "postgresql://ann:s3cret@127.0.0.1:1/secret_place"
    cluster = f'[cluster]\ndatabase = "{url}"\n'
    config = tmp_path / "config.toml"
    users = f'[[users]]\nid = "ann"\ntoken_hash = "sha256:{"0" * 64}"\n'
    server = f'[server]\nstate_dir = "{tmp_path}"\n'
    config.write_text(server + users + (cluster if source == "configuration" else ""))
    if source == "variable":
        monkeypatch.setenv("DOWNLOADD_CLUSTER__DATABASE", url)
    elif source == "credential":
        (tmp_path / "credentials").mkdir()
        (tmp_path / "credentials" / "downloadd.toml").write_text(cluster)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    monkeypatch.setattr(records_copy, "_copy", lambda state_dir, url, setting: f"copied to {url}")
    to = ("--to", "-") if source == "standard input" else ()
    result = CliRunner().invoke(command, ["records-copy", "--config", str(config), *to], input=f"{url}\n")
    assert (result.exit_code, result.output) == (0, f"copied to {url}\n")


@pytest.mark.parametrize("typed", ["", "\n", "mysql://ann:s3cret@127.0.0.1/x\n"])
def test_a_wrong_url_on_standard_input_is_refused_in_one_sentence(tmp_path: Path, typed: str) -> None:
    result = CliRunner().invoke(command, ["records-copy", "--state-dir", str(tmp_path), "--to", "-"], input=typed)
    assert isinstance(result.exception, StartupError)
    assert result.exception.exit_status == 2
    assert re.match(
        r"--to( -: standard input has no URL; write it there as one line|: expected )", str(result.exception)
    )
    assert "s3cret" not in str(result.exception)


async def test_the_state_directory_of_a_running_daemon_is_refused_in_one_sentence(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()):
        result = invoke("--state-dir", str(tmp_path), "--to", "postgresql://ann:s3cret@127.0.0.1/x")
    assert isinstance(result.exception, RecordsLockedError)
    assert re.fullmatch(
        r"another downloadd \(process \d+\) uses the state directory .*; stop it .*", str(result.exception)
    )


def test_options_before_the_command_hold_for_it(tmp_path: Path) -> None:
    arguments = ["--state-dir", str(tmp_path / "none"), "records-copy", "--to", "postgresql://127.0.0.1/x"]
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, StartupError)
    assert f"{tmp_path / 'none'}/records.db does not exist" in str(result.exception)


def test_without_a_database_the_use_is_explained(tmp_path: Path) -> None:
    result = invoke("--state-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "name the database with --to URL" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--to", "postgresql:ann:s3cret@127.0.0.1/x"],
        ["--to", "mysql://ann:s3cret@127.0.0.1/x"],
        ["postgresql://ann:s3cret/pass@127.0.0.1/x"],
    ],
)
def test_no_password_of_a_malformed_url_is_shown(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["downloadd", "records-copy", *arguments])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.match(r"downloadd: (--to: expected postgresql://USER|Got unexpected extra arg)", shown.err)
    assert "s3cret" not in shown.err


def test_without_the_driver_one_sentence_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_asyncpg(monkeypatch)
    result = invoke("--state-dir", str(tmp_path), "--to", "postgresql://127.0.0.1/x")
    assert isinstance(result.exception, StartupError)
    assert result.exception.exit_status == 2
    assert str(result.exception) == (
        "records-copy needs a driver for PostgreSQL: install it with pip install 'downloadd[cluster]'"
    )


def test_the_help_says_what_is_copied_where_to() -> None:
    shown = invoke("--help").output
    assert "--to URL" in shown
    assert isinstance(command, click.Group)
    assert "records-copy" in CliRunner().invoke(command, ["--help"]).output
