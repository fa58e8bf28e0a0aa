"""`get` and `open`, in this process."""

import json
from pathlib import Path

import aiohttp
import click
import pytest
from cli.conftest import Command
from support.sample_downloads import sample_download
from support.served_api import READER_TOKEN, ServedApi

from downloadd.cli.errors import CommandError
from downloadd.cli.file import PART_SUFFIX
from downloadd.download import Download
from downloadd.states import State

CONTENT = bytes(range(256)) * 20


@pytest.fixture
def command(api: ServedApi) -> Command:
    return Command(api, READER_TOKEN)


@pytest.fixture
def done(api: ServedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Download:
    monkeypatch.chdir(tmp_path)
    download = api.manager.add(sample_download(1, state=State.COMPLETED, directory="d", filename="f"))
    api.files.put(download.file_path, CONTENT)
    return download


async def test_a_file_is_copied_and_not_replaced_unless_forced(
    command: Command, done: Download, tmp_path: Path
) -> None:
    assert (await command("get", "f")).output == "f: 5.00 KiB\n"
    assert (tmp_path / "f").read_bytes() == CONTENT
    error = (await command("get", "f")).exception
    assert isinstance(error, CommandError)
    assert error.lines[0].startswith("f exists; name another file with --output")
    (tmp_path / "to").mkdir()
    answer = json.loads((await command("get", "f", "--output", "to", "--json")).output)
    assert (answer["path"], answer["size"]) == ("to/f", len(CONTENT))
    assert (await command("get", "f", "--force")).exit_code == 0
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["f", "f", "to"]


async def test_a_copy_that_was_interrupted_continues(
    api: ServedApi, command: Command, done: Download, tmp_path: Path
) -> None:
    await command("get", "f")
    part = tmp_path / f".f.{done.id[-12:]}{PART_SUFFIX}"
    async with api.client.get(
        f"/api/v1/downloads/{done.id}/file", headers={"Authorization": f"Bearer {READER_TOKEN}"}
    ) as response:
        part.with_suffix(".etag").write_text(response.headers["ETag"])
    # Other bytes than those of the file show that they are not received again.
    part.write_bytes(b"x" * 100)
    await command("get", "f", "--force")
    assert (tmp_path / "f").read_bytes() == b"x" * 100 + CONTENT[100:]
    part.with_suffix(".etag").write_text('"another"')
    part.write_bytes(b"x" * 100)
    await command("get", "f", "--force")
    assert (tmp_path / "f").read_bytes() == CONTENT


async def test_a_file_goes_to_standard_output(command: Command, done: Download) -> None:
    assert (await command("get", "f", "-o", "-")).stdout_bytes == CONTENT


async def test_a_directory_that_is_missing_is_an_error(command: Command, done: Download) -> None:
    error = (await command("get", "f", "-o", "none/f")).exception
    assert isinstance(error, CommandError)
    assert "none/f cannot be written: No such file" in error.lines[0]


async def test_a_link_or_the_page_is_opened(
    api: ServedApi, command: Command, done: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def launch(url: str) -> int:
        opened.append(url)
        return 0

    monkeypatch.setattr(click, "launch", launch)
    link = (await command("open", "f", "--print")).output.strip()
    assert opened == []
    async with aiohttp.ClientSession() as session, session.get(link) as response:
        assert await response.read() == CONTENT
    await command("open")
    assert opened == [f"http://{api.server.host}:{api.server.port}/"]
    monkeypatch.setattr(click, "launch", lambda url: 1)
    error = (await command("open", "f")).exception
    assert isinstance(error, CommandError)
    assert "No browser could be started; open http://" in error.lines[0]
