"""Shell completion, against the API in this process."""

import asyncio
from collections.abc import Callable

import click
import pytest
from click.shell_completion import CompletionItem
from support.sample_downloads import sample_download
from support.served_api import TOKEN, ServedApi

from downloadd.cli import completion
from downloadd.cli.main import downloadctl
from downloadd.cli.terminal import Terminal
from downloadd.clock import SystemClock
from downloadd.states import State

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


async def words(complete: Complete, start: str, url: str) -> list[str]:
    context = click.Context(downloadctl, obj=Terminal({}, SystemClock()))
    context.params = {"url": url, "token": TOKEN}
    items = await asyncio.to_thread(complete, context, click.Argument(["download"]), start)
    return [item.value for item in items]


async def test_ids_are_completed_by_the_kind_of_download(api: ServedApi) -> None:
    active, ended = "0000000000a1", "0000000000b2"
    api.manager.add(sample_download(id=f"00000000-0000-4000-8000-{active}"))
    api.manager.add(sample_download(id=f"00000000-0000-4000-8000-{ended}", state=State.FAILED))
    url = f"http://{api.server.host}:{api.server.port}"
    assert await words(completion.active_downloads, "", url) == [active]
    assert await words(completion.ended_downloads, "", url) == [ended]
    assert await words(completion.all_downloads, "", url) == [active, ended]
    assert await words(completion.all_downloads, "0000000000b", url) == [ended]
    assert await words(completion.directories, "Down", url) == ["Downloads"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ftp://a.example"])
async def test_without_a_daemon_there_are_no_suggestions(url: str) -> None:
    assert await words(completion.all_downloads, "", url) == []


def test_without_a_terminal_there_are_no_suggestions() -> None:
    assert completion.directories(click.Context(downloadctl), click.Argument(["d"]), "") == []
