"""What a shell suggests after Tab, asked from the daemon; nothing when it does not answer at once."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import click
from click.shell_completion import CompletionItem

from downloadd.cli import formatting
from downloadd.cli.daemon_location import locate_daemon
from downloadd.cli.download_ids import MAX_HISTORY_SEARCHED, shorten_id
from downloadd.cli.follow import MAX_ACTIVE
from downloadd.cli.terminal import Terminal
from downloadd.client import ActiveEntry, Client, ClientError, HistoryEntry

TIMEOUT_SECONDS: Final = 2.0
"""Seconds that somebody who pressed Tab may wait."""

Suggestions = list[tuple[str, str]]
"""Words, each with what is said beside it."""


def active_downloads(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Downloads that have not ended."""

    async def query(client: Client) -> Suggestions:
        listing = await client.files.downloads.list_global(limit=MAX_ACTIVE)
        return [(shorten_id(entry.id), formatting.format_name(entry)) for entry in listing.downloads]

    return _suggest(context, start, query)


def all_downloads(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Downloads, those that have ended lately too."""

    async def query(client: Client) -> Suggestions:
        downloads = client.files.downloads
        listing = await downloads.list_global(limit=MAX_ACTIVE)
        known: list[ActiveEntry | HistoryEntry] = [
            *listing.downloads,
            *(await downloads.get_history(limit=MAX_HISTORY_SEARCHED)).history,
        ]
        return [(shorten_id(entry.id), formatting.format_name(entry)) for entry in known]

    return _suggest(context, start, query)


def ended_downloads(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Downloads that have ended lately."""

    async def query(client: Client) -> Suggestions:
        past = await client.files.downloads.get_history(limit=MAX_HISTORY_SEARCHED)
        return [(shorten_id(entry.id), formatting.format_name(entry)) for entry in past.history]

    return _suggest(context, start, query)


def directories(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Directories that exist."""

    async def query(client: Client) -> Suggestions:
        return [(directory, "") for directory in await client.directories(start)]

    return _suggest(context, start, query)


def _suggest(
    context: click.Context, start: str, query: Callable[[Client], Awaitable[Suggestions]]
) -> list[CompletionItem]:
    root = context.find_root()
    given, terminal = root.params, root.find_object(Terminal)
    if terminal is None:
        return []

    async def query_daemon() -> Suggestions:
        daemon_location = locate_daemon(
            url=given.get("url"),
            token=given.get("token"),
            token_file=_path(given.get("token_file")),
            ca_file=_path(given.get("ca_file")),
            state_dir=_path(given.get("state_dir")),
            environment=terminal.environment,
        )
        async with asyncio.timeout(TIMEOUT_SECONDS), daemon_location.client() as client:
            return await query(client)

    try:
        found = asyncio.run(query_daemon())
    except (ClientError, click.ClickException, TimeoutError, OSError):
        return []
    return [CompletionItem(word, help=said or None) for word, said in found if word.startswith(start)]


def _path(text: str | Path | None) -> Path | None:
    return None if text is None else Path(text)
